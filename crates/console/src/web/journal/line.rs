//! A row of the journal as a line of the table.

use store::{JournalKind, JournalRow};

use crate::journal::query::id_text;
use crate::journal::rows::time_text;
use crate::web::text::{duration, moment, or_dash};

/// A line of the table.
pub(crate) struct JournalLine {
    pub(crate) id: String,
    pub(crate) time: String,
    pub(crate) access: String,
    pub(crate) what: String,
    pub(crate) way: String,
    pub(crate) client: String,
    pub(crate) status: String,
    pub(crate) outcome: String,
    /// The number of calls that the row stands for, such as `×3`; empty for one call.
    pub(crate) count: String,
    /// The CSS class: `well`, `refused`, `broken` or `other`.
    pub(crate) kind: &'static str,
    pub(crate) delivery: String,
    pub(crate) took: String,
}

impl JournalLine {
    pub(crate) fn of(row: &JournalRow) -> JournalLine {
        let is_request = row.kind == JournalKind::Request;
        let kind = match (is_request, row.open, row.canonical) {
            (false, ..) | (_, true, _) => "other",
            (_, _, Some(500..)) => "broken",
            (..) if row.code.is_some() => "refused",
            (..) => "well",
        };
        let outcome = match (row.code.as_deref(), row.open) {
            (Some(code), _) => code,
            (None, true) => "in progress",
            (None, false) if is_request => "SUCCESS",
            (None, false) => row.actor.as_deref().unwrap_or_default(),
        };
        JournalLine {
            id: id_text(row.id),
            time: moment(&time_text(row.id)),
            access: or_dash(row.access.as_deref()),
            what: what(row),
            way: or_dash(row.way.as_deref()),
            client: row
                .client
                .map_or_else(|| "–".to_owned(), |client| client.to_string()),
            status: row
                .status
                .map_or_else(String::new, |status| status.to_string()),
            outcome: or_dash(Some(outcome)),
            count: match row.count.0 {
                1 => String::new(),
                count => format!("×{count}"),
            },
            kind,
            delivery: or_dash(row.delivery.as_deref()),
            took: row.total_us.map_or_else(|| "–".to_owned(), duration),
        }
    }
}

/// Returns the subject of a row: a caller's operation, an operator's request, or the kind of row.
fn what(row: &JournalRow) -> String {
    let word = row.kind.word();
    match row.kind {
        JournalKind::Request => or_dash(row.method.as_deref()),
        JournalKind::Operator => {
            let request = [row.http_method.as_deref(), row.path.as_deref()];
            let request = request.into_iter().flatten();
            let parts: Vec<_> = std::iter::once(word).chain(request).collect();
            parts.join(" ")
        }
        JournalKind::Change
        | JournalKind::Clearing
        | JournalKind::Erasure
        | JournalKind::Failover
        | JournalKind::Unknown => word.to_owned(),
    }
}
