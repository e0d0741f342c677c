-- When the bucket that a row has drawn from will be full again, that row included: all that has to
-- be known to tell whether there is one in it; and by how much the row has put that off. Rows of before
-- count for nothing.
ALTER TABLE ledger ADD COLUMN full_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE ledger ADD COLUMN refill  BIGINT NOT NULL DEFAULT 0;
CREATE INDEX ledger_full_at ON ledger (directory, scope, subject, full_at) WHERE exempt = 0;
