-- 1 where a stream is followed because it was found, and not because the configuration lists it.
ALTER TABLE stream ADD COLUMN discovered BIGINT NOT NULL DEFAULT 0;

-- Why the provider could not be asked what there is to follow; NULL where it could, or is not asked.
ALTER TABLE account ADD COLUMN unlisted_error TEXT;
ALTER TABLE account ADD COLUMN unlisted_hint TEXT;
