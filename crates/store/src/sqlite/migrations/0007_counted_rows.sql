-- Calls that one row stands for: what nobody proven causes is counted by the minute and not listed call by call.
ALTER TABLE journal ADD COLUMN count INTEGER NOT NULL DEFAULT 1;

-- The id that a caller chose for a request; the row's own is in request_id.
ALTER TABLE journal ADD COLUMN caller_request_id TEXT;
CREATE INDEX journal_by_caller_request ON journal (caller_request_id) WHERE caller_request_id IS NOT NULL;

-- Rows of unknown callers, oldest first: they have a small share of the room and are the first to go.
CREATE INDEX journal_of_unknown ON journal (id) WHERE access IS NULL AND kind = 'request';
