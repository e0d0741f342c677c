-- Whether a scope is closed until somebody has done something, and not by a time that passes. Rows of
-- before are taken to pass.
ALTER TABLE deadlines ADD COLUMN for_a_person BIGINT NOT NULL DEFAULT 0;
