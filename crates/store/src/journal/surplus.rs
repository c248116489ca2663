//! Code for clearing by size that all engines share.

/// Percentage of the journal's maximum size that remains after a clearing, because otherwise each new row would cause another
/// clearing.
pub(crate) const KEPT_PERCENT: u64 = 95;

/// Divisor for the share of the journal's room that rows of unknown callers may take.
const UNKNOWN_SHARE: u64 = 16;

/// Maximum size of a row of an unknown caller with its index entries, in bytes: a row with a long user agent and a long cause.
const UNKNOWN_ROW_BYTES: u64 = 1280;

/// Returns the maximum number of rows of unknown callers in a journal of this size in bytes.
pub(crate) fn unknown_rows_max(bytes: u64) -> u64 {
    bytes / UNKNOWN_SHARE / UNKNOWN_ROW_BYTES
}

/// Numbers of rows that were deleted before their retention was over.
#[derive(Clone, Copy, Default)]
pub(crate) struct EarlyRows {
    /// Rows of unknown callers.
    pub(crate) unknown: u64,
    /// Requests of known callers except sends, and rejected actions on the operators' side.
    pub(crate) plain: u64,
    /// All other rows.
    pub(crate) lasting: u64,
}

impl EarlyRows {
    /// Adds other numbers to these.
    pub(crate) fn add(&mut self, more: EarlyRows) {
        self.unknown += more.unknown;
        self.plain += more.plain;
        self.lasting += more.lasting;
    }

    /// Logs the numbers.
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
                "the journal is full: rows younger than journal.retention were deleted; raise journal.bytes"
            );
        } else if *unknown > 0 {
            tracing::info!(
                unknown_callers = unknown,
                "rows of unknown callers were deleted before journal.retention, because they had used up their share of \
                 journal.bytes"
            );
        }
    }
}
