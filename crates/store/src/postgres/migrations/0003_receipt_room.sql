-- What a receipt takes at most: 512 bytes for its columns and its places in the indexes, and its answer, a longer one in a place
-- of its own. An open one counts with the longest answer that it may get, so that no answer takes an access over its room.
CREATE FUNCTION chatgate.receipt_bytes(request_id text, state text, answer text) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT (512 + octet_length(request_id) + CASE
        WHEN state = 'open' THEN 1024 + 17 * 4096
        WHEN answer IS NULL THEN 0
        WHEN octet_length(answer) <= 600 THEN octet_length(answer) * 3 / 2
        ELSE 1024 + (octet_length(answer) + 4091) / 4092 * 4096
    END)::bigint
$$;

-- What the receipts of each access take, and under an empty client id those of all: the sum over the parts. Each connection counts
-- in a part of its own as a rule, so that no two sends wait for one row. A part alone may be less than nothing.
CREATE TABLE chatgate.receipt_room (
    client_id text NOT NULL,
    part      smallint NOT NULL,
    receipts  bigint NOT NULL,
    bytes     bigint NOT NULL,
    PRIMARY KEY (client_id, part)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- Adds to the room what a statement has changed, whoever has made it. In the order of client ids, so that no two wait for each
-- other.
CREATE FUNCTION chatgate.count_receipts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO chatgate.receipt_room AS r (client_id, part, receipts, bytes)
        SELECT coalesce(client_id, ''), pg_backend_pid() % 64, count(*),
            sum(chatgate.receipt_bytes(request_id, state, answer))
        FROM made GROUP BY GROUPING SETS ((client_id), ()) HAVING count(*) > 0 ORDER BY 1
        ON CONFLICT (client_id, part) DO UPDATE SET receipts = r.receipts + excluded.receipts, bytes = r.bytes + excluded.bytes;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO chatgate.receipt_room AS r (client_id, part, receipts, bytes)
        SELECT coalesce(client_id, ''), pg_backend_pid() % 64, -count(*),
            -sum(chatgate.receipt_bytes(request_id, state, answer))
        FROM gone GROUP BY GROUPING SETS ((client_id), ()) HAVING count(*) > 0 ORDER BY 1
        ON CONFLICT (client_id, part) DO UPDATE SET receipts = r.receipts + excluded.receipts, bytes = r.bytes + excluded.bytes;
    ELSE
        INSERT INTO chatgate.receipt_room AS r (client_id, part, receipts, bytes)
        SELECT coalesce(client_id, ''), pg_backend_pid() % 64, 0, sum(bytes) FROM (
            SELECT client_id, chatgate.receipt_bytes(request_id, state, answer) AS bytes FROM made
            UNION ALL SELECT client_id, -chatgate.receipt_bytes(request_id, state, answer) FROM gone
        ) AS changed GROUP BY GROUPING SETS ((client_id), ()) HAVING sum(bytes) <> 0 ORDER BY 1
        ON CONFLICT (client_id, part) DO UPDATE SET bytes = r.bytes + excluded.bytes;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER receipts_made AFTER INSERT ON chatgate.receipts
    REFERENCING NEW TABLE AS made FOR EACH STATEMENT EXECUTE FUNCTION chatgate.count_receipts();
CREATE TRIGGER receipts_changed AFTER UPDATE ON chatgate.receipts
    REFERENCING OLD TABLE AS gone NEW TABLE AS made FOR EACH STATEMENT EXECUTE FUNCTION chatgate.count_receipts();
CREATE TRIGGER receipts_gone AFTER DELETE ON chatgate.receipts
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION chatgate.count_receipts();

-- Rows of unknown callers, oldest first: they have a small share of the room and are the first to go.
CREATE INDEX journal_of_unknown ON chatgate.journal (id) WHERE access IS NULL AND kind = 'request';
