//! When an access was last let in: noted in memory with every call, on disk every few seconds. It is no change of the access,
//! so that neither its version nor anything that was kept for it ends with it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use sqlx::sqlite::SqlitePool;
use sqlx::{Connection, Row};

use crate::{Access, Store, StoreError};

/// One use of an access.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastUse {
    /// When; seconds since 1970, UTC.
    pub at: i64,
    /// From where.
    pub address: IpAddr,
    /// The way in, by name.
    pub way: Cow<'static, str>,
}

/// The last uses by client id. A call takes the outer lock to read and its own access's slot for a moment; only the first call
/// of an access and the sweep take the outer one to write.
#[derive(Debug, Default)]
pub(crate) struct LastUses(RwLock<HashMap<String, Arc<Mutex<Slot>>, foldhash::fast::RandomState>>);

#[derive(Debug)]
struct Slot {
    last: LastUse,
    is_saved: bool,
}

impl LastUses {
    fn slot(&self, client_id: &str) -> Option<Arc<Mutex<Slot>>> {
        let slots = self.0.read().unwrap_or_else(PoisonError::into_inner);
        slots.get(client_id).cloned()
    }

    fn note(&self, client_id: &str, last: LastUse) {
        let slot = Slot {
            last,
            is_saved: false,
        };
        match self.slot(client_id) {
            Some(known) => *known.lock().unwrap_or_else(PoisonError::into_inner) = slot,
            None => {
                let mut slots = self.0.write().unwrap_or_else(PoisonError::into_inner);
                slots.insert(client_id.to_owned(), Arc::new(Mutex::new(slot)));
            }
        }
    }

    /// Those that are not on disk yet.
    fn unsaved(&self) -> Vec<(String, LastUse)> {
        let slots = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let unsaved = slots.iter().filter_map(|(client_id, slot)| {
            let slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
            (!slot.is_saved).then(|| (client_id.clone(), slot.last.clone()))
        });
        unsaved.collect()
    }

    /// These are on disk now, but for what was noted meanwhile.
    fn mark_saved(&self, uses: &[(String, LastUse)]) {
        for (client_id, last) in uses {
            if let Some(slot) = self.slot(client_id) {
                let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
                slot.is_saved = slot.last == *last;
            }
        }
    }

    fn retain(&self, is_there: impl Fn(&str) -> bool) {
        let mut slots = self.0.write().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|client_id, _| is_there(client_id));
    }
}

impl Store {
    /// Notes that an access was let in. Costs no disk.
    pub fn note_use(&self, access: &Access, last: LastUse) {
        self.last_uses().note(&access.client_id, last);
    }

    /// When the access was last let in, if ever.
    #[must_use]
    pub fn last_use(&self, access: &Access) -> Option<LastUse> {
        let slot = self.last_uses().slot(&access.client_id)?;
        let slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        Some(slot.last.clone())
    }

    /// Writes down what has been noted since the last time, and forgets accesses that are gone. Call it every few seconds,
    /// and before the end.
    ///
    /// # Errors
    /// When the store can't be written. What was noted is written down the next time then.
    pub async fn save_uses(&self) -> Result<(), StoreError> {
        let accesses = self.accesses();
        self.last_uses()
            .retain(|client_id| accesses.of_client(client_id).is_some());
        let unsaved = self.last_uses().unsaved();
        if !unsaved.is_empty() {
            self.write_uses(&unsaved).await?;
            self.last_uses().mark_saved(&unsaved);
        }
        Ok(())
    }

    async fn write_uses(&self, uses: &[(String, LastUse)]) -> Result<(), StoreError> {
        let mut writer = self.writer().await?;
        let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
        for (client_id, last) in uses {
            sqlx::query(
                "INSERT INTO last_uses (client_id, at, address, way) VALUES (?, ?, ?, ?)
                 ON CONFLICT (client_id) DO UPDATE SET at = excluded.at, address = excluded.address,
                 way = excluded.way",
            )
            .bind(client_id)
            .bind(last.at)
            .bind(last.address.to_string())
            .bind(&*last.way)
            .execute(&mut *transaction)
            .await?;
        }
        sqlx::query(
            "DELETE FROM last_uses WHERE client_id NOT IN (SELECT client_id FROM accesses)",
        )
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }
}

pub(crate) async fn read_last_uses(pool: &SqlitePool) -> Result<LastUses, StoreError> {
    let rows = sqlx::query("SELECT client_id, at, address, way FROM last_uses")
        .fetch_all(pool)
        .await?;
    let mut uses = HashMap::default();
    for row in rows {
        let address: String = row.try_get("address")?;
        // What can't be read is no reason not to start.
        let Ok(address) = address.parse() else {
            continue;
        };
        let last = LastUse {
            at: row.try_get("at")?,
            address,
            way: Cow::Owned(row.try_get("way")?),
        };
        let slot = Slot {
            last,
            is_saved: true,
        };
        uses.insert(row.try_get("client_id")?, Arc::new(Mutex::new(slot)));
    }
    Ok(LastUses(RwLock::new(uses)))
}
