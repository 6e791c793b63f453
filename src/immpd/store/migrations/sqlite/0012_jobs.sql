-- Who does a job at present. A job that is divided has a row for each subject that is being worked on.
CREATE TABLE job_lease (
  job TEXT NOT NULL,
  subject TEXT NOT NULL,                  -- empty: all of the job
  holder BLOB NOT NULL,                   -- the random number of a process
  until INTEGER NOT NULL,                 -- then it ends by itself
  PRIMARY KEY (job, subject)
) WITHOUT ROWID;

-- When the next round begins of a job that goes through everything now and then.
CREATE TABLE job_round (
  job TEXT PRIMARY KEY,
  due INTEGER NOT NULL
) WITHOUT ROWID;

ALTER TABLE timer ADD COLUMN failed INTEGER NOT NULL DEFAULT 0;               -- how often in a row
ALTER TABLE subscription ADD COLUMN digest_failed INTEGER NOT NULL DEFAULT 0; -- so, to send the digest that is due
