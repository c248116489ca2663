-- Who changed what about an access: before and after without secrets. The id is the version of the access after the change,
-- and never comes twice, so that no two states of a name are ever confused.
CREATE TABLE changes (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    at     INTEGER NOT NULL, -- seconds since 1970, UTC
    actor  TEXT NOT NULL,
    access TEXT NOT NULL,
    before TEXT,
    after  TEXT
) STRICT;
CREATE INDEX changes_by_access ON changes (access, id);

-- The keys of operators; only a keyed hash of each is kept.
CREATE TABLE admin_keys (
    name       TEXT PRIMARY KEY,
    role       TEXT NOT NULL,
    hash       TEXT NOT NULL,
    created_at INTEGER NOT NULL -- seconds since 1970, UTC
) STRICT;
