//! Closes sends that end. The statement that deletes a row from the rows under way also writes its outcome.

use std::sync::LazyLock;
use std::time::Instant;

use tokio_postgres::types::Type;

use super::columns::{COLUMNS, NAMES, RowLists, VALUES, clean, columns_of, parameters};
use super::open_row::complete;
use super::shared::LaneState;
use crate::journal::entry::JournalEntry;
use crate::postgres::error::PgError;
use crate::postgres::session::{PgSession, Value};
use crate::{JournalRow, Settlement};

/// Builds the statement that closes rows and settles their keys. If others have closed a row as unknown, a late outcome may still
/// change its receipt to sent, but frees no key whose state others have learned. A withdrawn send leaves no row.
///
/// Batches that settle or free no keys omit that part of the statement, because even without work each part runs the triggers that
/// count the room of receipts.
fn close_text(settles: bool, frees: bool) -> String {
    let settled = if settles { SETTLED } else { "" };
    let freed = if frees { FREED } else { "" };
    format!(
        "WITH c AS (
            SELECT * FROM unnest($2, $3, $4, {values}) AS c(is_whole, settled, receipt, {names})
        ), mine AS (
            DELETE FROM chatgate.intents WHERE id = ANY($1) RETURNING id, owner
        ){settled}{freed}, said AS (
            INSERT INTO chatgate.journal_payload (id, destination, parameters, answer)
            SELECT c.id, c.destination, c.parameters, c.answer FROM c JOIN mine USING (id)
            WHERE c.is_whole AND (c.destination IS NOT NULL OR c.parameters IS NOT NULL OR c.answer IS NOT NULL)
            ON CONFLICT (id) DO NOTHING
        ), closed AS (
            INSERT INTO chatgate.journal (replica, {columns})
            SELECT mine.owner, {of_c} FROM c JOIN mine USING (id) WHERE c.is_whole ON CONFLICT (id) DO NOTHING
        )
        SELECT c.id FROM c WHERE c.is_whole AND c.settled = 'sent' AND c.id NOT IN (SELECT id FROM mine)",
        values = parameters(5, VALUES),
        names = *NAMES,
        columns = *COLUMNS,
        of_c = columns_of("c"),
    )
}

/// The word for freeing the key of a send that was not sent.
const FREE: &str = "free";

const SETTLED: &str = ", settled AS (
            UPDATE chatgate.receipts r SET state = c.settled, answer = c.receipt FROM c
            WHERE r.row = ANY($1) AND r.row = c.id AND c.settled IN ('sent', 'unknown') AND (r.state = 'open' OR c.settled = 'sent')
        )";

const FREED: &str = ", freed AS (
            DELETE FROM chatgate.receipts r USING c JOIN mine USING (id)
            WHERE r.row = ANY($1) AND r.row = c.id AND c.settled = 'free'
        )";

/// The statements that close batches. The first index says whether keys are settled, the second whether keys are freed.
static CLOSE: LazyLock<[[String; 2]; 2]> = LazyLock::new(|| {
    [false, true].map(|settles| [false, true].map(|frees| close_text(settles, frees)))
});

/// Writes the outcomes of rows that others have closed as unknown.
const CLOSED_LATE: &str =
    "UPDATE chatgate.journal j SET status = c.status, canonical = c.canonical, code = c.code,
        delivery = 'sent', cause = 'the outcome was known late'
    FROM unnest($1, $2, $3, $4) AS c(id, status, canonical, code)
    WHERE j.id = ANY($1) AND j.id = c.id AND j.delivery = 'unknown'";

impl LaneState {
    /// Closes a batch and takes back withdrawn sends.
    ///
    /// # Errors
    /// When the statement failed. It may be retried, whether it was carried out or not.
    pub(super) async fn close(
        &self,
        session: &mut PgSession,
        batch: &mut [JournalEntry],
    ) -> Result<(), PgError> {
        for entry in batch.iter_mut() {
            if let JournalEntry::Close(id, closing) = entry
                && closing.row.id != *id
            {
                if let Some(opened) = self.sends.take_row(*id) {
                    complete(&mut closing.row, *opened);
                }
                closing.row.id = *id;
                closing.row.open = false;
                self.tallies.add(*id, &closing.row, 1);
            }
        }
        self.close_rows(session, batch).await?;
        // A close over a new primary may have found no row, if the sends had not been put back there yet.
        let remembers = self.primary.may_forget() || self.has_unhandled_failover();
        let now = Instant::now();
        for entry in batch {
            match entry {
                JournalEntry::Close(_, closing) if remembers => {
                    let row = std::mem::take(&mut closing.row);
                    self.sends.end_with(row, closing.settlement.take(), now);
                }
                JournalEntry::Close(id, _) | JournalEntry::Withdraw(id) => self.sends.end(*id),
                _ => {}
            }
        }
        Ok(())
    }

