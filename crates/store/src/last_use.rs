//! The time at which an access was last admitted: noted in memory with every call, and written to the disk every few seconds. A use
//! is not a change of the access, so that neither the access's version nor anything cached for it becomes invalid.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

/// One use of an access.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastUse {
    /// The time; seconds since 1970, UTC.
    pub at: i64,
    /// The caller's address.
    pub address: IpAddr,
    /// The way in, by name.
    pub way: Cow<'static, str>,
}

/// The last uses by client id. A call takes the outer lock for reading, and its access's slot for a moment. Only the first call of
/// an access and the deletion of an access take the outer lock for writing.
#[derive(Debug, Default)]
pub(crate) struct LastUses {
    slots: RwLock<HashMap<String, Arc<Mutex<UseSlot>>, foldhash::fast::RandomState>>,
    /// The client ids whose last use is not on the disk yet, so that no search through all uses is needed.
    unsaved: Mutex<Vec<String>>,
}

#[derive(Debug)]
struct UseSlot {
    last: LastUse,
    is_saved: bool,
}

impl FromIterator<(String, LastUse)> for LastUses {
    /// Makes the last uses from stored ones, by client id.
    fn from_iter<I: IntoIterator<Item = (String, LastUse)>>(uses: I) -> LastUses {
        let saved = |(client_id, last)| {
            let slot = UseSlot {
                last,
                is_saved: true,
            };
            (client_id, Arc::new(Mutex::new(slot)))
        };
        LastUses {
            slots: RwLock::new(uses.into_iter().map(saved).collect()),
            unsaved: Mutex::default(),
        }
    }
}

impl LastUses {
    fn slot(&self, client_id: &str) -> Option<Arc<Mutex<UseSlot>>> {
        let slots = self.slots.read();
        slots.get(client_id).cloned()
    }

    pub(crate) fn note(&self, client_id: &str, last: LastUse) {
        let was_saved = self.replace(
            client_id,
            UseSlot {
                last,
                is_saved: false,
            },
        );
        if was_saved {
            self.will_save(client_id);
        }
    }

    /// Replaces a use. Returns whether the previous use was saved or did not exist.
    fn replace(&self, client_id: &str, slot: UseSlot) -> bool {
        if let Some(known) = self.slot(client_id) {
            let mut known = known.lock();
            return std::mem::replace(&mut *known, slot).is_saved;
        }
        let mut slots = self.slots.write();
        slots.insert(client_id.to_owned(), Arc::new(Mutex::new(slot)));
        true
    }

    fn will_save(&self, client_id: &str) {
        let mut unsaved = self.unsaved.lock();
        unsaved.push(client_id.to_owned());
    }

    /// Takes the uses that are not on the disk yet. They count as saved until the next use, or until they are [given
    /// back](LastUses::mark_unsaved).
    pub(crate) fn take_unsaved(&self) -> Vec<(String, LastUse)> {
        let mut unsaved = self.unsaved.lock();
        let unsaved = std::mem::take(&mut *unsaved).into_iter();
        let uses = unsaved.filter_map(|client_id| {
            let slot = self.slot(&client_id)?;
            let mut slot = slot.lock();
            slot.is_saved = true;
            Some((client_id, slot.last.clone()))
        });
        uses.collect()
    }

    /// Marks uses as unsaved again, after they could not be written.
    pub(crate) fn mark_unsaved(&self, uses: &[(String, LastUse)]) {
        for (client_id, _) in uses {
            let Some(slot) = self.slot(client_id) else {
                continue;
            };
            let mut slot = slot.lock();
            if std::mem::replace(&mut slot.is_saved, false) {
                self.will_save(client_id);
            }
        }
    }

    /// Notes a use that another process has stored, if it is newer than the known use.
    pub(crate) fn learn(&self, client_id: &str, last: LastUse) {
        if self.last(client_id).is_none_or(|known| known.at < last.at) {
            let slot = UseSlot {
                last,
                is_saved: true,
            };
            self.replace(client_id, slot);
        }
    }

    /// Returns the last use of the access with this client id.
    pub(crate) fn last(&self, client_id: &str) -> Option<LastUse> {
        let slot = self.slot(client_id)?;
        let slot = slot.lock();
        Some(slot.last.clone())
    }

    /// Removes the use of a deleted access.
    pub(crate) fn forget(&self, client_id: &str) {
        let mut slots = self.slots.write();
        slots.remove(client_id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_use_is_saved_once_and_again_after_a_failed_write() {
        let uses = LastUses::default();
        let use_at = |at| LastUse {
            at,
            address: [192, 0, 2, 1].into(),
            way: "http".into(),
        };
        for at in 0..3 {
            uses.note("a", use_at(at));
            uses.note("b", use_at(at));
        }
        let taken = uses.take_unsaved();
        assert_eq!(
            taken,
            [("a".to_owned(), use_at(2)), ("b".to_owned(), use_at(2))]
        );
        assert_eq!(uses.take_unsaved(), []);
        uses.note("a", use_at(3));
        uses.mark_unsaved(&taken);
        let mut again = uses.take_unsaved();
        again.sort_by_key(|(client_id, _)| client_id.clone());
        assert_eq!(
            again,
            [("a".to_owned(), use_at(3)), ("b".to_owned(), use_at(2))]
        );
        uses.note("a", use_at(4));
        uses.forget("a");
        assert_eq!((uses.take_unsaved(), uses.last("a")), (Vec::new(), None));
    }
}
