-- How many calls of a day an access has been given: those that were made, and those that the running gateway has set aside to
-- give out without writing each one down. What a crash leaves set aside counts as made.
CREATE TABLE daily_counts (
    access TEXT PRIMARY KEY,
    day    INTEGER NOT NULL, -- days since 1970, UTC
    given  INTEGER NOT NULL
) STRICT;

-- When, from where and by which way an access was last let in. By client id, which no other access ever has: one that is made
-- anew under an old name has not been used yet.
CREATE TABLE last_uses (
    client_id TEXT PRIMARY KEY,
    at        INTEGER NOT NULL, -- seconds since 1970, UTC
    address   TEXT NOT NULL,
    way       TEXT NOT NULL
) STRICT;
