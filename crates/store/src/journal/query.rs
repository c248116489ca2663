//! Reading the journal: by filters, in pages that neither miss a row nor show one twice while others are written.

use std::net::IpAddr;

use ipnet::IpNet;
use sqlx::sqlite::Sqlite;
use sqlx::{QueryBuilder, Row};

use super::{JournalRow, address, first_id_at, sql};
use crate::{Store, StoreError};

/// Up to so many rows of a network are sorted; of more than that the newest are quickly found among all. Either way a
/// page of a million rows costs milliseconds.
const SORTED_MAX: i64 = 20_000;

/// The status that no index holds: most rows have it, so that the newest with it are found by walking.
const USUAL_STATUS: u16 = 200;

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
            // As it is told: no sign, no zeros before it.
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

/// In which order rows are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JournalOrder {
    /// To look back.
    NewestFirst,
    /// To follow, and to take everything.
    OldestFirst,
}

/// What is known of a call for judging its address once more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayCall {
    /// The number of its row.
    pub id: i64,
    /// The resolved address.
    pub client: IpAddr,
    /// The id that the gateway gave it.
    pub request_id: String,
    /// The id that its caller chose for it.
    pub caller_request_id: Option<String>,
    /// The operation, once it was known.
    pub method: Option<String>,
    /// The code that it ended with, unless it succeeded.
    pub code: Option<String>,
    /// How many calls the row stands for.
    pub count: u64,
}

/// What is known of a call for judging its limits once more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitCall {
    /// The number of its row.
    pub id: i64,
    /// The operation, once it was known.
    pub method: Option<String>,
    /// The code that it ended with, unless it succeeded.
    pub code: Option<String>,
    /// How long it waited for the upstream and was there, in microseconds; absent if it didn't come that far.
    pub held_us: Option<i64>,
    /// The hash of its destination, as long as that is kept; absent if it was not asked for.
    pub destination: Option<Vec<u8>>,
    /// How many calls the row stands for; they came from its time to the end of its minute.
    pub count: u64,
}

impl Store {
    /// At most so many calls of an access whose networks let them in, in the order of their rows, since a time in
    /// milliseconds and beyond a row.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn limit_calls(
        &self,
        (access, with_destinations): (&str, bool),
        (since_ms, beyond): (i64, i64),
        count_max: u32,
    ) -> Result<Vec<LimitCall>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, method, code, count, coalesce(queue_us, 0) + upstream_us AS held_us,
             (SELECT destination FROM journal_payload WHERE ? AND journal_payload.id = journal.id) AS destination
             FROM journal WHERE access = ? AND id > ? AND kind = 'request' AND code IS NOT 'ACCESS_DISABLED'
             AND code IS NOT 'IP_NOT_ALLOWED' ORDER BY id LIMIT ?",
        )
        .bind(with_destinations)
        .bind(access)
        .bind(beyond.max(first_id_at(since_ms) - 1))
        .bind(count_max)
        .fetch_all(self.reader())
        .await?;
        let calls = rows.iter().map(|row| {
            Ok(LimitCall {
                id: row.try_get("id")?,
                method: row.try_get("method")?,
                code: row.try_get("code")?,
                held_us: row.try_get("held_us")?,
                destination: row.try_get("destination")?,
                count: row.try_get::<i64, _>("count")?.unsigned_abs(),
            })
        });
        calls.collect()
    }

    /// At most so many rows, beyond the row with the given number in the given order.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn journal_rows(
        &self,
        filter: &JournalFilter,
        (order, beyond): (JournalOrder, Option<i64>),
        count_max: u32,
    ) -> Result<Vec<JournalRow>, StoreError> {
        let sorts = self.sorts(filter).await?;
        // One bound at either end: of two, only the first would be sought and the other met by walking.
        let (mut first, mut end) = (
            filter.since_ms.map_or(0, first_id_at),
            filter.until_ms.map_or(i64::MAX, first_id_at),
        );
        let direction = match order {
            JournalOrder::NewestFirst => {
                end = end.min(beyond.unwrap_or(i64::MAX));
                "DESC"
            }
            JournalOrder::OldestFirst => {
                first = first.max(beyond.map_or(0, |id| id.saturating_add(1)));
                "ASC"
            }
        };
        // The rows are found by their numbers first, so that only those of the page are read.
        let mut query = QueryBuilder::<Sqlite>::new(sql::SELECT);
        // Where the rows of a network are sorted, no range of ids is to be walked instead.
        let sign = if sorts { "+" } else { "" };
        query.push(format!(
            " WHERE j.id IN (SELECT id FROM journal WHERE {sign}id >= "
        ));
        query.push_bind(first);
        query.push(format!(" AND {sign}id < ")).push_bind(end);
        conditions(&mut query, filter, sorts);
        query.push(format!(" ORDER BY id {direction} LIMIT "));
        query.push_bind(count_max);
        query.push(format!(") ORDER BY j.id {direction}"));
        let rows = query.build().fetch_all(self.reader()).await?;
        rows.iter().map(sql::read).collect()
    }

    /// At most so many calls of an access that came to be judged by its networks, the oldest first, beyond the row with
    /// this number.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn replay_calls(
        &self,
        access: &str,
        (since_ms, beyond): (i64, i64),
        count_max: u32,
    ) -> Result<Vec<ReplayCall>, StoreError> {
        // A call is refused for the state of its access before its networks are asked.
        let rows = sqlx::query(
            "SELECT id, client, request_id, caller_request_id, method, code, count FROM journal
             WHERE access = ? AND id > ? AND kind = 'request' AND code IS NOT 'ACCESS_DISABLED'
             AND client IS NOT NULL ORDER BY id LIMIT ?",
        )
        .bind(access)
        .bind(beyond.max(first_id_at(since_ms) - 1))
        .bind(count_max)
        .fetch_all(self.reader())
        .await?;
        let calls = rows.iter().map(|row| {
            let client: Vec<u8> = row.try_get("client")?;
            let request_id: Option<String> = row.try_get("request_id")?;
            Ok(ReplayCall {
                id: row.try_get("id")?,
                client: address::from_bytes(&client)
                    .ok_or_else(|| StoreError::new("a journal row has an unreadable address"))?,
                request_id: request_id.unwrap_or_default(),
                caller_request_id: row.try_get("caller_request_id")?,
                method: row.try_get("method")?,
                code: row.try_get("code")?,
                count: row.try_get::<i64, _>("count")?.unsigned_abs(),
            })
        });
        calls.collect()
    }

    /// Whether the rows of the filter's network are few enough to be sorted.
    async fn sorts(&self, filter: &JournalFilter) -> Result<bool, StoreError> {
        let Some(network) = filter.network else {
            return Ok(false);
        };
        let (first, last) = address::range(network);
        let row = sqlx::query(
            "SELECT count(*) FROM (SELECT 1 FROM journal WHERE client BETWEEN ? AND ? LIMIT ?)",
        )
        .bind(first)
        .bind(last)
        .bind(SORTED_MAX)
        .fetch_one(self.reader())
        .await?;
        let rows: i64 = row.try_get(0)?;
        Ok(rows < SORTED_MAX)
    }
}

