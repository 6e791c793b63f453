-- A folder's number is never given away again: what remembers a folder that was removed must not mean another one.

INSERT INTO next_id
SELECT 'folder', 1 + max(
  coalesce((SELECT max(id) FROM folder), 0),
  coalesce((SELECT max(origin) FROM trashed), 0),
  coalesce((SELECT max(folder) FROM change), 0)
);
