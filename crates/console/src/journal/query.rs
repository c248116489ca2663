//! Parses queries of the journal for the admin API and the pages.

use adapter::Delivery;
use store::{JournalFilter, JournalOrder, JournalStatus, Store, parse_network};

use crate::moment::time_ms;
use crate::query::{for_each_unique, limit};

/// Default and maximum number of rows on a page.
const PAGE_ROWS: u32 = 100;
const PAGE_ROWS_MAX: u32 = 1000;

/// A parsed query.
#[derive(Debug, Default)]
pub(crate) struct JournalQuery {
    pub(crate) filter: JournalFilter,
    pub(crate) order: Option<JournalOrder>,
    /// The page begins after this row.
    pub(crate) beyond: Option<i64>,
    pub(crate) limit: Option<u32>,
    /// True if the answer may contain rows that an older row can still precede.
    follow: bool,
}

impl JournalQuery {
    /// Parses a query; `now` is in seconds since 1970, UTC.
    ///
    /// # Errors
    /// Returns every mistake, by parameter.
    pub(crate) fn parse(query: &str, now: i64) -> Result<JournalQuery, Vec<(String, String)>> {
        let mut parsed = JournalQuery::default();
        for_each_unique(query, |name, value| parsed.set(name, value, now))?;
        Ok(parsed)
    }

    /// Returns the maximum number of rows on the page.
    pub(crate) fn limit(&self) -> u32 {
        self.limit.unwrap_or(PAGE_ROWS).min(PAGE_ROWS_MAX)
    }

    /// Excludes rows that an older row can still precede, so that a client that reads all rows, oldest first, gets pages that never
    /// change later. A client that follows the journal gets these rows too, and drops the rows that it receives twice.
    pub(crate) fn settle(&mut self, store: &Store, now_ms: i64) {
        if !self.follow
            && let Some(settled_ms) = store.settled_ms(now_ms)
        {
            let until_ms = self.filter.until_ms.unwrap_or(i64::MAX);
            self.filter.until_ms = Some(until_ms.min(settled_ms));
        }
    }

    fn set(&mut self, name: &str, value: &str, now: i64) -> Result<(), String> {
        let filter = &mut self.filter;
        let text = || Some(value.to_owned());
        match name {
            "access" => filter.access = text(),
            "method" => filter.method = text(),
            "request_id" => filter.request_id = text(),
            "delivery" => filter.delivery = Some(delivery(value)?.to_owned()),
            "status" => filter.status = Some(JournalStatus::parse(value)?),
            "since" => filter.since_ms = Some(time_ms(value, now)?),
            "until" => filter.until_ms = Some(time_ms(value, now)?),
            "ip" => filter.network = Some(parse_network(value)?),
            "order" => {
                self.order = Some(match value {
                    "newest" => JournalOrder::NewestFirst,
                    "oldest" => JournalOrder::OldestFirst,
                    _ => return Err("write newest or oldest".to_owned()),
                });
            }
            "cursor" => {
                let id = id_from_text(value);
                self.beyond = Some(id.ok_or("write a cursor from an earlier answer")?);
            }
            "limit" => self.limit = Some(limit(value)?),
            "follow" => self.follow = value.parse().map_err(|_| "write true or false")?,
            _ => return Err("this parameter does not exist".to_owned()),
        }
        Ok(())
    }
}

/// Reads a delivery word. Rejects any other word, because it would silently find no rows.
fn delivery(value: &str) -> Result<&'static str, String> {
    let words = Delivery::ALL.map(Delivery::word);
    let word = words.into_iter().find(|word| *word == value);
    word.ok_or_else(|| format!("write {}", words.join(", ")))
}

/// Writes the id of a row as operators see it. The text is also a cursor, and no program can round it as it could round a number.
pub(crate) fn id_text(id: i64) -> String {
    format!("{id:016x}")
}

/// Reads the id that [`id_text`] writes.
pub(crate) fn id_from_text(text: &str) -> Option<i64> {
    let is_hex = !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit());
    i64::from_str_radix(text, 16).ok().filter(|_| is_hex)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000;

    #[test]
    fn journal_query_reads_every_filter_and_reports_every_mistake() {
        let query = "access=a&method=m&request_id=r&delivery=sent&status=403&since=1h&until=2023-11-14T22%3A13%3A20.5Z\
                     &ip=10.0.0.0%2F8&order=oldest&cursor=0000000000000010&limit=5";
        let read = JournalQuery::parse(query, NOW).unwrap();
        assert_eq!(read.filter.since_ms, Some((NOW - 3600) * 1000));
        assert_eq!(read.filter.until_ms, Some(NOW * 1000 + 500));
        assert_eq!(read.filter.network, "10.0.0.0/8".parse().ok());
        assert_eq!(read.filter.status, Some(JournalStatus::Wire(403)));
        assert_eq!((read.beyond, read.limit()), (Some(16), 5));
        assert_eq!(read.order, Some(JournalOrder::OldestFirst));

        let query = "status=9&since=yesterday&ip=10.0.0.1%2F8&order=up&cursor=-1&limit=0&acces=a&delivery=unknwon\
                     &method=a&method=b";
        let wrong = JournalQuery::parse(query, NOW).unwrap_err();
        let names: Vec<_> = wrong.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            [
                "status", "since", "ip", "order", "cursor", "limit", "acces", "delivery", "method"
            ]
        );
        assert_eq!(
            JournalQuery::parse("limit=99999", NOW).unwrap().limit(),
            1000
        );
    }
}
