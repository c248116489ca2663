//! SQL that several parts of the journal share: the columns, the reading of rows, and rows that are written together with other
//! changes.

use std::borrow::Cow;
use std::sync::LazyLock;

use rusqlite::{Connection, Row};

use super::address;
use crate::journal::filter::RowDetail;
use crate::journal::row::first_id_at;
use crate::{Calls, ChangeAuthor, JournalKind, JournalPayload, JournalRow, StoreError};

/// The columns of a row, in the order in which a batch binds them. Rows of changes use one more column, `change`.
pub(super) const COLUMNS: [&str; 32] = [
    "id",
    "kind",
    "open",
    "count",
    "request_id",
    "caller_request_id",
    "trace_id",
    "way",
    "access",
    "method",
    "http_method",
    "path",
    "peer",
    "client",
    "status",
    "canonical",
    "code",
    "upstream_code",
    "delivery",
    "attempts",
    "queue_us",
    "upstream_us",
    "total_us",
    "cache",
    "limited_by",
    "limit_max",
    "limit_left",
    "generation",
    "user_agent",
    "cause",
    "would_refuse",
    "actor",
];

/// Selects whole rows; the rest of the query must refer to them as `j.id`.
pub(super) static SELECT: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {}, p.parameters, p.answer, c.before, c.after FROM journal j \
         LEFT JOIN journal_payload p ON p.id = j.id LEFT JOIN changes c ON c.id = j.change",
        COLUMNS.map(|column| format!("j.{column}")).join(", ")
    )
});

/// Selects whole rows like [`SELECT`], but without the answers.
static SELECT_WITHOUT_ANSWER: LazyLock<String> =
    LazyLock::new(|| SELECT.replace("p.answer", "NULL AS answer"));

/// Selects rows in brief; the rest of the query must refer to them as `j.id`.
const SELECT_BRIEF: &str = "SELECT j.id, j.kind, j.count, j.access, j.client, j.canonical, j.code, j.delivery, j.upstream_us, \
     j.cause FROM journal j";

/// A function that reads a row.
type ReadRow = fn(&Row<'_>) -> Result<JournalRow, StoreError>;

/// Returns the selection for this amount of detail, and the function that reads its rows.
pub(super) fn of(detail: RowDetail) -> (&'static str, ReadRow) {
    match detail {
        RowDetail::Whole => (&SELECT, read),
        RowDetail::WithoutAnswer => (&SELECT_WITHOUT_ANSWER, read),
        RowDetail::Brief => (SELECT_BRIEF, read_brief),
    }
}

/// Returns the next row's number for this time: higher than all numbers before it, whatever the clock shows.
pub(super) fn next_id(connection: &Connection, at_ms: i64) -> Result<i64, StoreError> {
    let next = "SELECT max(coalesce((SELECT max(id) FROM journal), 0) + 1, ?)";
    let mut next = connection.prepare_cached(next)?;
    Ok(next.query_row([first_id_at(at_ms)], |row| row.get(0))?)
}

/// Records a change of an access in the journal, in the same transaction as the change itself.
pub(crate) fn note_change(
    connection: &Connection,
    by: ChangeAuthor<'_>,
    (access, change): (&str, i64),
) -> Result<(), StoreError> {
    let id = next_id(connection, by.at_s.saturating_mul(1000))?;
    connection.execute(
        "INSERT INTO journal (id, kind, open, access, actor, change) VALUES (?, 'change', 0, ?, ?, ?)",
        (id, access, by.actor, change),
    )?;
    Ok(())
}

/// Writes a row about the journal itself, and returns the row's number.
pub(crate) fn note_event(
    connection: &Connection,
    at_ms: i64,
    (kind, actor, cause): (JournalKind, &str, &str),
) -> Result<i64, StoreError> {
    let id = next_id(connection, at_ms)?;
    connection.execute(
        "INSERT INTO journal (id, kind, open, actor, cause) VALUES (?, ?, 0, ?, ?)",
        (id, kind.word(), actor, cause),
    )?;
    Ok(id)
}

/// Reads a row that [`SELECT`] returned.
pub(super) fn read(row: &Row<'_>) -> Result<JournalRow, StoreError> {
    let word = |name: &str| -> Result<Option<Cow<'static, str>>, StoreError> {
        let text: Option<String> = row.get(name)?;
        Ok(text.map(Cow::Owned))
    };
    let document = |name: &str| -> Result<Option<serde_json::Value>, StoreError> {
        let text: Option<String> = row.get(name)?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    };
    let (id, kind): (i64, String) = (row.get("id")?, row.get("kind")?);
    let peer: Option<String> = row.get("peer")?;
    let client: Option<Vec<u8>> = row.get("client")?;
    Ok(JournalRow {
        id,
        at_ms: JournalRow::time_of(id),
        kind: JournalKind::from_word(&kind),
        open: row.get("open")?,
        count: Calls(row.get::<_, i64>("count")?.unsigned_abs()),
        request_id: row.get("request_id")?,
        caller_request_id: row.get("caller_request_id")?,
        trace_id: row.get("trace_id")?,
        way: word("way")?,
        access: row.get("access")?,
        method: word("method")?,
        http_method: word("http_method")?,
        path: word("path")?,
        peer: peer.and_then(|text| text.parse().ok()),
        client: client.and_then(|bytes| address::from_bytes(&bytes)),
        status: row.get("status")?,
        canonical: row.get("canonical")?,
        code: word("code")?,
        upstream_code: word("upstream_code")?,
        delivery: word("delivery")?,
        attempts: row.get("attempts")?,
        queue_us: row.get("queue_us")?,
        upstream_us: row.get("upstream_us")?,
        total_us: row.get("total_us")?,
        cache: word("cache")?,
        limited_by: word("limited_by")?,
        limit_max: row.get("limit_max")?,
        limit_left: row.get("limit_left")?,
        generation: row.get("generation")?,
        user_agent: row.get("user_agent")?,
        cause: word("cause")?,
        would_refuse: row.get("would_refuse")?,
        actor: word("actor")?,
        before: document("before")?.map(Box::new),
        after: document("after")?.map(Box::new),
        payload: JournalPayload {
            destination: None,
            parameters: row.get("parameters")?,
            answer: row.get("answer")?,
        },
    })
}

/// Reads columns by their positions, because a page has thousands of rows, and finding a column by name takes longer than reading
/// it.
fn read_brief(row: &Row<'_>) -> Result<JournalRow, StoreError> {
    let word = |at: usize| -> Result<Option<Cow<'static, str>>, StoreError> {
        let text: Option<String> = row.get(at)?;
        Ok(text.map(Cow::Owned))
    };
    let id = row.get(0)?;
    let client = row.get_ref(4)?.as_blob().unwrap_or_default();
    Ok(JournalRow {
        id,
        at_ms: JournalRow::time_of(id),
        kind: JournalKind::from_word(row.get_ref(1)?.as_str().unwrap_or_default()),
        count: Calls(row.get::<_, i64>(2)?.unsigned_abs()),
        access: row.get(3)?,
        client: address::from_bytes(client),
        canonical: row.get(5)?,
        code: word(6)?,
        delivery: word(7)?,
        upstream_us: row.get(8)?,
        cause: word(9)?,
        ..JournalRow::default()
    })
}
