//! Accesses by one of their texts, in parts that snapshots share.

use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::Access;

/// Parts of an index: of 100,000 accesses each has some 400, which a change copies in microseconds, and as many pointers to
/// parts are copied besides.
const PARTS: usize = 256;

/// Its keys are the operators' to choose and not the callers', so that a quick hash will do. The texts stand in the accesses
/// alone.
#[derive(Clone, Debug)]
pub(super) struct Index {
    text: fn(&Access) -> &str,
    hasher: RandomState,
    parts: Vec<Arc<HashTable<Arc<Access>>>>,
}

impl Index {
    pub(super) fn new(text: fn(&Access) -> &str) -> Index {
        Index {
            text,
            hasher: RandomState::default(),
            parts: vec![Arc::default(); PARTS],
        }
    }

    pub(super) fn get(&self, text: &str) -> Option<&Arc<Access>> {
        let hash = self.hasher.hash_one(text);
        self.parts[part(hash)].find(hash, |access| (self.text)(access) == text)
    }

    /// Puts an access in the place of one with its text.
    pub(super) fn put(&mut self, access: Arc<Access>) {
        let text = self.text;
        let hash = self.hasher.hash_one(text(&access));
        let part = Arc::make_mut(&mut self.parts[part(hash)]);
        match part.find_mut(hash, |known| text(known) == text(&access)) {
            Some(known) => *known = access,
            None => {
                let hash_of = |access: &Arc<Access>| self.hasher.hash_one(text(access));
                part.insert_unique(hash, access, hash_of);
            }
        }
    }

    /// Removes this very access, and no other that has taken its text.
    pub(super) fn remove(&mut self, access: &Arc<Access>) {
        let hash = self.hasher.hash_one((self.text)(access));
        let part = Arc::make_mut(&mut self.parts[part(hash)]);
        if let Ok(known) = part.find_entry(hash, |known| Arc::ptr_eq(known, access)) {
            known.remove();
        }
    }

    /// How many parts two snapshots do not share.
    #[cfg(test)]
    pub(super) fn unshared(&self, other: &Index) -> usize {
        let parts = self.parts.iter().zip(&other.parts);
        parts.filter(|(one, two)| !Arc::ptr_eq(one, two)).count()
    }
}

/// Bits from the middle: those at both ends say the place within a part.
fn part(hash: u64) -> usize {
    (hash >> 32) as usize % PARTS
}