/// Writes what is asked for, what narrows most as a rule first: its index is used, and no other. The sign takes a column's
/// index out of account.
fn conditions(query: &mut QueryBuilder<Sqlite>, filter: &JournalFilter, sorts: bool) {
    let mut sign = "";
    if let Some(id) = &filter.request_id {
        // Each half by its own index; either or both in one condition would be met by walking.
        query.push(" AND id IN (SELECT id FROM journal WHERE request_id = ");
        query.push_bind(id.clone());
        query.push(" UNION SELECT id FROM journal WHERE caller_request_id = ");
        query.push_bind(id.clone()).push(")");
        sign = "+";
    }
    if let Some(network) = filter.network {
        let (first, last) = address::range(network);
        query.push(if sorts { " AND client" } else { " AND +client" });
        query.push(" BETWEEN ").push_bind(first);
        query.push(" AND ").push_bind(last);
        sign = if sorts { "+" } else { sign };
    }
    let status = filter.status.as_ref();
    let code = status.and_then(|status| match status {
        JournalStatus::Code(code) => Some(code.clone()),
        JournalStatus::Wire(_) | JournalStatus::Success => None,
    });
    let texts = [
        ("access", filter.access.clone()),
        ("code", code),
        ("delivery", filter.delivery.clone()),
        ("method", filter.method.clone()),
    ];
    for (column, text) in texts {
        if let Some(text) = text {
            query.push(format!(" AND {sign}{column} = "));
            query.push_bind(text);
            sign = "+";
        }
    }
    match status {
        Some(JournalStatus::Wire(status)) => {
            query.push(format!(" AND {sign}status = "));
            query.push_bind(*status);
            if *status != USUAL_STATUS {
                // As the index says it, which SQLite does not take without.
                query.push(format!(" AND status <> {USUAL_STATUS}"));
            }
        }
        Some(JournalStatus::Success) => {
            query.push(" AND code IS NULL AND kind = 'request' AND open = 0");
        }
        Some(JournalStatus::Code(_)) | None => {}
    }
}
