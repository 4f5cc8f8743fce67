-- Who works on an account. In Postgres several processes may share an archive, each with accounts of its own; here a
-- lock on the file keeps others out, and these stay as they are.
--
-- Every time an account changes hands its lease counts on: whoever held it before can commit nothing more.
ALTER TABLE account ADD COLUMN lease INTEGER NOT NULL DEFAULT 0;
ALTER TABLE account ADD COLUMN held_by TEXT;
