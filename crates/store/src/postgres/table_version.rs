//! Whether the tables fit this program, as the last heartbeat has seen them: other versions of it may have changed them.

use std::sync::atomic::{AtomicI32, Ordering};

use tokio_postgres::Row;

use super::error::PgError;
use super::session::PgSession;
use crate::{StoreError, TableMisfit};

/// The last migration.
pub(super) const SCHEMA: i32 = 5;

/// What this program knows of the tables: it may write those whose `contract` is this or less.
pub(super) const CONTRACT: i32 = 1;

/// What the tables say of themselves.
pub(crate) struct TableVersion {
    /// The last migration.
    schema: AtomicI32,
    /// What a program has to know at least.
    contract: AtomicI32,
}

/// What is read of it, with every heartbeat and at a start.
pub(super) const OF_TABLES: &str = "(SELECT schema FROM chatgate.deployment) AS schema,
    (SELECT contract FROM chatgate.deployment) AS contract";

/// Looks whether the tables fit this program.
///
/// # Errors
/// When they don't, or can't be read.
pub(super) async fn check_contract(session: &mut PgSession) -> Result<(), StoreError> {
    let rows = session.query(&format!("SELECT {OF_TABLES}"), &[]).await?;
    let tables = TableVersion::known();
    if let Some(row) = rows.first() {
        tables.note(row)?;
    }
    match tables.misfit() {
        Some(misfit) => Err(StoreError::new(misfit.to_string())),
        None => Ok(()),
    }
}

impl TableVersion {
    /// Tables that fit, as a start has found them.
    pub(super) fn known() -> TableVersion {
        TableVersion {
            schema: AtomicI32::new(SCHEMA),
            contract: AtomicI32::new(CONTRACT),
        }
    }

    /// Notes what the tables say, and logs when they begin or cease to fit.
    ///
    /// # Errors
    /// When they say nothing.
    pub(super) fn observe(&self, row: &Row) -> Result<(), PgError> {
        let before = self.misfit();
        self.note(row)?;
        match (before, self.misfit()) {
            (None, Some(misfit)) => tracing::error!("{misfit}"),
            (Some(_), None) => tracing::warn!("the database's tables fit this program again"),
            _ => {}
        }
        Ok(())
    }

    /// Notes what the tables say.
    ///
    /// # Errors
    /// When they say nothing.
    pub(super) fn note(&self, row: &Row) -> Result<(), PgError> {
        self.schema.store(row.try_get("schema")?, Ordering::Relaxed);
        let contract = row.try_get("contract")?;
        self.contract.store(contract, Ordering::Relaxed);
        Ok(())
    }

    /// Why they do not fit.
    pub(crate) fn misfit(&self) -> Option<TableMisfit> {
        let contract = self.contract.load(Ordering::Relaxed);
        let schema = self.schema.load(Ordering::Relaxed);
        if contract > CONTRACT {
            Some(TableMisfit::NeedsNewer {
                contract,
                known: CONTRACT,
            })
        } else if schema < SCHEMA {
            Some(TableMisfit::IsOlder {
                schema,
                known: SCHEMA,
            })
        } else {
            None
        }
    }
}
