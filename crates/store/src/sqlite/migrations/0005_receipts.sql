-- What became of a send that carried an idempotency key. It is written with the open row of the send, in one commit, and
-- closed with it: what a crash leaves open nobody knows.
CREATE TABLE receipts (
    client_id   TEXT NOT NULL,    -- of the access: one that is made anew under an old name has receipts of its own
    method      TEXT NOT NULL,
    key         TEXT NOT NULL,
    fingerprint BLOB NOT NULL,    -- SHA-256 of the canonical request
    row         INTEGER NOT NULL, -- of the first call, in the journal
    request_id  TEXT NOT NULL,    -- of the first call
    made_at     INTEGER NOT NULL, -- seconds since 1970, UTC
    state       TEXT NOT NULL,    -- open, sent, unknown
    answer      TEXT,             -- the result as JSON text, or the code: what is told again
    PRIMARY KEY (client_id, method, key)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX receipts_by_row ON receipts (row);
CREATE INDEX receipts_by_time ON receipts (made_at);
