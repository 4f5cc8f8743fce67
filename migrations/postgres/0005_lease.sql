-- Who works on an account. Several processes may share an archive, each with accounts of its own: a lock of the
-- session that works on an account keeps others out, and falls with the session.
--
-- Every time an account changes hands its lease counts on: whoever held it before can commit nothing more.
ALTER TABLE account ADD COLUMN lease BIGINT NOT NULL DEFAULT 0;
ALTER TABLE account ADD COLUMN held_by TEXT;
