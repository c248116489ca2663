CREATE TABLE IF NOT EXISTS channels (
    id         INTEGER PRIMARY KEY,
    platform   TEXT NOT NULL,
    platformid TEXT NOT NULL,
    name       TEXT NOT NULL,
    UNIQUE (platform, platformid)
);

CREATE TABLE IF NOT EXISTS chats (
    id          INTEGER PRIMARY KEY,
    channel     INTEGER NOT NULL REFERENCES channels (id),
    destination TEXT NOT NULL,
    UNIQUE (channel, destination)
);

-- AUTOINCREMENT: a messageid is never given out twice.
CREATE TABLE IF NOT EXISTS messages (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    chat     INTEGER NOT NULL REFERENCES chats (id),
    message  TEXT NOT NULL,
    sent     INTEGER NOT NULL,
    status   TEXT NOT NULL,
    datetime TEXT NOT NULL,
    unread   INTEGER NOT NULL,
    type     TEXT,
    fileurl  TEXT,
    thumburl TEXT
);

CREATE INDEX IF NOT EXISTS messages_of_chat ON messages (chat);
CREATE INDEX IF NOT EXISTS unread_of_chat ON messages (chat) WHERE unread = 1;