    pub(super) async fn close_rows(
        &self,
        session: &mut PgSession,
        batch: &[JournalEntry],
    ) -> Result<(), PgError> {
        let withdrawn: Vec<JournalRow> = batch.iter().filter_map(withdrawn).collect();
        let mut withdrawn = withdrawn.iter();
        let (mut ids, mut are_whole) = (Vec::new(), Vec::new());
        let (mut settled, mut receipts) = (Vec::new(), Vec::new());
        let mut lists = RowLists::default();
        for entry in batch {
            let (row, settlement) = match entry {
                JournalEntry::Close(_, closing) => {
                    (Some(&closing.row), closing.settlement.as_ref())
                }
                JournalEntry::Withdraw(_) => (withdrawn.next(), Some(&Settlement::Free)),
                _ => (None, None),
            };
            let Some(row) = row else { continue };
            let kept = settlement.map(Settlement::kept);
            ids.push(row.id);
            are_whole.push(matches!(entry, JournalEntry::Close(..)));
            settled.push(kept.map(|kept| kept.map_or(FREE, |(state, _)| state)));
            receipts.push(kept.flatten().map(|(_, answer)| clean(answer)));
            lists.push(row, &self.key);
        }
        let own: [Value<'_>; 4] = [
            (&ids, Type::INT8_ARRAY),
            (&are_whole, Type::BOOL_ARRAY),
            (&settled, Type::TEXT_ARRAY),
            (&receipts, Type::TEXT_ARRAY),
        ];
        let values: Vec<Value<'_>> = own.into_iter().chain(lists.values()).collect();
        let settles = settled
            .iter()
            .any(|word| word.is_some_and(|word| word != FREE));
        let frees = settled.contains(&Some(FREE));
        let sql = &CLOSE[usize::from(settles)][usize::from(frees)];
        let late = session.query_prepared(sql, &values).await?;
        let late: Vec<i64> = late
            .iter()
            .map(|row| row.try_get("id"))
            .collect::<Result<_, _>>()?;
        if late.is_empty() {
            return Ok(());
        }
        close_late(session, batch, &late).await
    }
}

/// Returns the row of a withdrawn opening, which has only its id.
fn withdrawn(entry: &JournalEntry) -> Option<JournalRow> {
    match entry {
        JournalEntry::Withdraw(id) => Some(JournalRow {
            id: *id,
            ..JournalRow::default()
        }),
        _ => None,
    }
}

/// Writes late outcomes of rows that others have closed as unknown.
async fn close_late(
    session: &mut PgSession,
    batch: &[JournalEntry],
    late: &[i64],
) -> Result<(), PgError> {
    let rows = batch.iter().filter_map(|entry| match entry {
        JournalEntry::Close(id, closing) if late.contains(id) => Some(&closing.row),
        _ => None,
    });
    let rows: Vec<&JournalRow> = rows.collect();
    let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
    let status = |status: Option<u16>| status.map(i32::from);
    let statuses: Vec<Option<i32>> = rows.iter().map(|row| status(row.status)).collect();
    let canonical: Vec<Option<i32>> = rows.iter().map(|row| status(row.canonical)).collect();
    let codes: Vec<Option<&str>> = rows.iter().map(|row| row.code.as_deref()).collect();
    let values: [Value<'_>; 4] = [
        (&ids, Type::INT8_ARRAY),
        (&statuses, Type::INT4_ARRAY),
        (&canonical, Type::INT4_ARRAY),
        (&codes, Type::TEXT_ARRAY),
    ];
    session.execute(CLOSED_LATE, &values).await?;
    Ok(())
}
