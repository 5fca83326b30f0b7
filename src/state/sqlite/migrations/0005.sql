-- Entries are tied to each other, each by a hash over the one before, and to the audit log.

-- Entries of before have none; whoever writes the next one computes theirs.
ALTER TABLE privacy_entry ADD COLUMN link BLOB CHECK (link IS NULL OR length(link) = 32);
