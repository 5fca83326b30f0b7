-- Rows of each token, and originals that can be sealed.

-- The public half of the key that originals are sealed with, from when on it is there. `epoch` is that
-- of the master key which the fingerprints of sealed values derive from; `proof` tells it from another.
CREATE TABLE originals_key (
    only_row     INTEGER PRIMARY KEY CHECK (only_row = 1),
    public       BLOB    NOT NULL CHECK (length(public) = 32),
    epoch        INTEGER NOT NULL,
    proof        BLOB    NOT NULL CHECK (length(proof) = 32),
    made_seconds INTEGER NOT NULL
) STRICT;

-- Originals that were sealed together: one encapsulated key, and a place in order for each.
CREATE TABLE token_batch (
    id           INTEGER PRIMARY KEY,
    encapsulated BLOB    NOT NULL CHECK (length(encapsulated) = 32)
) STRICT;

-- The fingerprint is SHA-256 of the original, or a keyed hash where the original is sealed.
CREATE TABLE token_new (
    scope_id           INTEGER NOT NULL REFERENCES token_scope (id),
    fingerprint        BLOB    NOT NULL CHECK (length(fingerprint) = 32),
    number             INTEGER NOT NULL CHECK (number > 0),
    original           TEXT,
    first_seen_seconds INTEGER NOT NULL,
    batch_id           INTEGER REFERENCES token_batch (id),
    place              INTEGER CHECK (place >= 0),
    sealed             BLOB,
    PRIMARY KEY (scope_id, fingerprint),
    CHECK ((original IS NULL) = (sealed IS NOT NULL)),
    CHECK ((sealed IS NULL) = (batch_id IS NULL) AND (sealed IS NULL) = (place IS NULL))
) STRICT, WITHOUT ROWID;

INSERT INTO token_new
SELECT scope_id, fingerprint, number, original, first_seen_seconds, NULL, NULL, NULL FROM token;

DROP TABLE token;
ALTER TABLE token_new RENAME TO token;
CREATE UNIQUE INDEX token_number ON token (scope_id, number);

-- Whose rows were counted, in which state. What was imported has an empty dataset and column; no
-- dataset has an empty name.
CREATE TABLE token_source (
    id              INTEGER PRIMARY KEY,
    scope_id        INTEGER NOT NULL REFERENCES token_scope (id),
    dataset         TEXT    NOT NULL,
    column_name     TEXT    NOT NULL,
    version         TEXT    NOT NULL,
    counted_seconds INTEGER NOT NULL,
    UNIQUE (scope_id, dataset, column_name)
) STRICT;

CREATE TABLE token_count (
    source_id INTEGER NOT NULL REFERENCES token_source (id) ON DELETE CASCADE,
    number    INTEGER NOT NULL,
    rows      INTEGER NOT NULL CHECK (rows >= 0),
    PRIMARY KEY (source_id, number)
) STRICT, WITHOUT ROWID;
