-- What privacy was spent and granted by hand. Entries are never changed and never deleted.

-- Decimals are texts, as `policy::decimal` writes them.
CREATE TABLE privacy_entry (
    number     INTEGER PRIMARY KEY CHECK (number > 0),
    at_seconds INTEGER NOT NULL,
    partner    TEXT    NOT NULL,
    dataset    TEXT    NOT NULL,
    kind       TEXT    NOT NULL CHECK (kind IN ('spend', 'grant')),
    accounting TEXT    CHECK (accounting IN ('pure', 'zcdp')),
    epsilon    TEXT    NOT NULL,
    rho        TEXT,
    delta      TEXT    NOT NULL,
    question   TEXT,
    canonical  TEXT,
    reason     TEXT,
    CHECK ((kind = 'spend') = (question IS NOT NULL)),
    CHECK ((kind = 'spend') = (canonical IS NOT NULL)),
    CHECK ((kind = 'spend') = (accounting IS NOT NULL)),
    CHECK ((kind = 'spend') = (rho IS NOT NULL)),
    CHECK ((kind = 'grant') = (reason IS NOT NULL))
) STRICT;

CREATE INDEX privacy_entry_of ON privacy_entry (dataset, partner, number);

CREATE TRIGGER privacy_entry_stays BEFORE UPDATE ON privacy_entry
BEGIN SELECT raise(ABORT, 'entries are never changed'); END;
CREATE TRIGGER privacy_entry_is_kept BEFORE DELETE ON privacy_entry
BEGIN SELECT raise(ABORT, 'entries are never deleted'); END;

-- The sums of all entries, so that to spend does not read them all. `zcdp` counts the entries that were
-- spent with that accounting.
CREATE TABLE privacy_sum (
    dataset         TEXT    NOT NULL,
    partner         TEXT    NOT NULL,
    epsilon         TEXT    NOT NULL,
    rho             TEXT    NOT NULL,
    delta           TEXT    NOT NULL,
    zcdp            INTEGER NOT NULL CHECK (zcdp >= 0),
    granted_epsilon TEXT    NOT NULL,
    granted_delta   TEXT    NOT NULL,
    PRIMARY KEY (dataset, partner)
) STRICT, WITHOUT ROWID;

-- Answers, in the order in which they were made: the first to a question is given again.
CREATE TABLE privacy_answer (
    id       INTEGER PRIMARY KEY,
    entry    INTEGER NOT NULL UNIQUE REFERENCES privacy_entry (number),
    dataset  TEXT    NOT NULL,
    partner  TEXT    NOT NULL,
    question TEXT    NOT NULL,
    answer   BLOB    NOT NULL
) STRICT;

CREATE INDEX privacy_answer_of ON privacy_answer (dataset, partner, question, id);
