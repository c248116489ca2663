//! Slots for pages that stay open. Each key has a share, so that no key takes the slots of all others.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use store::Role;

/// Maximum number of pages that stay open at the same time, because each page holds a connection of the operators' listener.
const OPEN_MAX: usize = 64;

/// Maximum number of open pages per key: enough for a team that shares one key.
const OPEN_PER_KEY_MAX: usize = 16;

/// Maximum number of open pages of all viewers together. The remaining slots are for operators.
const OPEN_BY_VIEWERS_MAX: usize = 48;

/// Counts open pages by key.
#[derive(Default)]
pub(crate) struct OpenPages(Mutex<HashMap<(Role, String), usize>>);

/// The slot of an open page. Dropping it frees the slot.
pub(crate) struct OpenPage {
    pages: Arc<OpenPages>,
    key: (Role, String),
}

impl OpenPages {
    /// Takes a slot for a page of this key. Returns `None` if this key, the viewers, or all keys together have too many open pages.
    pub(crate) fn open(self: &Arc<Self>, role: Role, name: &str) -> Option<OpenPage> {
        let mut counts = self.0.lock();
        let count = |which: &dyn Fn(&(Role, String)) -> bool| -> usize {
            let which = counts.iter().filter(|(key, _)| which(key));
            which.map(|(_, count)| count).sum()
        };
        let key = (role, name.to_owned());
        let has_room = count(&|_| true) < OPEN_MAX
            && count(&|other| *other == key) < OPEN_PER_KEY_MAX
            && (role == Role::Operator
                || count(&|(role, _)| *role == Role::Viewer) < OPEN_BY_VIEWERS_MAX);
        if !has_room {
            return None;
        }
        *counts.entry(key.clone()).or_default() += 1;
        drop(counts);
        Some(OpenPage {
            pages: Arc::clone(self),
            key,
        })
    }
}

impl Drop for OpenPage {
    fn drop(&mut self) {
        let mut counts = self.pages.0.lock();
        if let Some(count) = counts.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_pages_are_limited_per_key_and_viewers_leave_room_for_operators() {
        let pages = Arc::new(OpenPages::default());
        let open = |role, name: &str| pages.open(role, name);
        let mut held: Vec<_> = (0..OPEN_PER_KEY_MAX)
            .map(|_| open(Role::Viewer, "a").unwrap())
            .collect();
        assert!(open(Role::Viewer, "a").is_none());
        for name in ["b", "c", "d", "e"] {
            held.extend((0..OPEN_PER_KEY_MAX).filter_map(|_| open(Role::Viewer, name)));
        }
        assert_eq!(held.len(), OPEN_BY_VIEWERS_MAX);
        assert!(open(Role::Viewer, "f").is_none());
        held.extend((0..OPEN_MAX).filter_map(|_| open(Role::Operator, "first")));
        assert_eq!(held.len(), OPEN_MAX);
        assert!(open(Role::Operator, "second").is_none());
        held.remove(0);
        assert!(open(Role::Viewer, "a").is_some());
        drop(held);
        assert!(pages.0.lock().is_empty());
    }
}
