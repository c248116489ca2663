//! The filter of a journal query. Each engine implements the same filter in SQL.

use ipnet::IpNet;

use super::row::{JournalKind, JournalRow, first_id_at};

/// The word that selects every code of the upstream that the chat API does not list.
const UPSTREAM_CODE: &str = "UPSTREAM_CODE";

/// The status of such a code in every dialect. The codes that the chat API lists have lower ones.
pub(crate) const UPSTREAM_CODE_STATUS: u16 = 502;

/// Maximum number of rows that are examined for one page. Without this limit, two conditions that each match many rows but never
/// the same row would make the query examine all rows. With the limit a page takes about 25 ms on SQLite, and the caller continues
/// where the page ended.
pub(crate) const ROWS_EXAMINED_MAX: u32 = 20_000;

/// The status that no index contains, because most rows have it.
pub(crate) const USUAL_STATUS: u16 = 200;

/// The conditions of a journal query; an absent field is not a condition.
#[derive(Clone, Debug, Default)]
pub struct JournalFilter {
    /// The access.
    pub access: Option<String>,
    /// The operation.
    pub method: Option<String>,
    /// The outcome.
    pub status: Option<JournalStatus>,
    /// Start of the time range, inclusive; milliseconds since 1970, UTC.
    pub since_ms: Option<i64>,
    /// End of the time range, exclusive; milliseconds since 1970, UTC.
    pub until_ms: Option<i64>,
    /// The highest row number, inclusive, whatever times later rows have.
    pub up_to: Option<i64>,
    /// The network that contains the resolved address.
    pub network: Option<IpNet>,
    /// The id of the request, either ours or the caller's.
    pub request_id: Option<String>,
    /// The word that describes the delivery.
    pub delivery: Option<String>,
}

/// The amount of detail of the rows in a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RowDetail {
    /// Whole rows.
    Whole,
    /// Whole rows without the answers, each of which may have 256 KiB.
    WithoutAnswer,
    /// Only what sums need: number, kind, count, access, client, canonical status, code, delivery, time of the upstream and cause.
    Brief,
}

/// The order of the rows of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JournalOrder {
    /// Newest first, to look back.
    NewestFirst,
    /// Oldest first, to follow the journal or to export it.
    OldestFirst,
}

impl JournalOrder {
    /// Returns the direction of the ids in SQL.
    pub(crate) fn direction(self) -> &'static str {
        match self {
            JournalOrder::NewestFirst => "DESC",
            JournalOrder::OldestFirst => "ASC",
        }
    }

    /// Restricts a range of row numbers to the rows up to and including `last`, the last row to be examined.
    pub(crate) fn up_to(self, last: i64, (first, end): (i64, i64)) -> (i64, i64) {
        match self {
            JournalOrder::NewestFirst => (last, end),
            JournalOrder::OldestFirst => (first, last.saturating_add(1)),
        }
    }
}

/// Returns the row number after which rows match: rows that are not older than a time, in milliseconds since 1970, and that follow
/// the row `beyond`.
pub(crate) fn after(since_ms: i64, beyond: i64) -> i64 {
    beyond.max(first_id_at(since_ms) - 1)
}

/// A page of found rows.
#[derive(Debug)]
pub struct FoundRows {
    /// The rows, in the requested order.
    pub rows: Vec<JournalRow>,
    /// The row after which the next page begins; `None` if there are no more rows.
    pub next: Option<i64>,
    /// True if the search ended before the page was full, because it examines at most 20,000 rows.
    pub is_cut: bool,
}

impl FoundRows {
    /// Makes a page of these rows, of which at most `count_max` were requested. `last` is the row at which the search stopped;
    /// `None` if it reached the end.
    pub(crate) fn new(rows: Vec<JournalRow>, count_max: u32, last: Option<i64>) -> FoundRows {
        let is_full = rows.len() >= count_max as usize;
        let full = rows.last().filter(|_| is_full).map(|row| row.id);
        FoundRows {
            next: full.or(last),
            is_cut: !is_full && last.is_some(),
            rows,
        }
    }
}

/// The outcome of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JournalStatus {
    /// A status on the wire.
    Wire(u16),
    /// A code.
    Code(String),
    /// Any code of the upstream that the chat API does not list.
    UpstreamCode,
    /// Success.
    Success,
}

