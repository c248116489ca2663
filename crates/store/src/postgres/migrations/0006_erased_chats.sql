-- An erased chat stays, so that its messages do not become events again: of its destination and of the ids of its messages only
-- keyed hashes are left.
ALTER TABLE chatgate.event_chats
    ADD COLUMN tip_datetime text, -- the datetime of the last message
    ADD COLUMN erased boolean NOT NULL DEFAULT false; -- messages up to the floor, and those with a hash, are erased
