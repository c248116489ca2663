-- Receipts under a keyed hash of their key: a key may hold whom the call speaks of. The rows with keys are moved by the
-- program at this start, since SQL has no keyed hash (receipts/moving.rs).
ALTER TABLE receipts RENAME TO receipts_with_keys;
DROP INDEX receipts_by_row;
DROP INDEX receipts_by_time;

CREATE TABLE receipts (
    client_id   TEXT NOT NULL,    -- of the access: one that is made anew under an old name has receipts of its own
    method      TEXT NOT NULL,
    key         BLOB NOT NULL,    -- keyed hash of client id and key
    fingerprint BLOB NOT NULL,    -- SHA-256 of the canonical request
    row         INTEGER NOT NULL, -- of the first call, in the journal
    request_id  TEXT NOT NULL,    -- of the first call
    made_at     INTEGER NOT NULL, -- seconds since 1970, UTC
    state       TEXT NOT NULL,    -- open, sent, unknown
    answer      TEXT,             -- the result as JSON text, or the code: what is told again
    -- What it takes at most: 512 bytes for its columns and its places in the indexes, whose pages are two thirds full, and
    -- its answer, a longer one in pages of its own. An open one counts with the longest answer that it may get, so that no
    -- answer takes an access over its room.
    bytes       INTEGER NOT NULL GENERATED ALWAYS AS (
        512 + octet_length(request_id)
        + CASE
            WHEN state = 'open' THEN 1024 + 17 * 4096
            WHEN answer IS NULL THEN 0
            WHEN octet_length(answer) <= 600 THEN octet_length(answer) * 3 / 2
            ELSE 1024 + (octet_length(answer) + 4091) / 4092 * 4096
          END
    ) VIRTUAL,
    PRIMARY KEY (client_id, method, key)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX receipts_by_row ON receipts (row);
-- The oldest of an access, which makes room next.
CREATE INDEX receipts_by_age ON receipts (client_id, made_at);

-- What the receipts of each access take, and in the row without a client id all of them. Triggers keep it, so that it is
-- right whoever writes, in the same transaction, and nobody counts receipts.
CREATE TABLE receipt_room (
    client_id TEXT PRIMARY KEY,
    receipts  INTEGER NOT NULL,
    bytes     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO receipt_room (client_id, receipts, bytes) VALUES ('', 0, 0);

CREATE TRIGGER receipt_made AFTER INSERT ON receipts BEGIN
    INSERT INTO receipt_room (client_id, receipts, bytes)
    VALUES (new.client_id, 1, new.bytes), ('', 1, new.bytes)
    ON CONFLICT (client_id) DO UPDATE SET receipts = receipts + 1, bytes = bytes + excluded.bytes;
END;

CREATE TRIGGER receipt_changed AFTER UPDATE ON receipts WHEN new.bytes <> old.bytes BEGIN
    UPDATE receipt_room SET bytes = bytes + new.bytes - old.bytes WHERE client_id IN (new.client_id, '');
END;

CREATE TRIGGER receipt_gone AFTER DELETE ON receipts BEGIN
    UPDATE receipt_room SET receipts = receipts - 1, bytes = bytes - old.bytes
    WHERE client_id IN (old.client_id, '');
    DELETE FROM receipt_room WHERE client_id = old.client_id AND receipts = 0;
END;

-- How far overwriting what SQLite leaves in unused parts of pages has come; empty when there is nothing to do. What an earlier
-- version deleted was not overwritten, so that a store with a past begins with all of its pages.
CREATE TABLE scrubbing (
    next_page INTEGER NOT NULL
) STRICT;
INSERT INTO scrubbing (next_page) SELECT 1 WHERE EXISTS (SELECT 1 FROM journal) OR EXISTS (SELECT 1 FROM receipts_with_keys);
