-- What has happened in the channels that somebody listens to, in the order in which it was committed.
CREATE TABLE events (
    position    INTEGER PRIMARY KEY, -- milliseconds since 1970 << 20 | sequence; above all that were committed before
    id          TEXT NOT NULL UNIQUE, -- a keyed hash of what happened: the same after a crash, a restore, and on every replica
    kind        TEXT NOT NULL,
    platform    TEXT NOT NULL,
    platformid  TEXT NOT NULL,
    destination TEXT,
    gap         INTEGER NOT NULL,    -- 1: something before it may be missing
    late        INTEGER NOT NULL,    -- 1: a later message of its chat came first
    row         TEXT                 -- the upstream's row as JSON text
) STRICT;

-- What is known of the upstream's channels, chats and messages, so that a look shows what is new.
CREATE TABLE event_channels (
    id         INTEGER PRIMARY KEY,
    account    TEXT NOT NULL,
    platform   TEXT NOT NULL,
    platformid TEXT NOT NULL,
    newest     TEXT,                 -- the largest datetime of the last look, by the upstream's clock
    stalled_at INTEGER,              -- milliseconds since 1970, UTC: since when no look succeeded
    UNIQUE (account, platform, platformid)
) STRICT;

CREATE TABLE event_chats (
    id             INTEGER PRIMARY KEY,
    channel        INTEGER NOT NULL REFERENCES event_channels (id) ON DELETE CASCADE,
    destination    TEXT NOT NULL,
    tip            TEXT,             -- the id of the last message of the last look
    tip_status     TEXT,
    floor          TEXT,             -- the id of the last message that is history
    floor_datetime TEXT,             -- its datetime: what is older is history, too
    UNIQUE (channel, destination)
) STRICT;

CREATE TABLE event_messages (
    chat     INTEGER NOT NULL REFERENCES event_chats (id) ON DELETE CASCADE,
    id       TEXT NOT NULL,
    status   TEXT NOT NULL,
    datetime TEXT,
    position INTEGER NOT NULL,       -- of its event
    PRIMARY KEY (chat, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX event_messages_by_position ON event_messages (position);

-- trimmed: nothing up to this position is kept. newest: the last position that was given. bytes: what the events take.
CREATE TABLE event_marks (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO event_marks (name, value) VALUES ('bytes', 0), ('newest', 0), ('trimmed', 0);

-- Until when channels are looked at for an access.
CREATE TABLE event_interests (
    client_id TEXT PRIMARY KEY,
    until_ms  INTEGER NOT NULL       -- milliseconds since 1970, UTC
) STRICT, WITHOUT ROWID;
