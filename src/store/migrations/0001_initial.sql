-- The portable subset of SQL: BIGINT, TEXT and BLOB (BYTEA on PostgreSQL) only, ids made by the
-- program, times in milliseconds since the Unix epoch, JSON as TEXT, partial indexes, no triggers.

-- Facts about the store itself: installation_id, seal_key_id.
CREATE TABLE meta (
    key   TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

-- One row per certificate that is or was configured. A retired one is never due.
CREATE TABLE certificates (
    name        TEXT   NOT NULL PRIMARY KEY,
    record      TEXT   NOT NULL,
    version     BIGINT NOT NULL,
    due_at      BIGINT NOT NULL,
    woken_at    BIGINT,
    retired_at  BIGINT,
    lease_owner TEXT,
    lease_until BIGINT,
    fence       BIGINT NOT NULL
);
CREATE INDEX certificates_due ON certificates (due_at) WHERE retired_at IS NULL;

-- Issued chains with their keys. Chain and key of old ones are removed; the row stays, so that a
-- leaf of ours is known as ours for ever.
CREATE TABLE generations (
    name        TEXT   NOT NULL,
    generation  BIGINT NOT NULL,
    chain       TEXT,
    key_sealed  BLOB,
    fingerprint TEXT   NOT NULL,
    not_before  BIGINT NOT NULL,
    not_after   BIGINT NOT NULL,
    issuer      TEXT   NOT NULL,
    directory   TEXT   NOT NULL,
    order_id    TEXT,
    created_at  BIGINT NOT NULL,
    PRIMARY KEY (name, generation)
);
CREATE INDEX generations_fingerprint ON generations (fingerprint);

-- Orders from their intent on; at most one per certificate is open.
CREATE TABLE orders (
    id          TEXT   NOT NULL PRIMARY KEY,
    name        TEXT   NOT NULL,
    intent_at   BIGINT NOT NULL,
    accepted_at BIGINT,
    url         TEXT,
    names       TEXT   NOT NULL,
    key_type    TEXT   NOT NULL,
    key_sealed  BLOB,
    csr         BLOB,
    issuer      TEXT   NOT NULL,
    directory   TEXT   NOT NULL,
    account     TEXT   NOT NULL,
    profile     TEXT,
    replaces    TEXT,
    closed_at   BIGINT,
    outcome     TEXT
);
CREATE UNIQUE INDEX orders_open ON orders (name) WHERE closed_at IS NULL;
CREATE INDEX orders_closed ON orders (closed_at) WHERE closed_at IS NOT NULL;

-- Our account at each CA, by the URL of its directory.
CREATE TABLE acme_accounts (
    directory  TEXT   NOT NULL PRIMARY KEY,
    key_sealed BLOB   NOT NULL,
    url        TEXT,
    contacts   TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    opened_at  BIGINT
);

-- What counts against the limits that a CA publishes.
CREATE TABLE ledger (
    id        TEXT   NOT NULL PRIMARY KEY,
    directory TEXT   NOT NULL,
    account   TEXT   NOT NULL,
    scope     TEXT   NOT NULL,
    subject   TEXT   NOT NULL,
    at        BIGINT NOT NULL,
    order_id  TEXT   NOT NULL,
    exempt    BIGINT NOT NULL
);
CREATE INDEX ledger_subject ON ledger (directory, scope, subject, at);
CREATE INDEX ledger_at ON ledger (at);

-- Times before which something must not happen, by the key of their scope.
CREATE TABLE deadlines (
    scope    TEXT   NOT NULL PRIMARY KEY,
    until    BIGINT NOT NULL,
    set_at   BIGINT NOT NULL,
    failures BIGINT NOT NULL,
    why      TEXT   NOT NULL
);

-- Every thing created outside, from before it is created until it is known to be gone.
CREATE TABLE journal (
    id         TEXT   NOT NULL PRIMARY KEY,
    kind       TEXT   NOT NULL,
    name       TEXT   NOT NULL,
    order_id   TEXT,
    payload    TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    closed_at  BIGINT
);
CREATE INDEX journal_open ON journal (kind, name) WHERE closed_at IS NULL;
CREATE INDEX journal_closed ON journal (closed_at) WHERE closed_at IS NOT NULL;

-- What changed, for people.
CREATE TABLE history (
    id      TEXT   NOT NULL PRIMARY KEY,
    at      BIGINT NOT NULL,
    name    TEXT,
    target  TEXT,
    kind    TEXT   NOT NULL,
    message TEXT   NOT NULL,
    details TEXT   NOT NULL
);
CREATE INDEX history_at ON history (at, id);
CREATE INDEX history_name ON history (name, at, id);

-- Wishes of the admin, their progress and answer.
CREATE TABLE requests (
    id           TEXT   NOT NULL PRIMARY KEY,
    name         TEXT,
    kind         TEXT   NOT NULL,
    parameters   TEXT   NOT NULL,
    requested_at BIGINT NOT NULL,
    progress     TEXT,
    succeeded    BIGINT,
    answer       TEXT,
    finished_at  BIGINT
);
CREATE INDEX requests_pending ON requests (requested_at, id) WHERE finished_at IS NULL;
CREATE INDEX requests_finished ON requests (finished_at) WHERE finished_at IS NOT NULL;

-- Answers to http-01 challenges, for whichever host is asked.
CREATE TABLE challenges (
    token             TEXT   NOT NULL PRIMARY KEY,
    host              TEXT   NOT NULL,
    key_authorization TEXT   NOT NULL,
    order_id          TEXT   NOT NULL,
    created_at        BIGINT NOT NULL
);

-- Open trouble and when it was last told.
CREATE TABLE alerts (
    id           TEXT   NOT NULL PRIMARY KEY,
    name         TEXT,
    subject      TEXT   NOT NULL,
    message      TEXT   NOT NULL,
    details      TEXT   NOT NULL,
    opened_at    BIGINT NOT NULL,
    last_said_at BIGINT,
    closed_at    BIGINT
);
CREATE UNIQUE INDEX alerts_open ON alerts (subject) WHERE closed_at IS NULL;

-- Which processes work on this store.
CREATE TABLE hosts (
    host       TEXT   NOT NULL PRIMARY KEY,
    process    TEXT   NOT NULL,
    version    TEXT   NOT NULL,
    started_at BIGINT NOT NULL,
    seen_at    BIGINT NOT NULL
);
