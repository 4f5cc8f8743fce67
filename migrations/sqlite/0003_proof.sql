-- What a ledger row holds, as a hash chain over its messages; NULL where the row was sealed before there was one.
ALTER TABLE sealed_window ADD COLUMN digest BLOB;

-- Which of the account's messages belong to a stream: those that agree in every part that is given. All NULL where the
-- stream was last followed before this was written down.
ALTER TABLE stream ADD COLUMN sender TEXT;
ALTER TABLE stream ADD COLUMN recipient TEXT;
ALTER TABLE stream ADD COLUMN conversation TEXT;
