//! What a list shows that was not known: a pure function. Sets of ids decide, and datetimes only about what was there before the
//! chat was first seen. In doubt a row is new: a double does no harm, and a loss does.

use std::cmp::Ordering;
use std::collections::HashSet;

use store::{ChatMemory, EventKind, Floor};

use crate::row::ListedRow;

/// What a list has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ListKind {
    /// Messages that nobody has read.
    Unread,
    /// All messages of the chat.
    Whole,
}

/// How a list is sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListOrder {
    /// By time.
    OldestFirst,
    /// Against it.
    NewestFirst,
}

/// A row that says something new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowChange<'r> {
    /// The row.
    pub row: &'r ListedRow,
    /// What happened.
    pub kind: EventKind,
    /// Whether something before it may be missing.
    pub gap: bool,
    /// Whether a later message of the chat was seen before.
    pub late: bool,
}

/// What the rows of a list of one chat say that is new, the oldest first. `order` is how the upstream is known to sort such lists,
/// for a list that does not show it itself. `tip` is the chat's last message as a look has shown it, which may not be on the list.
#[must_use]
pub fn diff<'r>(
    memory: &ChatMemory,
    rows: &'r [ListedRow],
    (kind, order): (ListKind, Option<ListOrder>),
    tip: Option<&'r ListedRow>,
) -> Vec<RowChange<'r>> {
    let order = order_by_datetime(rows)
        .or(order)
        .or_else(|| order_by_memory(memory, rows));
    let is_ordered = order.is_some() || rows.len() < 2;
    let inserted = tip.filter(|tip| !rows.iter().any(|row| row.id == tip.id));
    let rows = oldest_first(rows, (kind, order), inserted);
    let floor_at = rows
        .iter()
        .position(|row| Some(&row.id) == memory.floor.id.as_ref());
    let is_known = |row: &ListedRow| memory.known.contains_key(&row.id);
    let is_history = |at: usize, row: &ListedRow| {
        let stands_before = floor_at.is_some_and(|floor| at == floor || (is_ordered && at < floor));
        is_before(&memory.floor, row.datetime.as_deref()).unwrap_or(stands_before)
    };
    let has_base = rows
        .iter()
        .enumerate()
        .any(|(at, row)| is_known(row) || is_history(at, row));
    let last_known = rows.iter().rposition(|row| is_known(row));
    // A message of ours that nobody has listed: what came in at the same time may have come before it or after.
    let is_doubted = |row: &ListedRow| {
        let mut news = rows.iter().enumerate().filter(|(at, other)| {
            other.id != row.id && !is_known(other) && !is_history(*at, other)
        });
        inserted.is_some_and(|tip| tip.is_sent && tip.id == row.id)
            && news.any(|(_, other)| by_datetime(other, row).is_none_or(Ordering::is_eq))
    };
    let (mut changes, mut seen) = (Vec::new(), HashSet::new());
    let mut is_first = true;
    for (at, row) in rows.iter().enumerate() {
        if !seen.insert(&row.id) {
            continue;
        }
        let change = |kind, gap, late| RowChange {
            row,
            kind,
            gap,
            late,
        };
        if let Some(known) = memory.known.get(&row.id) {
            if rises(&known.status, &row.status) {
                changes.push(change(EventKind::MessageStatus, false, false));
            }
            continue;
        }
        if is_history(at, row) {
            continue;
        }
        let gap = match kind {
            ListKind::Unread => is_first && !has_base,
            ListKind::Whole => at == 0,
        };
        // Nobody knows which of two came first if nothing says how their list is sorted.
        let is_sure = is_ordered || (is_first && !has_base);
        let late = last_known.is_some_and(|last| at < last) || !is_sure || is_doubted(row);
        is_first = false;
        changes.push(change(kind_of(row), gap, late));
    }
    changes
}

/// What a row says of a message that was not known.
#[must_use]
pub(crate) fn kind_of(row: &ListedRow) -> EventKind {
    if row.is_sent {
        EventKind::MessageSent
    } else {
        EventKind::MessageReceived
    }
}

