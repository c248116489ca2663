-- Sends under way. Whoever takes a row away writes its outcome, in one statement: nobody else does.
CREATE TABLE chatgate.intents (
    id    bigint PRIMARY KEY,                -- of its row in the journal
    owner bigint NOT NULL,                   -- the replica
    at    timestamptz NOT NULL DEFAULT now(),
    row   text NOT NULL                      -- the journal's row, as JSON
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
CREATE INDEX intents_by_owner ON chatgate.intents (owner);

CREATE TABLE chatgate.receipts (
    client_id   text NOT NULL,   -- of the access: one that is made anew under an old name has receipts of its own
    method      text NOT NULL,
    key         bytea NOT NULL,  -- keyed hash of client id and key
    fingerprint bytea NOT NULL,  -- SHA-256 of the canonical request
    row         bigint NOT NULL, -- of the first call, in the journal
    request_id  text NOT NULL,   -- of the first call
    made_at     bigint NOT NULL, -- seconds since 1970, UTC
    state       text NOT NULL,   -- open, sent, unknown
    answer      text,            -- the result as JSON text, or the code
    PRIMARY KEY (client_id, method, key)
) WITH (fillfactor = 70);
CREATE UNIQUE INDEX receipts_by_row ON chatgate.receipts (row);
CREATE INDEX receipts_by_age ON chatgate.receipts (client_id, made_at);

-- What happened, in a partition for each day. The id is the time and the order: milliseconds since 1970 (UTC) in the upper bits,
-- then the replica's slot and a sequence of its own.
CREATE TABLE chatgate.journal (
    id                bigint PRIMARY KEY,
    replica           bigint NOT NULL,
    kind              text NOT NULL,
    open              boolean NOT NULL DEFAULT false,
    count             bigint NOT NULL DEFAULT 1,
    request_id        text,
    caller_request_id text,
    trace_id          text,
    way               text,
    access            text,
    method            text,
    http_method       text,
    path              text,
    peer              text,
    client            inet,
    status            integer,
    canonical         integer,
    code              text,
    upstream_code     text,
    delivery          text,
    attempts          bigint,
    queue_us          bigint,
    upstream_us       bigint,
    total_us          bigint,
    cache             text,
    limited_by        text,
    limit_max         bigint,
    limit_left        bigint,
    generation        bigint,
    user_agent        text,
    cause             text,
    would_refuse      text,
    actor             text,
    change            bigint           -- in the table changes
) PARTITION BY RANGE (id);
-- A row that stands here found no partition of its day.
CREATE TABLE chatgate.journal_rest PARTITION OF chatgate.journal DEFAULT;

-- What most rows have not is not in an index. Each gives its rows in the order of time.
CREATE INDEX journal_by_access ON chatgate.journal (access, id) WHERE access IS NOT NULL;
CREATE INDEX journal_by_method ON chatgate.journal (method, id) WHERE method IS NOT NULL;
CREATE INDEX journal_by_status ON chatgate.journal (status, id) WHERE status <> 200;
CREATE INDEX journal_by_code ON chatgate.journal (code, id) WHERE code IS NOT NULL;
CREATE INDEX journal_by_delivery ON chatgate.journal (delivery, id) WHERE delivery IS NOT NULL;
CREATE INDEX journal_by_client ON chatgate.journal (client, id) WHERE client IS NOT NULL;
CREATE INDEX journal_by_request ON chatgate.journal (request_id) WHERE request_id IS NOT NULL;
CREATE INDEX journal_by_caller_request ON chatgate.journal (caller_request_id) WHERE caller_request_id IS NOT NULL;

-- What was said, kept for a shorter time.
CREATE TABLE chatgate.journal_payload (
    id          bigint PRIMARY KEY, -- of the row in the journal
    destination bytea,              -- keyed hash
    parameters  text,
    answer      text
) PARTITION BY RANGE (id);
CREATE TABLE chatgate.journal_payload_rest PARTITION OF chatgate.journal_payload DEFAULT;

-- Calls by the minute, so that availability is added up over all replicas without reading rows.
CREATE TABLE chatgate.tallies (
    minute  bigint NOT NULL, -- since 1970
    replica bigint NOT NULL,
    calls   bigint NOT NULL,
    failed  bigint NOT NULL,
    PRIMARY KEY (minute, replica)
);
