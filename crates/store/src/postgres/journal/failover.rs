//! After a failover, puts this replica's sends back where the new primary lacks them. No other replica can do it. Until then, this
//! replica begins no other send.

use std::sync::atomic::Ordering;
use std::time::Instant;

use super::open_lists::{OpenLists, RowToOpen};
use super::open_row::OpenRow;
use super::send_tracker::EndedSend;
use super::shared::LaneState;
use crate::journal::entry::{Closing, JournalEntry};
use crate::postgres::error::PgError;
use crate::postgres::lease::now_ms;
use crate::postgres::session::PgSession;
use crate::{Claim, JournalKind, JournalRow};

/// Opens missing rows and claims their keys again. Keys that others have claimed since then stay theirs, and closed rows stay
/// closed.
const PUT_BACK: &str = "WITH o AS (
        SELECT * FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
            AS o(id, client_id, method, key, fingerprint, request_id, made_at, kept_since, own_bytes, own_max, all_bytes, all_max, row)
        WHERE NOT EXISTS (SELECT FROM chatgate.journal j WHERE j.id = o.id)
    ), claimed AS (
        INSERT INTO chatgate.receipts (client_id, method, key, fingerprint, row, request_id, made_at, state)
        SELECT client_id, method, key, fingerprint, id, request_id, made_at, 'open' FROM o WHERE key IS NOT NULL
        ORDER BY client_id, method, key ON CONFLICT DO NOTHING
    )
    INSERT INTO chatgate.intents (id, owner, row) SELECT id, $1, row FROM o ON CONFLICT DO NOTHING RETURNING id";

/// An open send: its id, the text of its row, and the claim of its key.
type OpenSend = (i64, String, Option<Claim>);

impl LaneState {
    /// Returns whether there was a failover since sends were last put back.
    pub(super) fn has_unhandled_failover(&self) -> bool {
        let since = self.restored_timeline.load(Ordering::Acquire);
        since != 0 && self.primary.timeline() > since
    }

    /// Puts back the sends that a new primary lacks, if the connection leads to one, and records it in the log and the journal.
    ///
    /// # Errors
    /// When the database can't be written. The caller has to retry.
    pub(super) async fn after_failover(&self, session: &mut PgSession) -> Result<(), PgError> {
        let (before, now) = (
            self.restored_timeline.load(Ordering::Acquire),
            session.timeline(),
        );
        if before != 0 && now > before {
            let open = self.sends.under_way(|row| OpenRow::text_of(row, &self.key));
            let (under_way, mut restored) = (open.len(), self.put_back(session, open).await?);
            // These include sends that have ended since the sends above were listed.
            let ended = self.sends.take_ended(Instant::now());
            let closed = self.reopen_ended(session, &ended).await;
            self.sends.restore_ended(ended);
            restored += closed?;
            self.journal.failovers.fetch_add(1, Ordering::Relaxed);
            let cause = format!(
                "timeline {now} after {before}: {restored} sends were restored, {under_way} are under way"
            );
            tracing::warn!(
                timeline = now,
                restored,
                under_way,
                "the database has failed over"
            );
            self.journal.add(JournalRow {
                kind: JournalKind::Failover,
                at_ms: now_ms(),
                actor: Some("housekeeping".into()),
                cause: Some(cause.into()),
                ..JournalRow::default()
            });
        }
        self.restored_timeline.store(now, Ordering::Release);
        Ok(())
    }

    async fn put_back(
        &self,
        session: &mut PgSession,
        sends: Vec<OpenSend>,
    ) -> Result<usize, PgError> {
        let claims: Vec<_> = sends.iter().map(|(_, _, claim)| claim.as_ref()).collect();
        let wanted = sends
            .iter()
            .zip(claims)
            .map(|((id, row, _), claim)| RowToOpen {
                place: 0,
                id: *id,
                row: row.clone(),
                claim: claim.map(|claim| (claim, claim.hashed_key(&self.key))),
            });
        let wanted: Vec<_> = wanted.collect();
        if wanted.is_empty() {
            return Ok(0);
        }
        let lists = OpenLists::of(&wanted, self.lease.ahead_s());
        let owner = self.ids.replica().id;
        Ok(session.query(PUT_BACK, &lists.values(&owner)).await?.len())
    }

    /// Opens ended sends again, and closes them with their outcomes.
    async fn reopen_ended(
        &self,
        session: &mut PgSession,
        ended: &[EndedSend],
    ) -> Result<usize, PgError> {
        let open = ended.iter().map(|send| {
            let row = OpenRow::text_of(&send.row, &self.key);
            (send.row.id, row, send.claim.clone())
        });
        let restored = self.put_back(session, open.collect()).await?;
        let closings = ended.iter().map(|send| {
            let closing = Closing {
                row: send.row.clone(),
                settlement: send.settlement.clone(),
                reply: None,
            };
            JournalEntry::Close(send.row.id, Box::new(closing))
        });
        let closings: Vec<_> = closings.collect();
        if !closings.is_empty() {
            self.close_rows(session, &closings).await?;
        }
        Ok(restored)
    }
}
