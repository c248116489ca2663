-- Every table is named with its schema: a pooler hands connections on without their search path.

-- What all replicas have to agree on. `schema` is the last migration; `contract` is what a program has to know at least so that it
-- may write these tables: it rises only in a release after the one that could do without.
CREATE TABLE chatgate.deployment (
    one      boolean PRIMARY KEY DEFAULT true CHECK (one),
    id       uuid NOT NULL DEFAULT gen_random_uuid(),
    schema   integer NOT NULL,
    contract integer NOT NULL
);
INSERT INTO chatgate.deployment (schema, contract) VALUES (1, 1);

-- A number for each thing that replicas keep in memory, raised in the transaction of a change: its row lock is the order of
-- changes.
CREATE TABLE chatgate.epochs (
    what  text PRIMARY KEY,
    epoch bigint NOT NULL DEFAULT 0
);
INSERT INTO chatgate.epochs (what) VALUES ('accesses'), ('admin_keys'), ('signing_keys');

-- A row for each life of a process: a restart is another replica. `slot` stands in the ids of its rows. The three epochs are
-- those in force there.
CREATE TABLE chatgate.replicas (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    slot         smallint NOT NULL UNIQUE CHECK (slot BETWEEN 0 AND 255),
    name         text NOT NULL,
    version      text NOT NULL,
    contract     integer NOT NULL,
    config       bytea NOT NULL,
    started_at   timestamptz NOT NULL DEFAULT now(),
    lease_until  timestamptz NOT NULL,
    draining     boolean NOT NULL DEFAULT false,
    accesses     bigint NOT NULL DEFAULT 0,
    admin_keys   bigint NOT NULL DEFAULT 0,
    signing_keys bigint NOT NULL DEFAULT 0,
    figures      jsonb
);

-- Who does the housekeeping of all. The token grows with each holder, and stands in what a holder writes.
CREATE TABLE chatgate.leases (
    what        text PRIMARY KEY,
    holder      bigint NOT NULL,
    token       bigint NOT NULL,
    lease_until timestamptz NOT NULL
);

-- What has happened once and does not happen again, such as the first start.
CREATE TABLE chatgate.facts (
    name text PRIMARY KEY,
    at   bigint NOT NULL -- seconds since 1970, UTC
);

-- An access is kept as one JSON document; the columns beside it are what has to be unique.
CREATE TABLE chatgate.accesses (
    name      text PRIMARY KEY,
    "user"    text NOT NULL UNIQUE,
    client_id text NOT NULL UNIQUE,
    document  text NOT NULL
);

-- Who changed what about an access: before and after without secrets. The id is the epoch and the version of the access after
-- the change, and never comes twice.
CREATE TABLE chatgate.changes (
    id     bigint PRIMARY KEY,
    at     bigint NOT NULL, -- seconds since 1970, UTC
    actor  text NOT NULL,
    access text NOT NULL,
    before text,
    after  text
);
CREATE INDEX changes_by_access ON chatgate.changes (access, id);

-- The keys of operators; only a keyed hash of each is kept.
CREATE TABLE chatgate.admin_keys (
    name       text PRIMARY KEY,
    role       text NOT NULL,
    hash       text NOT NULL,
    created_at bigint NOT NULL -- seconds since 1970, UTC
);

-- Key material, sealed by the key of the configuration. Of some purposes there is one key for ever; `signs_from` is when a key
-- begins to sign tokens.
CREATE TABLE chatgate.keys (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    purpose    text NOT NULL,
    sealed     bytea NOT NULL,
    created_at bigint NOT NULL, -- seconds since 1970, UTC
    signs_from bigint NOT NULL  -- seconds since 1970, UTC
);
CREATE INDEX keys_by_purpose ON chatgate.keys (purpose, id);
CREATE UNIQUE INDEX keys_once ON chatgate.keys (purpose) WHERE purpose IN ('secrets', 'journal');

-- Sessions of the console, by the keyed hash of their ids; times in seconds since 1970, UTC.
CREATE TABLE chatgate.sessions (
    id_hash  text PRIMARY KEY,
    key_name text NOT NULL,
    key_hash text NOT NULL,
    token    text NOT NULL,
    began    bigint NOT NULL,
    used     bigint NOT NULL
);

-- How many calls of a day have been given to replicas in blocks, made or not. `block` is what the last one took.
CREATE TABLE chatgate.daily_counts (
    access text PRIMARY KEY,
    day    integer NOT NULL, -- days since 1970, UTC
    given  bigint NOT NULL,
    block  bigint NOT NULL
);

-- When, from where and by which way an access was last let in. By client id: one that is made anew under an old name has not
-- been used yet.
CREATE TABLE chatgate.last_uses (
    client_id text PRIMARY KEY,
    at        bigint NOT NULL, -- seconds since 1970, UTC
    address   inet NOT NULL,
    way       text NOT NULL
);
