-- Where an operator has an access's events sent. What the operator says stands in `document` and `secrets`, which are sealed; the rest
-- is how far the deliveries have come. `version` grows with each change by an operator, so that nothing which was worked out before is
-- written over it.
CREATE TABLE chatgate.webhooks (
    id            text PRIMARY KEY,
    version       bigint NOT NULL,
    client_id     text NOT NULL,   -- of its access
    document      text NOT NULL,
    secrets       bytea NOT NULL,
    state         text NOT NULL,
    cause         text NOT NULL,
    state_at      bigint NOT NULL, -- times in milliseconds since 1970, UTC
    position      bigint NOT NULL, -- events up to here are settled or among the deliveries
    failing_since bigint,
    failures      bigint NOT NULL,
    next_at       bigint NOT NULL,
    gone_at       bigint,
    lost          bigint NOT NULL
);
CREATE INDEX webhooks_by_access ON chatgate.webhooks (client_id);

-- Deliveries that are not settled, and those that were given up.
CREATE TABLE chatgate.deliveries (
    webhook  text NOT NULL REFERENCES chatgate.webhooks (id) ON DELETE CASCADE,
    position bigint NOT NULL,
    event_id text NOT NULL,
    state    text NOT NULL,
    attempts bigint NOT NULL,
    first_at bigint NOT NULL,
    next_at  bigint NOT NULL,
    cause    text NOT NULL,
    PRIMARY KEY (webhook, position)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- What came of each attempt. Nothing of an answer but its status is kept.
CREATE TABLE chatgate.attempts (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    webhook  text NOT NULL REFERENCES chatgate.webhooks (id) ON DELETE CASCADE,
    position bigint NOT NULL,
    event_id text NOT NULL,
    at       bigint NOT NULL,
    number   bigint NOT NULL,
    status   bigint,
    cause    text NOT NULL,
    ms       bigint NOT NULL
);
CREATE INDEX attempts_by_webhook ON chatgate.attempts (webhook, id);

-- A webhook is gone with its access, also with one that is made anew under the same name, and whichever release deletes it.
CREATE FUNCTION chatgate.delete_webhooks() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM chatgate.webhooks WHERE client_id = OLD.client_id;
    RETURN NULL;
END
$$;
CREATE TRIGGER webhooks_of_deleted_access AFTER DELETE ON chatgate.accesses
    FOR EACH ROW EXECUTE FUNCTION chatgate.delete_webhooks();
CREATE TRIGGER webhooks_of_remade_access AFTER UPDATE OF client_id ON chatgate.accesses
    FOR EACH ROW WHEN (OLD.client_id <> NEW.client_id) EXECUTE FUNCTION chatgate.delete_webhooks();
