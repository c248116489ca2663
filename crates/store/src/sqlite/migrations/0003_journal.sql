-- What happened. The id is the time and the order: milliseconds since 1970 (UTC) in the upper bits, a sequence in the lower
-- 20. It grows with every commit, so that one comparison of ids is a page, a time filter, and what is new since.
CREATE TABLE journal (
    id            INTEGER PRIMARY KEY,
    kind          TEXT NOT NULL,    -- request, change, clearing, erasure
    open          INTEGER NOT NULL, -- 1 as long as the outcome is not known
    request_id    TEXT,
    trace_id      TEXT,
    way           TEXT,
    access        TEXT,
    method        TEXT,
    http_method   TEXT,
    path          TEXT,
    peer          TEXT,
    client        BLOB,             -- 4 and four bytes, or 6 and sixteen: a network is one range
    status        INTEGER,          -- on the wire
    canonical     INTEGER,
    code          TEXT,             -- absent when the call succeeded
    upstream_code TEXT,
    delivery      TEXT,
    attempts      INTEGER,
    queue_us      INTEGER,
    upstream_us   INTEGER,
    total_us      INTEGER,
    cache         TEXT,
    limited_by    TEXT,
    limit_max     INTEGER,
    limit_left    INTEGER,
    generation    INTEGER,
    user_agent    TEXT,
    cause         TEXT,
    would_refuse  TEXT,
    actor         TEXT,
    change        INTEGER           -- in the table changes, which has before and after
) STRICT;

-- An index holds the id as well, so that each gives its rows in the order of time. What most rows have not is not in it.
CREATE INDEX journal_by_access ON journal (access) WHERE access IS NOT NULL;
CREATE INDEX journal_by_method ON journal (method) WHERE method IS NOT NULL;
CREATE INDEX journal_by_status ON journal (status) WHERE status IS NOT NULL;
CREATE INDEX journal_by_code ON journal (code) WHERE code IS NOT NULL;
CREATE INDEX journal_by_delivery ON journal (delivery) WHERE delivery IS NOT NULL;
CREATE INDEX journal_by_client ON journal (client) WHERE client IS NOT NULL;
CREATE INDEX journal_by_request ON journal (request_id) WHERE request_id IS NOT NULL;
CREATE INDEX journal_open ON journal (id) WHERE open = 1;

-- What was said, kept for a shorter time. Of whom a call speaks only a keyed hash is kept, to be found for an erasure, which
-- reads all of the table for the answers' sake: an index of scattered hashes would cost every row a page.
CREATE TABLE journal_payload (
    id          INTEGER PRIMARY KEY, -- of the row in the journal
    destination BLOB,
    parameters  TEXT,                -- redacted as the operation table says
    answer      TEXT                 -- only for accesses whose journal level is full
) STRICT;

-- The key of those hashes.
INSERT INTO keys (purpose, material, created_at) VALUES ('journal', randomblob(32), unixepoch());

-- Changes of accesses from before there was a journal.
INSERT INTO journal (id, kind, open, access, actor, change)
SELECT ((at * 1000) << 20) | (id & 0xFFFFF), 'change', 0, access, actor, id FROM changes;
