//! A snapshot of all accesses, which finds an access by name, user or client id without a disk access.
//!
//! A new snapshot shares all unchanged parts with the previous snapshot: a change of one access copies one part of each index, a
//! few hundred pointers, regardless of the number of accesses.

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

/// A snapshot of all accesses. A request uses one snapshot from its start to its end.
#[derive(Clone, Debug)]
pub struct Accesses {
    by_name: Index,
    by_user: Index,
    by_client_id: Index,
    names: Names,
    /// Number of accesses that this program can't read.
    unreadable: usize,
}

/// The result of a change for one access: its name, and its new state, or `None` if the access was deleted.
pub type ChangedAccess = (String, Option<Access>);

impl Accesses {
    /// Returns the access with this name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Arc<Access>> {
        self.by_name.get(name)
    }

    /// Returns the access that presents this user name.
    #[must_use]
    pub fn of_user(&self, user: &str) -> Option<&Arc<Access>> {
        self.by_user.get(user)
    }

    /// Returns the access that presents this client id.
    #[must_use]
    pub fn of_client(&self, client_id: &str) -> Option<&Arc<Access>> {
        self.by_client_id.get(client_id)
    }

    /// Returns all accesses in the byte order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Access>> {
        self.names.iter()
    }

    /// Returns the accesses whose names follow this name, in the order of names; a caller that takes one page of them gets the next
    /// page. No access needs to have this name. The cost is one search for the first access.
    pub fn after(&self, name: &str) -> impl Iterator<Item = &Arc<Access>> {
        self.names.after(name)
    }

    /// Returns one of all accesses, always the same access for the same number; `None` if the snapshot is empty.
    #[must_use]
    pub fn at(&self, number: u64) -> Option<&Arc<Access>> {
        let place = number.checked_rem(self.len() as u64)?;
        self.names.at(usize::try_from(place).ok()?)
    }

    /// Returns the number of accesses.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Returns the number of accesses that this program can't read, because a newer version of the program has written them or they
    /// are damaged.
    #[must_use]
    pub fn unreadable(&self) -> usize {
        self.unreadable
    }

    /// Returns whether the snapshot contains no access, which means that nobody can call.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the snapshot after these changes, which are applied in their order. This snapshot stays unchanged.
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
        self.unreadable += usize::from(access.is_unreadable);
        self.by_name.put(Arc::clone(&access));
        self.by_user.put(Arc::clone(&access));
        self.by_client_id.put(Arc::clone(&access));
        self.names.put(access);
    }

    fn remove(&mut self, name: &str) {
        // The hash lookup comes first because it is cheap: while a store is opened, no name is present yet.
        if self.by_name.get(name).is_none() {
            return;
        }
        if let Some(access) = self.names.remove(name) {
            self.unreadable -= usize::from(access.is_unreadable);
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
            unreadable: 0,
        }
    }
}

impl FromIterator<Access> for Accesses {
    fn from_iter<I: IntoIterator<Item = Access>>(accesses: I) -> Accesses {
        let accesses = accesses.into_iter();
        Accesses::default().with(accesses.map(|access| (access.name.clone(), Some(access))))
    }
}
