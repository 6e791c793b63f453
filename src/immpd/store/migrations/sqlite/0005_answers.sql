-- Whom a person has written to: that address may answer with so many notifications, for a time.

CREATE TABLE push_answer (
  mailbox INTEGER NOT NULL,              -- whose person wrote, and may be notified
  address TEXT NOT NULL,                 -- to whom
  uses INTEGER NOT NULL,                 -- notifications that it may still send
  until INTEGER NOT NULL,
  PRIMARY KEY (mailbox, address)
) WITHOUT ROWID;
CREATE INDEX push_answer_by_end ON push_answer (until);
