-- Feeds: nodes, their items, and who subscribed. An item is stored once, whatever the number of its subscribers:
-- what a subscriber has seen is a cursor over the items' server-wide sequence.

CREATE TABLE node (
  id INTEGER PRIMARY KEY,
  imid TEXT UNIQUE,                      -- canonical; NULL once it is removed
  was TEXT NOT NULL,                     -- the same, also afterwards
  owner INTEGER NOT NULL,                -- account
  created INTEGER NOT NULL,
  removed INTEGER,                       -- when; what is left of it is swept later
  title TEXT NOT NULL,
  description TEXT NOT NULL,
  language TEXT NOT NULL,                -- BCP 47
  icon TEXT NOT NULL,                    -- URL
  access TEXT NOT NULL,                  -- open, approve, members
  form TEXT NOT NULL,                    -- notification, message: what a subscriber gets who chose nothing
  list INTEGER NOT NULL,                 -- subscribers may publish
  moderated INTEGER NOT NULL,            -- what they publish waits for the owner
  keep INTEGER NOT NULL,                 -- items
  age INTEGER NOT NULL,                  -- days
  every INTEGER NOT NULL DEFAULT 0,      -- seconds in which it promises to publish something, 0: it does not
  last_item INTEGER NOT NULL DEFAULT 0,  -- sequence number of its newest item
  items INTEGER NOT NULL DEFAULT 0,      -- what it keeps: neither retracted nor replaced
  marks INTEGER NOT NULL DEFAULT 0,      -- its other rows of item
  subscribers INTEGER NOT NULL DEFAULT 0, -- active ones
  by_mail INTEGER NOT NULL DEFAULT 0     -- those of them who get messages
);
CREATE INDEX node_by_owner ON node (owner);
CREATE INDEX node_removed ON node (removed) WHERE removed IS NOT NULL;

-- People a node knows by address besides its owner.
CREATE TABLE node_member (
  node INTEGER NOT NULL,
  address TEXT NOT NULL,                 -- canonical IMID
  publisher INTEGER NOT NULL,
  since INTEGER NOT NULL,
  PRIMARY KEY (node, address)
) WITHOUT ROWID;
CREATE INDEX node_member_by_address ON node_member (address);

INSERT INTO next_id VALUES ('item', 1), ('node', 1); -- numbers of nodes are never used again: watches know them

-- What was published, and what happened to it: a retraction and the end of a node are rows of the same sequence.
-- The body is last: a row is read without touching its overflow pages.
CREATE TABLE item (
  seq INTEGER PRIMARY KEY,               -- server-wide, in the order of commits
  node INTEGER NOT NULL,
  kind TEXT NOT NULL,                    -- item, retracted, removed
  uuid BLOB NOT NULL,                    -- the publisher's; of a retraction: that of the item
  prev INTEGER NOT NULL,                 -- sequence number of the node's row before it, 0: none
  publisher TEXT NOT NULL,
  created INTEGER NOT NULL,
  level TEXT NOT NULL,                   -- high, normal, low
  edition INTEGER NOT NULL DEFAULT 1,    -- published so many times under its ID, each time with other content
  retracted INTEGER NOT NULL DEFAULT 0,  -- 1: taken back, 2: a later edition took its place, 3: title only
  accepted INTEGER NOT NULL DEFAULT 0,   -- subscribers that have it; together with the four below: all of that instant
  pending INTEGER NOT NULL DEFAULT 0,    -- who are still to get it as a message
  left_before INTEGER NOT NULL DEFAULT 0, -- who left before it came to them
  blocked INTEGER NOT NULL DEFAULT 0,    -- whose account takes nothing
  over_quota INTEGER NOT NULL DEFAULT 0,
  seen INTEGER NOT NULL DEFAULT 0,       -- who dismissed it, of those who let the publisher know
  title TEXT NOT NULL,
  type TEXT NOT NULL,
  length INTEGER NOT NULL,
  body BLOB NOT NULL
);
CREATE INDEX item_by_node ON item (node, seq);
CREATE INDEX item_kept ON item (node, seq, created) WHERE kind = 'item' AND retracted = 0;
CREATE INDEX item_by_uuid ON item (uuid, node);

