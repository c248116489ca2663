//! The columns of the journal: converts rows to one list per column for writing, and converts read rows back.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::LazyLock;

use aws_lc_rs::hmac;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::journal::row::destination_hash;
use crate::postgres::error::PgError;
use crate::postgres::session::Value;
use crate::{Calls, JournalKind, JournalPayload, JournalRow};

/// The numeric columns, in the order of [`numbers_of`].
const NUMBERS: [&str; 11] = [
    "id",
    "count",
    "status",
    "canonical",
    "attempts",
    "queue_us",
    "upstream_us",
    "total_us",
    "limit_max",
    "limit_left",
    "generation",
];

/// The text columns, in the order of [`texts_of`].
const TEXTS: [&str; 18] = [
    "kind",
    "request_id",
    "caller_request_id",
    "trace_id",
    "way",
    "access",
    "method",
    "http_method",
    "path",
    "code",
    "upstream_code",
    "delivery",
    "cache",
    "limited_by",
    "user_agent",
    "cause",
    "would_refuse",
    "actor",
];

/// The text columns of the table of payloads.
const TEXT_COLUMNS: [&str; 2] = ["parameters", "answer"];

/// Number of values of a row: numbers, texts, payload texts, the peer, the client and the destination.
pub(super) const VALUES: usize = NUMBERS.len() + TEXTS.len() + TEXT_COLUMNS.len() + 3;

/// The names of the journal's columns.
pub(super) static COLUMNS: LazyLock<String> = LazyLock::new(|| {
    let columns = NUMBERS.iter().chain(&TEXTS).chain(&["peer", "client"]);
    columns.copied().collect::<Vec<_>>().join(", ")
});

/// The names of a row's values, in the order of [`RowLists::values`].
pub(super) static NAMES: LazyLock<String> =
    LazyLock::new(|| format!("{}, destination, {}", *COLUMNS, TEXT_COLUMNS.join(", ")));

/// The columns of a brief row, in the order in which [`read_brief`] reads them.
pub(super) const BRIEF: &str =
    "id, kind, count, access, client, canonical, code, delivery, upstream_us, cause";

/// Returns the columns, each with this table's name before it.
pub(super) fn columns_of(table: &str) -> String {
    let columns = COLUMNS
        .split(", ")
        .map(|column| format!("{table}.{column}"));
    columns.collect::<Vec<_>>().join(", ")
}

/// Returns `count` parameters, numbered from `first`.
pub(super) fn parameters(first: usize, count: usize) -> String {
    let parameters = (first..first + count).map(|number| format!("${number}"));
    parameters.collect::<Vec<_>>().join(", ")
}

/// Replaces zero characters, which PostgreSQL does not accept in a text.
pub(super) fn clean(text: &str) -> Cow<'_, str> {
    if text.contains('\0') {
        return Cow::Owned(text.replace('\0', "\u{fffd}"));
    }
    Cow::Borrowed(text)
}

fn numbers_of(row: &JournalRow) -> [Option<i64>; NUMBERS.len()] {
    let wide = |number: Option<u32>| number.map(i64::from);
    [
        Some(row.id),
        Some(i64::try_from(row.count.0).unwrap_or(i64::MAX)),
        row.status.map(i64::from),
        row.canonical.map(i64::from),
        wide(row.attempts),
        row.queue_us,
        row.upstream_us,
        row.total_us,
        wide(row.limit_max),
        wide(row.limit_left),
        row.generation,
    ]
}

fn texts_of(row: &JournalRow) -> [Option<&str>; TEXTS.len()] {
    [
        Some(row.kind.word()),
        row.request_id.as_deref(),
        row.caller_request_id.as_deref(),
        row.trace_id.as_deref(),
        row.way.as_deref(),
        row.access.as_deref(),
        row.method.as_deref(),
        row.http_method.as_deref(),
        row.path.as_deref(),
        row.code.as_deref(),
        row.upstream_code.as_deref(),
        row.delivery.as_deref(),
        row.cache.as_deref(),
        row.limited_by.as_deref(),
        row.user_agent.as_deref(),
        row.cause.as_deref(),
        row.would_refuse.as_deref(),
        row.actor.as_deref(),
    ]
}

/// The values of one column over many rows.
type List<T> = Vec<Option<T>>;

