//! Which rows of the journal are asked for. Each engine says the same in SQL.

use ipnet::IpNet;

use super::row::{JournalKind, JournalRow, first_id_at};

/// Rows that are looked at for one page. Of two conditions that many rows meet, and none meets both, all rows would be looked at
/// otherwise: with these it takes some 25 ms on SQLite, and whoever asks goes on from there.
pub(crate) const LOOKED_AT_MAX: u32 = 20_000;

/// The status that no index holds: most rows have it.
pub(crate) const USUAL_STATUS: u16 = 200;

/// Which rows are wanted; what is absent is not asked for.
#[derive(Clone, Debug, Default)]
pub struct JournalFilter {
    /// The access.
    pub access: Option<String>,
    /// The operation.
    pub method: Option<String>,
    /// How it ended.
    pub status: Option<JournalStatus>,
    /// From this time on; milliseconds since 1970, UTC.
    pub since_ms: Option<i64>,
    /// Before this time; milliseconds since 1970, UTC.
    pub until_ms: Option<i64>,
    /// Up to the row with this number, whatever a clock says of later ones.
    pub up_to: Option<i64>,
    /// The network that the resolved address is in.
    pub network: Option<IpNet>,
    /// The id of the request, ours or its caller's.
    pub request_id: Option<String>,
    /// The word on delivery.
    pub delivery: Option<String>,
}

/// How much of each row a page holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RowDetail {
    /// All of it.
    Whole,
    /// What sums need: number, kind, count, access, client, canonical status, code, delivery, time of the upstream and cause.
    Brief,
}

/// The order of the rows of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JournalOrder {
    /// To look back.
    NewestFirst,
    /// To follow, and to take everything.
    OldestFirst,
}

impl JournalOrder {
    /// The direction of the ids, as SQL says it.
    pub(crate) fn direction(self) -> &'static str {
        match self {
            JournalOrder::NewestFirst => "DESC",
            JournalOrder::OldestFirst => "ASC",
        }
    }

    /// The numbers of rows up to and with the last that is looked at.
    pub(crate) fn up_to(self, last: i64, (first, end): (i64, i64)) -> (i64, i64) {
        match self {
            JournalOrder::NewestFirst => (last, end),
            JournalOrder::OldestFirst => (first, last.saturating_add(1)),
        }
    }
}

/// The row beyond which those are that came since a time, in milliseconds since 1970, and after a row.
pub(crate) fn after(since_ms: i64, beyond: i64) -> i64 {
    beyond.max(first_id_at(since_ms) - 1)
}

/// Rows that were found.
#[derive(Debug)]
pub struct FoundRows {
    /// The rows, in the order that was asked for.
    pub rows: Vec<JournalRow>,
    /// The row beyond which the next page begins; none when there is nothing more.
    pub next: Option<i64>,
    /// Whether the search ended before the page was full: it looks at 20,000 rows and no further.
    pub is_cut: bool,
}

impl FoundRows {
    /// Of these rows, of which at most so many were asked for; the search ended at this row, unless at the end.
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

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JournalStatus {
    /// With this status on the wire.
    Wire(u16),
    /// With this code.
    Code(String),
    /// Well.
    Success,
}

impl JournalStatus {
    /// Reads a status, a code, or SUCCESS.
    ///
    /// # Errors
    /// A sentence with the mend in it.
    pub fn parse(text: &str) -> Result<JournalStatus, String> {
        let is_code = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
        match text.parse() {
            // As statuses are written: no sign, no zeros before it.
            Ok(status @ (0 | 100..=599)) if text == status.to_string() => {
                Ok(JournalStatus::Wire(status))
            }
            Err(_) if text == "SUCCESS" => Ok(JournalStatus::Success),
            Err(_)
                if text.starts_with(|c: char| c.is_ascii_uppercase())
                    && text.bytes().all(is_code) =>
            {
                Ok(JournalStatus::Code(text.to_owned()))
            }
            _ => Err(format!(
                "{text} is neither an HTTP status nor a code such as IP_NOT_ALLOWED, nor SUCCESS"
            )),
        }
    }
}

impl JournalFilter {
    /// The columns that are to have a text; the one that narrows most as a rule comes first.
    pub(crate) fn texts(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let code = match &self.status {
            Some(JournalStatus::Code(code)) => Some(code),
            Some(JournalStatus::Wire(_) | JournalStatus::Success) | None => None,
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

    /// The status on the wire, if one is asked for.
    pub(crate) fn wire_status(&self) -> Option<u16> {
        match self.status {
            Some(JournalStatus::Wire(status)) => Some(status),
            Some(JournalStatus::Code(_) | JournalStatus::Success) | None => None,
        }
    }

    /// How many conditions there are beside times and the id of a request.
    pub(crate) fn conditions(&self) -> usize {
        let others = [self.network.is_some(), self.status.is_some()];
        let texts = [&self.access, &self.delivery, &self.method];
        let texts = texts.iter().filter(|text| text.is_some()).count();
        texts + others.iter().filter(|is_there| **is_there).count()
    }

    /// The lowest number of a row that is asked for, and the one that ends them, beyond the row with this number.
    pub(crate) fn ids(&self, order: JournalOrder, beyond: Option<i64>) -> (i64, i64) {
        // One bound at either end: of two, SQLite would seek only the first, and meet the other by walking.
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

    /// Whether it asks for this row, as the store would find it.
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
