//! Which rows of the journal are asked for. Each engine says the same in SQL.

use ipnet::IpNet;

use super::row::{JournalKind, JournalRow};

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
    /// The network that the resolved address is in.
    pub network: Option<IpNet>,
    /// The id of the request, ours or its caller's.
    pub request_id: Option<String>,
    /// The word on delivery.
    pub delivery: Option<String>,
}

/// The order of the rows of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JournalOrder {
    /// To look back.
    NewestFirst,
    /// To follow, and to take everything.
    OldestFirst,
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
            && self.network.is_none_or(is_inside)
    }
}