/// Rows, column by column.
#[derive(Default)]
pub(super) struct RowLists<'r> {
    numbers: [List<i64>; NUMBERS.len()],
    texts: [List<Cow<'r, str>>; TEXTS.len()],
    peers: List<String>,
    clients: List<IpAddr>,
    destinations: List<Vec<u8>>,
    said: [List<Cow<'r, str>>; TEXT_COLUMNS.len()],
}

impl<'r> RowLists<'r> {
    /// Adds a row. `key` is the key for the hash of its destination.
    pub(super) fn push(&mut self, row: &'r JournalRow, key: &hmac::Key) {
        for (list, number) in self.numbers.iter_mut().zip(numbers_of(row)) {
            list.push(number);
        }
        for (list, text) in self.texts.iter_mut().zip(texts_of(row)) {
            list.push(text.map(clean));
        }
        self.peers.push(row.peer.map(|peer| peer.to_string()));
        self.clients
            .push(row.client.map(|client| client.to_canonical()));
        let JournalPayload {
            destination,
            parameters,
            answer,
        } = &row.payload;
        let hash = destination
            .as_deref()
            .map(|text| destination_hash(key, text));
        self.destinations.push(hash);
        for (list, text) in self.said.iter_mut().zip([parameters, answer]) {
            list.push(text.as_deref().map(clean));
        }
    }

    /// Returns the lists as parameters of a statement. A list without values becomes NULL, because half of a row's columns are
    /// usually empty and cost little this way.
    pub(super) fn values(&self) -> impl Iterator<Item = Value<'_>> {
        fn text<'v>(list: &'v List<Cow<'_, str>>) -> Value<'v> {
            if list.iter().all(Option::is_none) {
                return (&None::<Vec<String>>, Type::TEXT_ARRAY);
            }
            (list, Type::TEXT_ARRAY)
        }
        fn number(list: &List<i64>) -> Value<'_> {
            if list.iter().all(Option::is_none) {
                return (&None::<Vec<i64>>, Type::INT8_ARRAY);
            }
            (list, Type::INT8_ARRAY)
        }
        let numbers = self.numbers.iter().map(number);
        let between: [Value<'_>; 3] = [
            (&self.peers, Type::TEXT_ARRAY),
            (&self.clients, Type::INET_ARRAY),
            (&self.destinations, Type::BYTEA_ARRAY),
        ];
        let texts = self.texts.iter().map(text);
        numbers
            .chain(texts)
            .chain(between)
            .chain(self.said.iter().map(text))
    }
}

/// Joins the payload and the change to a row `j` of the journal.
pub(super) const SELECT_FROM: &str = "LEFT JOIN chatgate.journal_payload p ON p.id = j.id LEFT JOIN chatgate.changes c ON c.id = j.change";

/// Selects whole rows. Conditions that are appended refer to a row by `j.id`.
pub(super) static SELECT: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {}, p.parameters, p.answer, c.before, c.after FROM chatgate.journal j {SELECT_FROM}",
        columns_of("j")
    )
});

/// Reads a JSON document from a text column.
fn document(row: &Row, name: &str) -> Result<Option<Box<serde_json::Value>>, PgError> {
    let text: Option<&str> = row.try_get(name)?;
    Ok(text
        .and_then(|text| serde_json::from_str(text).ok())
        .map(Box::new))
}

/// Reads a row of [`SELECT`].
pub(super) fn read(row: &Row) -> Result<JournalRow, PgError> {
    let word = |name: &str| -> Result<Option<Cow<'static, str>>, PgError> {
        let text: Option<String> = row.try_get(name)?;
        Ok(text.map(Cow::Owned))
    };
    let status = |name: &str| -> Result<Option<u16>, PgError> {
        let status: Option<i32> = row.try_get(name)?;
        Ok(status.and_then(|status| u16::try_from(status).ok()))
    };
    let narrow = |name: &str| -> Result<Option<u32>, PgError> {
        let number: Option<i64> = row.try_get(name)?;
        Ok(number.and_then(|number| u32::try_from(number).ok()))
    };
    let id = row.try_get("id")?;
    let peer: Option<&str> = row.try_get("peer")?;
    Ok(JournalRow {
        id,
        at_ms: JournalRow::time_of(id),
        kind: JournalKind::from_word(row.try_get("kind")?),
        open: false,
        count: Calls(row.try_get::<_, i64>("count")?.unsigned_abs()),
        request_id: row.try_get("request_id")?,
        caller_request_id: row.try_get("caller_request_id")?,
        trace_id: row.try_get("trace_id")?,
        way: word("way")?,
        access: row.try_get("access")?,
        method: word("method")?,
        http_method: word("http_method")?,
        path: word("path")?,
        peer: peer.and_then(|text| text.parse().ok()),
        client: row.try_get("client")?,
        status: status("status")?,
        canonical: status("canonical")?,
        code: word("code")?,
        upstream_code: word("upstream_code")?,
        delivery: word("delivery")?,
        attempts: narrow("attempts")?,
        queue_us: row.try_get("queue_us")?,
        upstream_us: row.try_get("upstream_us")?,
        total_us: row.try_get("total_us")?,
        cache: word("cache")?,
        limited_by: word("limited_by")?,
        limit_max: narrow("limit_max")?,
        limit_left: narrow("limit_left")?,
        generation: row.try_get("generation")?,
        user_agent: row.try_get("user_agent")?,
        cause: word("cause")?,
        would_refuse: row.try_get("would_refuse")?,
        actor: word("actor")?,
        before: document(row, "before")?,
        after: document(row, "after")?,
        payload: JournalPayload {
            destination: None,
            parameters: row.try_get("parameters")?,
            answer: row.try_get("answer")?,
        },
    })
}

/// Reads a row of [`BRIEF`]. Columns are read by position, because one page reads thousands of rows.
pub(super) fn read_brief(row: &Row) -> Result<JournalRow, PgError> {
    let word = |at: usize| -> Result<Option<Cow<'static, str>>, PgError> {
        let text: Option<String> = row.try_get(at)?;
        Ok(text.map(Cow::Owned))
    };
    let id = row.try_get(0)?;
    let canonical: Option<i32> = row.try_get(5)?;
    Ok(JournalRow {
        id,
        at_ms: JournalRow::time_of(id),
        kind: JournalKind::from_word(row.try_get(1)?),
        count: Calls(row.try_get::<_, i64>(2)?.unsigned_abs()),
        access: row.try_get(3)?,
        client: row.try_get(4)?,
        canonical: canonical.and_then(|status| u16::try_from(status).ok()),
        code: word(6)?,
        delivery: word(7)?,
        upstream_us: row.try_get(8)?,
        cause: word(9)?,
        ..JournalRow::default()
    })
}
