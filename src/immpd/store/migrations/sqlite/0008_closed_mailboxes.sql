-- A mailbox whose account is disabled takes no messages; it stands where a delivery takes its numbers.
ALTER TABLE mailbox ADD COLUMN closed INTEGER NOT NULL DEFAULT 0;
UPDATE mailbox SET closed = 1 WHERE id IN (SELECT mailbox FROM account WHERE disabled = 1);
