-- An erased chat stays, so that its messages do not become events again: of its destination and of the ids of its messages only
-- keyed hashes are left.
ALTER TABLE event_chats ADD COLUMN tip_datetime TEXT; -- the datetime of the last message
ALTER TABLE event_chats ADD COLUMN erased INTEGER NOT NULL DEFAULT 0; -- 1: messages up to the floor, and those with a hash, are erased
