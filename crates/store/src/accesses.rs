//! All accesses at one moment, found by name, user or client id without touching the disk.
//!
//! A snapshot shares with the one before it all that a change leaves as it is: a change of one access copies one part of
//! each index, some hundred pointers, however many accesses there are.

mod index;
mod names;
mod search;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::Access;
use index::Index;
use names::Names;

pub use search::AccessSearch;

/// A snapshot. A request keeps the one it began with.
#[derive(Clone, Debug)]
pub struct Accesses {
    by_name: Index,
    by_user: Index,
    by_client_id: Index,
    names: Names,
}

/// An access as a change leaves it: its name, and what it is now, or nothing when it is gone.
pub type ChangedAccess = (String, Option<Access>);

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

    /// All of them, by name in the order of its bytes.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Access>> {
        self.names.iter()
    }

    /// Those whose names follow this one, by name: with as many as a page has taken from it, the next page. The name itself
    /// need not exist. Costs the search for the first.
    pub fn after(&self, name: &str) -> impl Iterator<Item = &Arc<Access>> {
        self.names.after(name)
    }

    /// One of all accesses, for every number always the same; none when there are none.
    #[must_use]
    pub fn at(&self, number: u64) -> Option<&Arc<Access>> {
        let place = number.checked_rem(self.len() as u64)?;
        self.names.at(usize::try_from(place).ok()?)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there are none, which means that nobody gets in.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The snapshot after these changes, in their order. This one stays as it is.
    #[must_use]
    pub fn with(&self, changes: impl IntoIterator<Item = ChangedAccess>) -> Accesses {
        let mut accesses = self.clone();
        for (name, access) in changes {
            accesses.remove(&name);
            if let Some(access) = access {
                accesses.put(Arc::new(access.fitted()));
            }
        }
        accesses.names.count();
        accesses
    }

    fn put(&mut self, access: Arc<Access>) {
        self.by_name.put(Arc::clone(&access));
        self.by_user.put(Arc::clone(&access));
        self.by_client_id.put(Arc::clone(&access));
        self.names.put(access);
    }

    fn remove(&mut self, name: &str) {
        // By its hash first: when a store is opened no name is there yet.
        if self.by_name.get(name).is_none() {
            return;
        }
        if let Some(access) = self.names.remove(name) {
            self.by_name.remove(&access);
            self.by_user.remove(&access);
            self.by_client_id.remove(&access);
        }
    }
}

impl Default for Accesses {
    fn default() -> Accesses {
        Accesses {
            by_name: Index::new(|access| &access.name),
            by_user: Index::new(|access| &access.user),
            by_client_id: Index::new(|access| &access.client_id),
            names: Names::default(),
        }
    }
}

impl FromIterator<Access> for Accesses {
    fn from_iter<I: IntoIterator<Item = Access>>(accesses: I) -> Accesses {
        let accesses = accesses.into_iter();
        Accesses::default().with(accesses.map(|access| (access.name.clone(), Some(access))))
    }
}
