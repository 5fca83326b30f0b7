-- Partners, tokens and the audit log.

CREATE TABLE partner (
    id                  INTEGER PRIMARY KEY,
    name                TEXT    NOT NULL UNIQUE,
    token_hash          BLOB    UNIQUE CHECK (length(token_hash) = 32),
    require_certificate INTEGER NOT NULL CHECK (require_certificate IN (0, 1)),
    expires             TEXT,
    disabled            INTEGER NOT NULL CHECK (disabled IN (0, 1)),
    created_seconds     INTEGER NOT NULL
) STRICT;

CREATE TABLE partner_certificate (
    fingerprint BLOB    PRIMARY KEY CHECK (length(fingerprint) = 32),
    partner_id  INTEGER NOT NULL REFERENCES partner (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TABLE partner_subject (
    subject    TEXT    PRIMARY KEY,
    partner_id INTEGER NOT NULL REFERENCES partner (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX partner_certificate_of ON partner_certificate (partner_id);
CREATE INDEX partner_subject_of ON partner_subject (partner_id);

-- One map a scope. `last` is the highest number given out; it never falls.
CREATE TABLE token_scope (
    id   INTEGER PRIMARY KEY,
    name TEXT    NOT NULL UNIQUE,
    last INTEGER NOT NULL CHECK (last >= 0)
) STRICT;

-- The fingerprint is SHA-256 of the original: a key of fixed length however long the value is.
CREATE TABLE token (
    scope_id           INTEGER NOT NULL REFERENCES token_scope (id),
    fingerprint        BLOB    NOT NULL CHECK (length(fingerprint) = 32),
    number             INTEGER NOT NULL CHECK (number > 0),
    original           TEXT    NOT NULL,
    first_seen_seconds INTEGER NOT NULL,
    PRIMARY KEY (scope_id, fingerprint)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX token_number ON token (scope_id, number);

CREATE TABLE audit (
    seq    INTEGER PRIMARY KEY CHECK (seq > 0),
    opens  INTEGER NOT NULL CHECK (opens IN (0, 1)),
    closes INTEGER,
    body   TEXT    NOT NULL,
    hash   BLOB    NOT NULL CHECK (length(hash) = 32),
    mac    BLOB    NOT NULL CHECK (length(mac) = 32)
) STRICT;

CREATE INDEX audit_opens ON audit (seq) WHERE opens = 1;
CREATE INDEX audit_closes ON audit (closes) WHERE closes IS NOT NULL;

CREATE TABLE audit_head (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    seq      INTEGER NOT NULL,
    hash     BLOB    NOT NULL CHECK (length(hash) = 32),
    epoch    INTEGER NOT NULL,
    mac      BLOB    NOT NULL CHECK (length(mac) = 32)
) STRICT;
