//! All accesses at one moment, found by name, user or client id without touching the disk.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::Connection;

use crate::{Access, StoreError};

/// Its keys are the operators' to choose and not the callers', so that a quick hash will do.
type ByText = HashMap<String, Arc<Access>, foldhash::fast::RandomState>;

/// A snapshot. A request keeps the one it began with.
#[derive(Debug, Default)]
pub struct Accesses {
    by_name: ByText,
    by_user: ByText,
    by_client_id: ByText,
    all: Vec<Arc<Access>>,
}

impl Accesses {
    /// The access with this name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Arc<Access>> {
        self.by_name.get(name)
    }

    /// The access that presents this user name.
    #[must_use]
    pub fn of_user(&self, user: &str) -> Option<&Arc<Access>> {
        self.by_user.get(user)
    }

    /// The access that presents this client id.
    #[must_use]
    pub fn of_client(&self, client_id: &str) -> Option<&Arc<Access>> {
        self.by_client_id.get(client_id)
    }

    /// All of them, by name.
    #[must_use]
    pub fn all(&self) -> &[Arc<Access>] {
        &self.all
    }

    /// One of all accesses, for every number always the same; none when there are none.
    #[must_use]
    pub fn at(&self, number: u64) -> Option<&Arc<Access>> {
        let index = number.checked_rem(self.all.len() as u64)?;
        self.all.get(usize::try_from(index).ok()?)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether there are none, which means that nobody gets in.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }
}

impl FromIterator<Access> for Accesses {
    fn from_iter<I: IntoIterator<Item = Access>>(accesses: I) -> Accesses {
        let mut all = Accesses::default();
        for access in accesses {
            let access = Arc::new(access);
            all.by_user.insert(access.user.clone(), Arc::clone(&access));
            all.by_client_id
                .insert(access.client_id.clone(), Arc::clone(&access));
            all.by_name.insert(access.name.clone(), Arc::clone(&access));
            all.all.push(access);
        }
        all
    }
}

/// All accesses of the store, by name.
pub(crate) fn read_accesses(connection: &Connection) -> Result<Accesses, StoreError> {
    let mut rows = connection.prepare("SELECT name, document FROM accesses ORDER BY name")?;
    let mut rows = rows.query([])?;
    let mut accesses = Vec::new();
    while let Some(row) = rows.next()? {
        let document = row.get_ref("document")?.as_str().unwrap_or_default();
        let access = serde_json::from_str::<Access>(document).map_err(|error| {
            let name: String = row.get("name").unwrap_or_default();
            StoreError::new(format!("the access {name} can't be read: {error}"))
        })?;
        accesses.push(access);
    }
    Ok(accesses.into_iter().collect())
}
