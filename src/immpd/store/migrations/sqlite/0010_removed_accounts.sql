-- A removed account keeps its row and its mailbox's: the address is not given again, and numbers never mean another.
ALTER TABLE account ADD COLUMN removed INTEGER; -- when it was closed for good

-- What is left of removed accounts goes in steps.
CREATE TABLE removal (
  account INTEGER PRIMARY KEY,
  mailbox INTEGER NOT NULL,
  notification INTEGER NOT NULL DEFAULT 0 -- none up to it has the account as its author any more
);
