//! What clearing by room has in common, whatever the engine.

/// Of the room that the journal may take, the part that is left after a clearing; else each row would clear another.
pub(crate) const KEPT_PERCENT: u64 = 95;

/// The part of the journal's room that rows of unknown callers may take: one in so many.
const UNKNOWN_SHARE: u64 = 16;

/// What a row of an unknown caller takes at most with its places in indexes, in bytes: a long user agent and cause.
const UNKNOWN_ROW_BYTES: u64 = 1280;

/// How many rows of unknown callers a journal of so many bytes may hold.
pub(crate) fn unknown_rows_max(bytes: u64) -> u64 {
    bytes / UNKNOWN_SHARE / UNKNOWN_ROW_BYTES
}

/// Rows that went before their time.
#[derive(Clone, Copy, Default)]
pub(crate) struct EarlyRows {
    /// Of unknown callers.
    pub(crate) unknown: u64,
    /// Requests of others but sends, and what was refused to operators.
    pub(crate) plain: u64,
    /// All else.
    pub(crate) lasting: u64,
}

impl EarlyRows {
    /// Adds these.
    pub(crate) fn add(&mut self, more: EarlyRows) {
        self.unknown += more.unknown;
        self.plain += more.plain;
        self.lasting += more.lasting;
    }

    /// Logs them.
    pub(crate) fn log(&self) {
        let EarlyRows {
            unknown,
            plain,
            lasting,
        } = self;
        if plain + lasting > 0 {
            tracing::warn!(
                unknown_callers = unknown,
                calls = plain,
                sends_and_changes = lasting,
                "the journal has no room: rows younger than journal.retention were cleared; raise journal.bytes"
            );
        } else if *unknown > 0 {
            tracing::info!(
                unknown_callers = unknown,
                "rows of unknown callers were cleared before journal.retention: they had taken their share of journal.bytes"
            );
        }
    }
}
