-- SHA-256 of each part, one after the other; what came before has none.
ALTER TABLE content ADD COLUMN digests BLOB;
