//! When an access was last let in: noted in memory with every call, on disk every few seconds. It does not change the access,
//! so that neither its version nor anything that was kept for it ends with it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

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
pub(crate) struct LastUses(
    RwLock<HashMap<String, Arc<Mutex<UseSlot>>, foldhash::fast::RandomState>>,
);

#[derive(Debug)]
struct UseSlot {
    last: LastUse,
    is_saved: bool,
}

impl FromIterator<(String, LastUse)> for LastUses {
    /// Those that the store has, by client id.
    fn from_iter<I: IntoIterator<Item = (String, LastUse)>>(uses: I) -> LastUses {
        let saved = |(client_id, last)| {
            let slot = UseSlot {
                last,
                is_saved: true,
            };
            (client_id, Arc::new(Mutex::new(slot)))
        };
        LastUses(RwLock::new(uses.into_iter().map(saved).collect()))
    }
}

impl LastUses {
    fn slot(&self, client_id: &str) -> Option<Arc<Mutex<UseSlot>>> {
        let slots = self.0.read().unwrap_or_else(PoisonError::into_inner);
        slots.get(client_id).cloned()
    }

    pub(crate) fn note(&self, client_id: &str, last: LastUse) {
        let slot = UseSlot {
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
    pub(crate) fn unsaved(&self) -> Vec<(String, LastUse)> {
        let slots = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let unsaved = slots.iter().filter_map(|(client_id, slot)| {
            let slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
            (!slot.is_saved).then(|| (client_id.clone(), slot.last.clone()))
        });
        unsaved.collect()
    }

    /// These are on disk now, but for what was noted meanwhile.
    pub(crate) fn mark_saved(&self, uses: &[(String, LastUse)]) {
        for (client_id, last) in uses {
            if let Some(slot) = self.slot(client_id) {
                let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
                slot.is_saved = slot.last == *last;
            }
        }
    }

    /// Takes note of a use that another process has written down, if it is newer than what is known here.
    pub(crate) fn learn(&self, client_id: &str, last: LastUse) {
        if self.last(client_id).is_none_or(|known| known.at < last.at) {
            self.note(client_id, last.clone());
            self.mark_saved(&[(client_id.to_owned(), last)]);
        }
    }

    /// When the access with this client id was last let in.
    pub(crate) fn last(&self, client_id: &str) -> Option<LastUse> {
        let slot = self.slot(client_id)?;
        let slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        Some(slot.last.clone())
    }

    pub(crate) fn retain(&self, is_there: impl Fn(&str) -> bool) {
        let mut slots = self.0.write().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|client_id, _| is_there(client_id));
    }
}
