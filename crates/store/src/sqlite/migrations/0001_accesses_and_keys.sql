-- An access is kept as one JSON document; the columns beside it are what has to be unique.
CREATE TABLE accesses (
    name      TEXT PRIMARY KEY,
    user      TEXT NOT NULL UNIQUE,
    client_id TEXT NOT NULL UNIQUE,
    document  TEXT NOT NULL
) STRICT;

-- Key material made by this gateway: 'secrets' hashes random secrets, 'tokens/ALG' signs tokens.
CREATE TABLE keys (
    id         INTEGER PRIMARY KEY,
    purpose    TEXT NOT NULL,
    material   BLOB NOT NULL,
    created_at INTEGER NOT NULL -- seconds since 1970, UTC
) STRICT;
CREATE INDEX keys_by_purpose ON keys (purpose, id);
