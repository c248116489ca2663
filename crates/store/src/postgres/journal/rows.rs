//! Writes whole rows, grown counts, and the sums of minutes.

use std::sync::LazyLock;

use tokio_postgres::types::Type;

use super::columns::{COLUMNS, NAMES, RowLists, VALUES, columns_of, parameters};
use super::shared::LaneState;
use super::tallies::DueSums;
use crate::journal::entry::{CountUpdate, JournalEntry};
use crate::postgres::error::PgError;
use crate::postgres::session::{PgSession, Value};

/// Adds rows. A retry uses the same ids, so that no row is written twice.
static ADD: LazyLock<String> = LazyLock::new(|| {
    format!(
        "WITH c AS (
            SELECT * FROM unnest({values}) AS c({names})
        ), said AS (
            INSERT INTO chatgate.journal_payload (id, destination, parameters, answer)
            SELECT id, destination, parameters, answer FROM c
            WHERE destination IS NOT NULL OR parameters IS NOT NULL OR answer IS NOT NULL ON CONFLICT (id) DO NOTHING
        ), grown AS (
            UPDATE chatgate.journal j SET count = g.count FROM unnest($2, $3) AS g(id, count)
            WHERE j.id = ANY($2) AND j.id = g.id AND j.count < g.count
        ), added AS (
            INSERT INTO chatgate.journal AS j (replica, {columns}) SELECT $1, {of_c} FROM c
            ON CONFLICT (id) DO UPDATE SET count = greatest(j.count, excluded.count)
        )
        INSERT INTO chatgate.tallies AS t (minute, replica, calls, failed)
        SELECT minute, $1, calls, failed FROM unnest($4, $5, $6) AS m(minute, calls, failed)
        ON CONFLICT (minute, replica) DO UPDATE SET calls = greatest(t.calls, excluded.calls),
            failed = greatest(t.failed, excluded.failed)",
        values = parameters(7, VALUES),
        names = *NAMES,
        columns = *COLUMNS,
        of_c = columns_of("c"),
    )
});

impl LaneState {
    /// Writes a batch of rows and counts, and the sums of their minutes.
    ///
    /// # Errors
    /// When the statement failed. It may be retried, whether it was carried out or not.
    pub(super) async fn add(
        &self,
        session: &mut PgSession,
        batch: &mut [JournalEntry],
    ) -> Result<(), PgError> {
        for entry in batch.iter_mut() {
            match entry {
                JournalEntry::Row(row) if row.id == 0 => {
                    row.id = self.ids.next(self.lease.database_ms(row.at_ms));
                    self.tallies.add(row.id, row, row.count.0);
                }
                JournalEntry::Counted(update) => self.count(update),
                _ => {}
            }
        }
        let sums = self.tallies.take_due();
        let added = self.add_rows(session, batch, &sums).await;
        if added.is_err() {
            self.tallies.put_back(&sums);
        }
        added
    }

    /// Makes the row of a new count, or determines how much an existing count has grown.
    fn count(&self, update: &mut CountUpdate) {
        let more = update.count_anew();
        match update.counted.id() {
            Some(id) => {
                update.id = id;
                update.row = None;
            }
            None => {
                let at_ms = update.counted.row().map_or(0, |row| row.at_ms);
                let id = match update.id {
                    0 => self.ids.next(self.lease.database_ms(at_ms)),
                    id => id,
                };
                update.begin(id);
            }
        }
        if let Some(row) = update.counted.row() {
            self.tallies.add(update.id, row, more);
        }
    }

    async fn add_rows(
        &self,
        session: &mut PgSession,
        batch: &[JournalEntry],
        sums: &DueSums,
    ) -> Result<(), PgError> {
        let mut lists = RowLists::default();
        for row in batch.iter().filter_map(JournalEntry::new_row) {
            lists.push(row, &self.key);
        }
        let (mut ids, mut counts) = (Vec::new(), Vec::new());
        for entry in batch {
            if let JournalEntry::Counted(update) = entry
                && update.row.is_none()
            {
                ids.push(update.id);
                counts.push(i64::try_from(update.calls).unwrap_or(i64::MAX));
            }
        }
        let replica = self.ids.replica().id;
        let own: [Value<'_>; 6] = [
            (&replica, Type::INT8),
            (&ids, Type::INT8_ARRAY),
            (&counts, Type::INT8_ARRAY),
            (&sums.minutes, Type::INT8_ARRAY),
            (&sums.calls, Type::INT8_ARRAY),
            (&sums.failed, Type::INT8_ARRAY),
        ];
        let values: Vec<Value<'_>> = own.into_iter().chain(lists.values()).collect();
        session.query_prepared(&ADD, &values).await?;
        Ok(())
    }
}
