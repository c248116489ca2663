-- What has happened to this store once and does not happen again, such as its first start.
CREATE TABLE facts (
    name TEXT PRIMARY KEY,
    at   INTEGER NOT NULL -- seconds since 1970, UTC
) STRICT;

-- A store that has ever had an access has had its first start.
INSERT INTO facts (name, at)
SELECT 'first start', COALESCE((SELECT min(at) FROM changes), 0)
WHERE EXISTS (SELECT 1 FROM accesses) OR EXISTS (SELECT 1 FROM changes);
