-- Where an operator has an access's events sent. What the operator says stands in `document` and `secrets`; the rest is how far the
-- deliveries have come. `version` grows with each change by an operator, so that nothing which was worked out before is written over it.
CREATE TABLE webhooks (
    id            TEXT PRIMARY KEY,
    version       INTEGER NOT NULL,
    client_id     TEXT NOT NULL,    -- of its access
    document      TEXT NOT NULL,
    secrets       BLOB NOT NULL,
    state         TEXT NOT NULL,
    cause         TEXT NOT NULL,
    state_at      INTEGER NOT NULL, -- times in milliseconds since 1970, UTC
    position      INTEGER NOT NULL, -- events up to here are settled or among the deliveries
    failing_since INTEGER,
    failures      INTEGER NOT NULL,
    next_at       INTEGER NOT NULL,
    gone_at       INTEGER,
    lost          INTEGER NOT NULL
) STRICT;
CREATE INDEX webhooks_by_access ON webhooks (client_id);

-- Deliveries that are not settled, and those that were given up.
CREATE TABLE deliveries (
    webhook  TEXT NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    event_id TEXT NOT NULL,
    state    TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    first_at INTEGER NOT NULL,
    next_at  INTEGER NOT NULL,
    cause    TEXT NOT NULL,
    PRIMARY KEY (webhook, position)
) STRICT, WITHOUT ROWID;

-- What came of each attempt. Nothing of an answer but its status is kept.
CREATE TABLE attempts (
    id       INTEGER PRIMARY KEY,
    webhook  TEXT NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    event_id TEXT NOT NULL,
    at       INTEGER NOT NULL,
    number   INTEGER NOT NULL,
    status   INTEGER,
    cause    TEXT NOT NULL,
    ms       INTEGER NOT NULL
) STRICT;
CREATE INDEX attempts_by_webhook ON attempts (webhook, id);

-- A webhook is gone with its access, also with one that is made anew under the same name.
CREATE TRIGGER webhooks_of_deleted_access AFTER DELETE ON accesses BEGIN
    DELETE FROM webhooks WHERE client_id = OLD.client_id;
END;
CREATE TRIGGER webhooks_of_remade_access AFTER UPDATE OF client_id ON accesses WHEN OLD.client_id <> NEW.client_id BEGIN
    DELETE FROM webhooks WHERE client_id = OLD.client_id;
END;
