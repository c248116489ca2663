//! The version of the tables at the last heartbeat, and whether this program fits it. Other versions of the program may have
//! changed the tables.

use std::sync::atomic::{AtomicI32, Ordering};

use tokio_postgres::Row;

use super::error::PgError;
use super::session::PgSession;
use crate::{StoreError, TableMisfit};

/// The number of the last migration.
pub(super) const SCHEMA: i32 = 6;

/// The contract of the tables that this program knows. It may write tables whose `contract` is this or less.
pub(super) const CONTRACT: i32 = 1;

/// The version that the tables report.
pub(crate) struct TableVersion {
    /// The number of the last migration.
    schema: AtomicI32,
    /// The minimum contract that a program has to know.
    contract: AtomicI32,
}

/// Selects the version of the tables, at a start and with every heartbeat.
pub(super) const OF_TABLES: &str = "(SELECT schema FROM chatgate.deployment) AS schema,
    (SELECT contract FROM chatgate.deployment) AS contract";

/// Checks that the tables fit this program.
///
/// # Errors
/// When they don't fit or can't be read.
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
    /// Returns the version of tables that fit, as found at the start.
    pub(super) fn known() -> TableVersion {
        TableVersion {
            schema: AtomicI32::new(SCHEMA),
            contract: AtomicI32::new(CONTRACT),
        }
    }

    /// Records the version of the tables, and logs when the tables begin or cease to fit.
    ///
    /// # Errors
    /// When the row has no version.
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

    /// Records the version of the tables.
    ///
    /// # Errors
    /// When the row has no version.
    pub(super) fn note(&self, row: &Row) -> Result<(), PgError> {
        self.schema.store(row.try_get("schema")?, Ordering::Relaxed);
        let contract = row.try_get("contract")?;
        self.contract.store(contract, Ordering::Relaxed);
        Ok(())
    }

    /// Returns the reason why the tables do not fit.
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