/// Whether a datetime lies before a floor; nothing when the two don't say, as when they are equal.
pub(crate) fn is_before(floor: &Floor, datetime: Option<&str>) -> Option<bool> {
    match compared(datetime?, floor.datetime.as_deref()?)? {
        Ordering::Less => Some(true),
        Ordering::Equal => None,
        Ordering::Greater => Some(false),
    }
}

/// The order of two datetimes as texts; nothing when they are written in different ways.
pub(crate) fn compared(one: &str, other: &str) -> Option<Ordering> {
    let shape = |byte: u8| if byte.is_ascii_digit() { b'0' } else { byte };
    let shapes = one.bytes().map(shape).eq(other.bytes().map(shape));
    (shapes && one.bytes().any(|byte| byte.is_ascii_digit())).then(|| one.cmp(other))
}

/// The rows, the oldest first, with a tip among them that is not on the list.
fn oldest_first<'r>(
    rows: &'r [ListedRow],
    (kind, order): (ListKind, Option<ListOrder>),
    tip: Option<&'r ListedRow>,
) -> Vec<&'r ListedRow> {
    let mut sorted: Vec<&ListedRow> = rows.iter().collect();
    if order == Some(ListOrder::NewestFirst) {
        sorted.reverse();
    }
    if let Some(tip) = tip {
        // A message that came in and is not among the unread ones has been read, and what is there came after it.
        let is_read = kind == ListKind::Unread && !tip.is_sent;
        let is_after = |row: &&ListedRow| {
            let order = by_datetime(row, tip)?;
            Some(order == Ordering::Greater || (is_read && order == Ordering::Equal))
        };
        let at = sorted
            .iter()
            .position(|row| is_after(row).unwrap_or(is_read));
        sorted.insert(at.unwrap_or(sorted.len()), tip);
    }
    sorted
}

/// How a list is sorted by the datetimes at its ends.
pub(crate) fn order_by_datetime(rows: &[ListedRow]) -> Option<ListOrder> {
    ListOrder::between(by_datetime(rows.first()?, rows.last()?)?)
}

/// The order of two rows by their datetimes, as far as these say it.
fn by_datetime(one: &ListedRow, other: &ListedRow) -> Option<Ordering> {
    compared(one.datetime.as_deref()?, other.datetime.as_deref()?)
}

/// How a list is sorted by rows whose order is known: the one up to which all was there before, and messages that were shown at
/// different times, none of them late. Nothing if they disagree. Those of one commit say nothing: their order was taken from a list.
pub(crate) fn order_by_memory(memory: &ChatMemory, rows: &[ListedRow]) -> Option<ListOrder> {
    let shown_ms = |row: &ListedRow| {
        let known = memory.known.get(&row.id).filter(|known| !known.is_late);
        let is_floor = memory.floor.id.as_ref() == Some(&row.id);
        known
            .map(|known| known.position.time_ms())
            .or(is_floor.then_some(0))
    };
    let mut times: Vec<i64> = rows.iter().filter_map(shown_ms).collect();
    times.dedup();
    let order = times.first()?.cmp(times.last()?);
    let agrees = times.windows(2).all(|pair| pair[0].cmp(&pair[1]) == order);
    ListOrder::between(order).filter(|_| agrees)
}

impl ListOrder {
    /// By how the first of two rows compares with the second.
    pub(crate) fn between(order: Ordering) -> Option<ListOrder> {
        match order {
            Ordering::Less => Some(ListOrder::OldestFirst),
            Ordering::Equal => None,
            Ordering::Greater => Some(ListOrder::NewestFirst),
        }
    }
}

/// Whether a message has got further.
fn rises(before: &str, after: &str) -> bool {
    match (rank(before), rank(after)) {
        (Some(before), Some(after)) => after > before,
        (None, Some(_)) => true,
        (None, None) => before != after,
        (Some(_), None) => false,
    }
}

/// How far a message has got.
fn rank(status: &str) -> Option<u8> {
    ["sent", "delivered", "read", "failed"]
        .into_iter()
        .zip(1..)
        .find_map(|(word, rank)| word.eq_ignore_ascii_case(status).then_some(rank))
}

#[cfg(test)]
mod tests;
