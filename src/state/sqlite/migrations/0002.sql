-- What partners took, a day.

-- `dataset` is empty for all datasets together; no dataset has an empty name. `day` is `2026-01-31`.
CREATE TABLE usage (
    partner TEXT    NOT NULL,
    day     TEXT    NOT NULL CHECK (length(day) = 10),
    dataset TEXT    NOT NULL,
    rows    INTEGER NOT NULL CHECK (rows >= 0),
    bytes   INTEGER NOT NULL CHECK (bytes >= 0),
    PRIMARY KEY (partner, day, dataset)
) STRICT, WITHOUT ROWID;