-- Published by a subscriber of a moderated list: waits for the owner.
CREATE TABLE waiting_item (
  node INTEGER NOT NULL,
  uuid BLOB NOT NULL,
  publisher TEXT NOT NULL,
  created INTEGER NOT NULL,
  level TEXT NOT NULL,
  title TEXT NOT NULL,
  type TEXT NOT NULL,
  body BLOB NOT NULL,
  PRIMARY KEY (node, uuid)
) WITHOUT ROWID;
CREATE INDEX waiting_item_by_publisher ON waiting_item (node, publisher, created);

CREATE TABLE subscription (
  id INTEGER PRIMARY KEY,
  uuid BLOB NOT NULL UNIQUE,             -- version 4
  node INTEGER NOT NULL,
  mailbox INTEGER NOT NULL,
  subscriber TEXT NOT NULL,              -- canonical IMID
  state TEXT NOT NULL,                   -- waiting, active, left
  form TEXT NOT NULL,                    -- notification, message, hourly, daily
  form_from INTEGER NOT NULL,            -- since which sequence number in that form
  push_from INTEGER NOT NULL,            -- from here, and before push_end, items are notifications, but for push_gap
  push_end INTEGER NOT NULL,
  first INTEGER NOT NULL,                -- since which sequence number at all
  folder INTEGER NOT NULL,               -- of its messages, 0: INBOX
  muted INTEGER NOT NULL,
  tells INTEGER NOT NULL DEFAULT 0,      -- the publisher may count what was seen
  since INTEGER NOT NULL,
  due INTEGER,                           -- when the next digest is sent
  digested INTEGER NOT NULL DEFAULT 0,   -- items up to it were in a digest
  digest_end INTEGER,                    -- items behind it come another way
  UNIQUE (mailbox, node)
);
CREATE INDEX subscription_by_due ON subscription (due) WHERE due IS NOT NULL;
CREATE INDEX subscription_by_digest ON subscription (node, digested) WHERE due IS NOT NULL;
CREATE INDEX subscription_by_node ON subscription (node, id);
CREATE INDEX subscription_by_mail ON subscription (node, id) WHERE state = 'active' AND form = 'message';

-- In between a subscription brought items in another form: what came as notifications before is not lost.
CREATE TABLE push_gap (
  subscription INTEGER NOT NULL,
  gap_from INTEGER NOT NULL,
  gap_end INTEGER NOT NULL,              -- the first that is a notification again
  PRIMARY KEY (subscription, gap_from)
) WITHOUT ROWID;
CREATE TRIGGER subscription_forgotten AFTER DELETE ON subscription BEGIN
  DELETE FROM push_gap WHERE subscription = OLD.id;
END;

-- Who is done with an item.
CREATE TABLE dismissal (
  item INTEGER NOT NULL,
  mailbox INTEGER NOT NULL,
  PRIMARY KEY (item, mailbox)
) WITHOUT ROWID;

-- Items on their way to those who get messages: everybody up to the cursor has it.
CREATE TABLE fan_out (
  item INTEGER PRIMARY KEY,
  node INTEGER NOT NULL,
  owner INTEGER NOT NULL,                -- of the node: owners take turns, and so do the nodes of each
  cursor INTEGER NOT NULL DEFAULT 0,     -- subscription.id
  failed INTEGER NOT NULL DEFAULT 0,     -- how often its step failed in a row
  due INTEGER NOT NULL DEFAULT 0         -- not before; others go on meanwhile
);
CREATE INDEX fan_out_in_turn ON fan_out (owner, node, item);
CREATE INDEX fan_out_by_node ON fan_out (node);

ALTER TABLE position ADD COLUMN item INTEGER NOT NULL DEFAULT 0;
