-- Accounts, mailboxes, folders, messages, changes. UUIDs are 16-octet blobs, times milliseconds UTC.
-- Of what a delivery writes only `placement` is led by the folder: each tree led so costs a dirty page
-- a delivery. `message_place` and `retry` are led by version-7 UUIDs, so their rows come at the end.

CREATE TABLE account (
  id INTEGER PRIMARY KEY,
  address TEXT NOT NULL UNIQUE,          -- canonical IMID
  domain TEXT NOT NULL,
  local TEXT NOT NULL,
  skeleton TEXT NOT NULL,                -- UTS 39 skeleton of the local part
  mailbox INTEGER NOT NULL,
  disabled INTEGER NOT NULL DEFAULT 0,
  created INTEGER NOT NULL,
  salt BLOB NOT NULL,
  iterations INTEGER NOT NULL,
  stored_key BLOB NOT NULL,              -- RFC 5802
  server_key BLOB NOT NULL,
  sealed BLOB,                           -- h for AUTH SECRET, sealed under a key outside the database
  UNIQUE (domain, skeleton)
);

CREATE TABLE mailbox (
  id INTEGER PRIMARY KEY,
  kind TEXT NOT NULL,                    -- account, shared
  address TEXT NOT NULL UNIQUE,
  state INTEGER NOT NULL DEFAULT 0,      -- number of its last change
  floor INTEGER NOT NULL DEFAULT 0       -- changes after this number are all known
);

CREATE TABLE folder (
  id INTEGER PRIMARY KEY,
  mailbox INTEGER NOT NULL,
  uuid BLOB NOT NULL UNIQUE,
  path TEXT NOT NULL,                    -- as written: /INBOX, /lists/python
  key TEXT NOT NULL,                     -- path without case, NFC
  role TEXT,                             -- inbox, drafts, sent, junk, trash, archive
  unread INTEGER NOT NULL DEFAULT 0,
  total INTEGER NOT NULL DEFAULT 0,
  state INTEGER NOT NULL DEFAULT 0,      -- number of the last change in it
  UNIQUE (mailbox, key)
);

-- Next integer key of tables whose rows come by the batch (Tx.take_ids).
CREATE TABLE next_id (name TEXT PRIMARY KEY, next INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO next_id VALUES ('content', 1);

-- What never changes of a message, one row for all its recipients. Narrow columns first: an index
-- row is read without touching the overflow pages of a large body.
CREATE TABLE content (
  id INTEGER PRIMARY KEY,
  sender TEXT NOT NULL,                  -- envelope.from, canonical
  sent INTEGER NOT NULL,                 -- envelope.date
  size INTEGER NOT NULL,                 -- octets of all parts
  files TEXT,                            -- JSON {"part": "file name"} of parts kept as files
  row BLOB NOT NULL,                     -- start of its INDEX row: a JSON object without the closing brace
  parts BLOB NOT NULL,                   -- JSON list of model.Part
  envelope BLOB NOT NULL,                -- JSON of model.Envelope
  octets BLOB                            -- parts that are not files, one after the other
);

-- How many placements a content has, where more than one.
CREATE TABLE shared (content INTEGER PRIMARY KEY, refs INTEGER NOT NULL);

CREATE TABLE placement (
  folder INTEGER NOT NULL,
  seq INTEGER NOT NULL,                  -- the mailbox's number when it came into this folder
  id BLOB NOT NULL,
  content INTEGER NOT NULL,
  flags INTEGER NOT NULL,
  keywords TEXT,                         -- ' one two ': a space before and after each
  state INTEGER NOT NULL,                -- the mailbox's number of its last change
  placed INTEGER NOT NULL,               -- when the message came into the mailbox
  private BLOB,                          -- JSON that only this mailbox may see (bcc)
  PRIMARY KEY (folder, seq)
) WITHOUT ROWID;

CREATE TABLE message_place (
  mailbox INTEGER NOT NULL,
  id BLOB NOT NULL,
  folder INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  PRIMARY KEY (id, mailbox, folder)
) WITHOUT ROWID;

-- Changes that cannot be read from the placements themselves.
CREATE TABLE change (
  mailbox INTEGER NOT NULL,
  state INTEGER NOT NULL,
  kind TEXT NOT NULL,
  folder INTEGER NOT NULL,
  id BLOB,
  origin INTEGER,
  data BLOB,                             -- JSON of the rest
  PRIMARY KEY (mailbox, state)
) WITHOUT ROWID;

-- Where a message was in a folder that it left: INDEX AFTER its id goes on from there.
CREATE TABLE gone (
  mailbox INTEGER NOT NULL,
  id BLOB NOT NULL,
  folder INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  PRIMARY KEY (id, mailbox, folder)
) WITHOUT ROWID;

-- Messages in TRASH: which folders they were in, and since when they lie there.
CREATE TABLE trashed (
  mailbox INTEGER NOT NULL,
  id BLOB NOT NULL,
  origin INTEGER NOT NULL,               -- folder, 0 where it came straight into TRASH
  deleted INTEGER NOT NULL,
  PRIMARY KEY (id, mailbox, origin)
) WITHOUT ROWID;
CREATE INDEX trashed_by_time ON trashed (deleted);

-- Same ID again within 30 days: delivered once.
CREATE TABLE retry (
  key BLOB PRIMARY KEY,                  -- start of the ID, then SHA-256(origin, from, recipient, ID)
  digest BLOB NOT NULL,                  -- SHA-256 of the content
  day INTEGER NOT NULL                   -- days since 1970
) WITHOUT ROWID;

CREATE TABLE body_file (
  name TEXT PRIMARY KEY,
  content INTEGER NOT NULL,
  part INTEGER NOT NULL,
  length INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX body_file_by_content ON body_file (content);

CREATE TABLE doomed_file (name TEXT PRIMARY KEY) WITHOUT ROWID;

-- The last cursor that a device acknowledged, by watch and mailbox.
CREATE TABLE position (
  account INTEGER NOT NULL,
  device TEXT NOT NULL,
  name TEXT NOT NULL,
  mailbox INTEGER NOT NULL,
  cursor INTEGER NOT NULL,
  PRIMARY KEY (account, device, name, mailbox)
) WITHOUT ROWID;
