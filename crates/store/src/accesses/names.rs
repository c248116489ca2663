//! Accesses in the order of their names, split into pieces that snapshots share.

use std::sync::Arc;

use crate::Access;

/// Maximum number of accesses in a piece, which a change copies; 100,000 accesses make about 400 pieces.
const PIECE_MAX: usize = 512;

#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    /// The pieces in the order of names; no piece is empty.
    pieces: Vec<Arc<Vec<Arc<Access>>>>,
    /// For each piece, the number of accesses up to its end, so that an access is found by its position.
    ends: Vec<usize>,
}

impl Names {
    pub(super) fn len(&self) -> usize {
        self.ends.last().copied().unwrap_or_default()
    }

    pub(super) fn at(&self, place: usize) -> Option<&Arc<Access>> {
        let piece = self.ends.partition_point(|end| *end <= place);
        let start = piece.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.pieces.get(piece)?.get(place - start)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Access>> {
        self.pieces.iter().flat_map(|piece| piece.iter())
    }

    pub(super) fn after(&self, name: &str) -> impl Iterator<Item = &Arc<Access>> {
        let (piece, place) = match self.pieces.get(self.piece_of(name)) {
            None => (0, 0),
            Some(piece) => (
                self.piece_of(name),
                piece.partition_point(|access| *access.name <= *name),
            ),
        };
        let pieces = self.pieces[piece..].iter();
        pieces.flat_map(|piece| piece.iter()).skip(place)
    }

    fn last(&self) -> Option<&Arc<Access>> {
        self.pieces.last()?.last()
    }

    /// Inserts an access, whose name must not be present, at its position.
    pub(super) fn put(&mut self, access: Arc<Access>) {
        // This case is common because a store is read in the order of the names.
        let is_last = self.last().is_none_or(|last| last.name < access.name);
        let number = match is_last {
            true => self.pieces.len().saturating_sub(1),
            false => self.piece_of(&access.name),
        };
        let Some(piece) = self.pieces.get_mut(number) else {
            self.pieces.push(Arc::new(vec![access]));
            return;
        };
        let piece = Arc::make_mut(piece);
        let place = match is_last {
            true => piece.len(),
            false => piece.partition_point(|known| known.name < access.name),
        };
        piece.insert(place, access);
        if piece.len() > PIECE_MAX {
            let rest = piece.split_off(PIECE_MAX / 2);
            self.pieces.insert(number + 1, Arc::new(rest));
        }
    }

    pub(super) fn remove(&mut self, name: &str) -> Option<Arc<Access>> {
        let number = self.piece_of(name);
        let piece = self.pieces.get_mut(number)?;
        let place = piece.binary_search_by(|access| (*access.name).cmp(name));
        let removed = Arc::make_mut(piece).remove(place.ok()?);
        if piece.is_empty() {
            self.pieces.remove(number);
        }
        Some(removed)
    }

    /// Recomputes `ends` after changes.
    pub(super) fn count(&mut self) {
        let ends = self.pieces.iter().scan(0, |end, piece| {
            *end += piece.len();
            Some(*end)
        });
        self.ends = ends.collect();
    }

    /// Returns the piece that contains this name if the name is present: the last piece that does not begin after the name.
    fn piece_of(&self, name: &str) -> usize {
        let begins_after = |piece: &Arc<Vec<Arc<Access>>>| {
            piece.first().is_none_or(|access| *access.name <= *name)
        };
        self.pieces.partition_point(begins_after).saturating_sub(1)
    }

    /// Returns the number of pieces that the other snapshot does not share.
    #[cfg(test)]
    pub(super) fn unshared(&self, other: &Names) -> usize {
        let is_shared = |piece| other.pieces.iter().any(|known| Arc::ptr_eq(known, piece));
        self.pieces
            .iter()
            .filter(|piece| !is_shared(*piece))
            .count()
    }
}
