//! Tells the history of a chat from rows that may be new. Rows up to the chat's floor are history.

use std::cmp::Ordering;

use store::{ChatMemory, Floor};

use crate::row::ListedRow;

/// The rows of one list of a chat that are history.
pub(crate) struct ChatHistory<'a> {
    memory: &'a ChatMemory,
    /// The index of the floor's row.
    floor_at: Option<usize>,
    /// The index of the first row that is known or the floor.
    base_at: Option<usize>,
    /// True if the sort order of the list is known.
    is_sorted: bool,
    step_back: Option<StepBack<'a>>,
}

/// A new last message from before the floor: the upstream's clock was set back, or the floor was in the future, or the messages since
/// have been deleted.
#[derive(Clone, Copy)]
pub(crate) struct StepBack<'a> {
    tip: &'a ListedRow,
    /// The beginning of yesterday.
    yesterday: &'a str,
}

impl<'a> StepBack<'a> {
    /// Returns the step back that a chat's last message shows. In an erased chat it shows a deletion, because an erased message must
    /// not become an event again.
    pub(crate) fn of(
        memory: &ChatMemory,
        tip: Option<&'a ListedRow>,
        yesterday: &'a str,
    ) -> Option<StepBack<'a>> {
        let tip = tip.filter(|tip| !memory.is_erased && !is_base(memory, tip))?;
        (is_older(memory, tip) == Some(true)).then_some(StepBack { tip, yesterday })
    }
}

impl<'a> ChatHistory<'a> {
    /// Finds the history among the rows of a list, which are sorted if possible.
    pub(crate) fn new(
        memory: &'a ChatMemory,
        rows: &[&ListedRow],
        is_sorted: bool,
        step_back: Option<StepBack<'a>>,
    ) -> ChatHistory<'a> {
        ChatHistory {
            memory,
            floor_at: rows.iter().position(|row| is_floor(memory, row)),
            base_at: rows.iter().position(|row| is_base(memory, row)),
            is_sorted,
            step_back,
        }
    }

    /// Returns whether the list has a row of which the place in the history is certain. History that only its datetimes show is no
    /// base, because the upstream's clock may have been set back since.
    pub(crate) fn has_base(&self) -> bool {
        self.base_at.is_some()
    }

    /// Returns whether the order of the list is the order of its messages.
    pub(crate) fn is_ordered(&self) -> bool {
        self.is_sorted && self.step_back.is_none()
    }

    /// Returns whether this row, at this index, is history. In doubt it is not.
    pub(crate) fn contains(&self, at: usize, row: &ListedRow) -> bool {
        let is_older = is_older(self.memory, row).filter(|_| !self.is_undated(at, row));
        let is_erased = self.memory.is_erased;
        match self.floor_at {
            Some(floor) if at == floor => is_erased || is_older != Some(false),
            Some(floor) if self.is_ordered() => at < floor && is_older != Some(false),
            // Without a known order a row may have come after the floor, whatever its datetime.
            Some(_) => (is_erased || self.step_back.is_some()) && is_older == Some(true),
            None => is_older == Some(true),
        }
    }

    /// Returns whether a step back has made the datetime of this row worthless.
    fn is_undated(&self, at: usize, row: &ListedRow) -> bool {
        let is_after_base = self.is_sorted && self.base_at.is_some_and(|base| base < at);
        self.step_back.is_some_and(|step| {
            let since = row.datetime.as_deref();
            let since = since.and_then(|datetime| compared(datetime, step.yesterday));
            row.id == step.tip.id || is_after_base || since.is_some_and(Ordering::is_ge)
        })
    }
}

fn is_floor(memory: &ChatMemory, row: &ListedRow) -> bool {
    memory.floor.id.as_ref() == Some(&row.id)
}

fn is_base(memory: &ChatMemory, row: &ListedRow) -> bool {
    memory.known.contains_key(&row.id) || is_floor(memory, row)
}

/// Returns whether the last message of a chat is a message from before the chat's erasure.
pub(crate) fn is_erased(memory: &ChatMemory, tip: &ListedRow) -> bool {
    memory.is_erased
        && match memory.known.get(&tip.id) {
            Some(known) => known.is_erased,
            None => is_floor(memory, tip) || is_older(memory, tip) == Some(true),
        }
}

/// Returns whether a row is older than the floor of its chat; `None` if that is unknown. In an erased chat a row with the floor's
/// datetime counts as older, because it was most likely erased.
fn is_older(memory: &ChatMemory, row: &ListedRow) -> Option<bool> {
    let datetime = row.datetime.as_deref();
    let is_equal = datetime.is_some() && row.datetime == memory.floor.datetime;
    is_before(&memory.floor, datetime).or((memory.is_erased && is_equal).then_some(true))
}

/// Returns whether a datetime is before a floor; `None` if that is unknown, as for equal datetimes.
pub(crate) fn is_before(floor: &Floor, datetime: Option<&str>) -> Option<bool> {
    match compared(datetime?, floor.datetime.as_deref()?)? {
        Ordering::Less => Some(true),
        Ordering::Equal => None,
        Ordering::Greater => Some(false),
    }
}

/// Compares two datetimes as texts; `None` if their formats differ.
pub(crate) fn compared(one: &str, other: &str) -> Option<Ordering> {
    let shape = |byte: u8| if byte.is_ascii_digit() { b'0' } else { byte };
    let shapes = one.bytes().map(shape).eq(other.bytes().map(shape));
    (shapes && one.bytes().any(|byte| byte.is_ascii_digit())).then(|| one.cmp(other))
}
