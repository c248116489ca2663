-- What has happened in the channels that somebody listens to. Positions are given under a lock of the transaction, so that their
-- order is that of commits.
CREATE TABLE chatgate.events (
    position    bigint PRIMARY KEY, -- milliseconds since 1970 << 20 | sequence, by the database's clock
    id          text NOT NULL UNIQUE,
    kind        text NOT NULL,
    platform    text NOT NULL,
    platformid  text NOT NULL,
    destination text,
    gap         boolean NOT NULL,
    late        boolean NOT NULL,
    "row"       text
);

-- What is known of the upstream's channels, chats and messages, so that a look shows what is new.
CREATE TABLE chatgate.event_channels (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account    text NOT NULL,
    platform   text NOT NULL,
    platformid text NOT NULL,
    newest     text,
    stalled_at bigint,
    UNIQUE (account, platform, platformid)
);

CREATE TABLE chatgate.event_chats (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    channel        bigint NOT NULL REFERENCES chatgate.event_channels (id) ON DELETE CASCADE,
    destination    text NOT NULL,
    tip            text,
    tip_status     text,
    floor          text,
    floor_datetime text,
    UNIQUE (channel, destination)
);

CREATE TABLE chatgate.event_messages (
    chat     bigint NOT NULL REFERENCES chatgate.event_chats (id) ON DELETE CASCADE,
    id       text NOT NULL,
    status   text NOT NULL,
    datetime text,
    position bigint NOT NULL,
    PRIMARY KEY (chat, id)
);
CREATE INDEX event_messages_by_position ON chatgate.event_messages (position);

-- trimmed: nothing up to this position is kept. newest: the last position that was given. bytes: what the events take.
CREATE TABLE chatgate.event_marks (
    name  text PRIMARY KEY,
    value bigint NOT NULL
);
INSERT INTO chatgate.event_marks (name, value) VALUES ('bytes', 0), ('newest', 0), ('trimmed', 0);

CREATE TABLE chatgate.event_interests (
    client_id text PRIMARY KEY,
    until_ms  bigint NOT NULL -- milliseconds since 1970, UTC
);