impl JournalStatus {
    /// Reads a status, a code, or SUCCESS.
    ///
    /// # Errors
    /// One sentence that says what to write instead.
    pub fn parse(text: &str) -> Result<JournalStatus, String> {
        let is_code = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
        match text.parse() {
            // A status is only accepted in its usual form, without a sign and without leading zeros.
            Ok(status @ (0 | 100..=599)) if text == status.to_string() => {
                Ok(JournalStatus::Wire(status))
            }
            Err(_) if text == "SUCCESS" => Ok(JournalStatus::Success),
            Err(_) if text == UPSTREAM_CODE => Ok(JournalStatus::UpstreamCode),
            Err(_) if !text.is_empty() && text.bytes().all(is_code) => {
                Ok(JournalStatus::Code(text.to_owned()))
            }
            _ => Err(format!(
                "{text} is neither an HTTP status nor a code such as IP_NOT_ALLOWED, nor SUCCESS"
            )),
        }
    }
}

impl JournalFilter {
    /// Returns the columns that must equal a text; the column that usually narrows the search most comes first.
    pub(crate) fn texts(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let code = match &self.status {
            Some(JournalStatus::Code(code)) => Some(code),
            _ => None,
        };
        let all = [
            ("access", self.access.as_ref()),
            ("code", code),
            ("delivery", self.delivery.as_ref()),
            ("method", self.method.as_ref()),
        ];
        all.into_iter()
            .filter_map(|(column, text)| Some((column, text?.as_str())))
    }

    /// Returns the status on the wire, if it is a condition.
    pub(crate) fn wire_status(&self) -> Option<u16> {
        match self.status {
            Some(JournalStatus::Wire(status)) => Some(status),
            _ => None,
        }
    }

    /// Returns the number of conditions other than times and the id of a request.
    pub(crate) fn conditions(&self) -> usize {
        let others = [self.network.is_some(), self.status.is_some()];
        let texts = [&self.access, &self.delivery, &self.method];
        let texts = texts.iter().filter(|text| text.is_some()).count();
        texts + others.iter().filter(|is_there| **is_there).count()
    }

    /// Returns the range of row numbers that can match after the row `beyond`: the first number, and the exclusive end.
    pub(crate) fn ids(&self, order: JournalOrder, beyond: Option<i64>) -> (i64, i64) {
        // Each end of the range has only one bound, because with two bounds SQLite would seek by the first one and check the other
        // one row by row.
        let first = self.since_ms.map_or(0, first_id_at);
        let until = self.until_ms.map_or(i64::MAX, first_id_at);
        let beyond_last = self.up_to.map_or(i64::MAX, |id| id.saturating_add(1));
        let end = until.min(beyond_last);
        match order {
            JournalOrder::NewestFirst => (first, end.min(beyond.unwrap_or(i64::MAX))),
            JournalOrder::OldestFirst => {
                let next = beyond.map_or(0, |id| id.saturating_add(1));
                (first.max(next), end)
            }
        }
    }

    /// Returns whether the filter matches this row, as the store's query would.
    #[must_use]
    pub fn matches(&self, row: &JournalRow) -> bool {
        let is = |wanted: &Option<String>, there: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| there == Some(wanted))
        };
        let at_ms = JournalRow::time_of(row.id);
        let status = match &self.status {
            None => true,
            Some(JournalStatus::Wire(status)) => row.status == Some(*status),
            Some(JournalStatus::Code(code)) => row.code.as_deref() == Some(code),
            Some(JournalStatus::UpstreamCode) => {
                row.upstream_code.is_some() && row.canonical == Some(UPSTREAM_CODE_STATUS)
            }
            Some(JournalStatus::Success) => {
                row.code.is_none() && row.kind == JournalKind::Request && !row.open
            }
        };
        let is_inside = |network: IpNet| row.client.is_some_and(|client| network.contains(&client));
        status
            && is(&self.access, row.access.as_deref())
            && is(&self.method, row.method.as_deref())
            && (is(&self.request_id, row.request_id.as_deref())
                || is(&self.request_id, row.caller_request_id.as_deref()))
            && is(&self.delivery, row.delivery.as_deref())
            && self.since_ms.is_none_or(|since| at_ms >= since)
            && self.until_ms.is_none_or(|until| at_ms < until)
            && self.up_to.is_none_or(|last| row.id <= last)
            && self.network.is_none_or(is_inside)
    }
}
