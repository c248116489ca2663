//! An index of accesses by one of their texts, split into parts that snapshots share.

use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::Access;

/// Number of parts of an index. With 100,000 accesses a part contains about 400 accesses, which a change copies in microseconds,
/// together with the pointers to all parts.
const PARTS: usize = 256;

/// An index of accesses by one text. A fast hash is enough, because operators choose the keys, not callers. Only the accesses store
/// the texts.
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

    /// Adds an access, or replaces the access that has the same text.
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

    /// Removes exactly this access, not another access that has taken over its text.
    pub(super) fn remove(&mut self, access: &Arc<Access>) {
        let hash = self.hasher.hash_one((self.text)(access));
        let part = Arc::make_mut(&mut self.parts[part(hash)]);
        if let Ok(known) = part.find_entry(hash, |known| Arc::ptr_eq(known, access)) {
            known.remove();
        }
    }

    /// Returns the number of parts that two snapshots do not share.
    #[cfg(test)]
    pub(super) fn unshared(&self, other: &Index) -> usize {
        let parts = self.parts.iter().zip(&other.parts);
        parts.filter(|(one, two)| !Arc::ptr_eq(one, two)).count()
    }
}

/// Chooses the part by bits from the middle of the hash, because the bits at both ends determine the position within a part.
fn part(hash: u64) -> usize {
    (hash >> 32) as usize % PARTS
}
