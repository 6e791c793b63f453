-- Notifications, who may send them, and what is due at a time.

INSERT INTO next_id VALUES ('notification', 1);

-- One row a recipient, kept for some days after its end so that its sender can ask what became of it.
CREATE TABLE notification (
  id INTEGER PRIMARY KEY,
  mailbox INTEGER NOT NULL,
  uuid BLOB NOT NULL UNIQUE,             -- its id in this mailbox
  push BLOB NOT NULL,                    -- the ID its sender gave
  author INTEGER,                        -- mailbox of a sender of this server, which hears of answers
  origin TEXT NOT NULL,                  -- the proven domain
  sender TEXT NOT NULL,                  -- FROM, canonical
  recipient TEXT NOT NULL,               -- as it was addressed
  key BLOB NOT NULL,                     -- hash of origin, sender, recipient, ID
  tag BLOB,                              -- hash of origin, sender, recipient, TAG
  digest BLOB NOT NULL,                  -- SHA-256 of its content
  level INTEGER NOT NULL,
  why TEXT NOT NULL,                     -- by which permission it came
  title TEXT NOT NULL,
  type TEXT NOT NULL,
  body BLOB NOT NULL,
  created INTEGER NOT NULL,
  due INTEGER NOT NULL,                  -- when it is shown
  expires INTEGER NOT NULL,
  status TEXT NOT NULL,                  -- waiting, shown, answered, dismissed, expired, retracted, promoted
  answer TEXT,
  ended INTEGER,                         -- when it was answered, dismissed, …
  repeats INTEGER NOT NULL DEFAULT 0,    -- how often it was shown again
  replaced INTEGER NOT NULL DEFAULT 0,   -- how often its sender changed it
  state INTEGER NOT NULL                 -- the mailbox's number of its last change
);
CREATE INDEX notification_by_mailbox ON notification (mailbox, status);
CREATE INDEX notification_by_key ON notification (mailbox, key);
CREATE INDEX notification_by_tag ON notification (mailbox, tag) WHERE tag IS NOT NULL;
CREATE INDEX notification_by_push ON notification (push);
CREATE INDEX notification_by_end ON notification (ended) WHERE ended IS NOT NULL;

-- What is to be done at a time; one that no longer holds when it comes is passed over.
CREATE TABLE timer (
  kind TEXT NOT NULL,                    -- show, expire, repeat, promote, silence
  subject INTEGER NOT NULL,              -- of a notification, or of a token
  due INTEGER NOT NULL,
  PRIMARY KEY (kind, subject)
) WITHOUT ROWID;
CREATE INDEX timer_by_due ON timer (due);

-- Origins (domains or single senders) that a person approved or declined.
CREATE TABLE push_allow (
  mailbox INTEGER NOT NULL,
  origin TEXT NOT NULL,                  -- a domain, or an IMID
  allowed INTEGER NOT NULL,              -- 0: declined
  cap INTEGER NOT NULL,                  -- no level above it
  since INTEGER NOT NULL,
  PRIMARY KEY (mailbox, origin)
) WITHOUT ROWID;

-- Stranger domains that wait for an answer; each got one notification through.
CREATE TABLE push_request (
  mailbox INTEGER NOT NULL,
  origin TEXT NOT NULL,
  id BLOB NOT NULL UNIQUE,
  sender TEXT NOT NULL,                  -- who asked first
  title TEXT NOT NULL,
  since INTEGER NOT NULL,
  PRIMARY KEY (mailbox, origin)
) WITHOUT ROWID;

-- Secrets of devices and scripts that may push to their owner and nothing else.
CREATE TABLE push_token (
  id INTEGER PRIMARY KEY,
  mailbox INTEGER NOT NULL,
  name TEXT NOT NULL,
  public BLOB NOT NULL UNIQUE,           -- the half that names it
  hash BLOB NOT NULL,                    -- SHA-256 of the half that proves it
  cap INTEGER NOT NULL,
  every INTEGER NOT NULL DEFAULT 0,      -- seconds between signs of life that it promised
  created INTEGER NOT NULL,
  used INTEGER,
  silent INTEGER NOT NULL DEFAULT 0,     -- its owner was told that it is silent
  UNIQUE (mailbox, name)
);

-- Addresses to hand out once: alice+g-<code>@a.com.
CREATE TABLE push_grant (
  mailbox INTEGER NOT NULL,
  code TEXT NOT NULL,
  domain TEXT NOT NULL,                  -- empty until the first domain uses it
  uses INTEGER NOT NULL,                 -- how often it may still be used
  until INTEGER,
  created INTEGER NOT NULL,
  PRIMARY KEY (mailbox, code)
) WITHOUT ROWID;

-- What a person set for their account.
CREATE TABLE setting (
  mailbox INTEGER NOT NULL,
  name TEXT NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY (mailbox, name)
) WITHOUT ROWID;
