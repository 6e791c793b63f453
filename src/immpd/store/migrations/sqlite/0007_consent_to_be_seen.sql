-- Whether the recipient let it be known, when it was dismissed, that it was seen: consent tells nothing of before.
ALTER TABLE notification ADD COLUMN seen INTEGER NOT NULL DEFAULT 0;
