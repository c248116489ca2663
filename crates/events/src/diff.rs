//! Finds the new rows of a list, as a pure function. Sets of ids decide; datetimes decide only about rows from before the chat was
//! first seen or erased, and about a last message only after an erasure. In doubt a row is new, because a duplicate does no harm and
//! a lost event does.

use std::cmp::Ordering;
use std::collections::HashSet;

use store::{ChatMemory, EventKind};

use crate::history::{ChatHistory, StepBack, compared};
use crate::row::ListedRow;

/// The content of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ListKind {
    /// The unread messages of the chat.
    Unread,
    /// All messages of the chat.
    Whole,
}

/// The sort order of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListOrder {
    /// Ascending by time.
    OldestFirst,
    /// Descending by time.
    NewestFirst,
}

/// A row with new content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowChange<'r> {
    /// The row.
    pub row: &'r ListedRow,
    /// The kind of event.
    pub kind: EventKind,
    /// True if events before it may be missing.
    pub gap: bool,
    /// True if a later message of the chat was seen earlier.
    pub late: bool,
}

/// Returns the changes in a list of one chat, oldest first. `order` is the known sort order of the upstream's lists, for a list
/// that does not show its own. `tip` is the chat's last message according to a poll; it may be missing from the list. `yesterday`
/// is the beginning of yesterday.
#[must_use]
pub fn diff<'r>(
    memory: &ChatMemory,
    rows: &'r [ListedRow],
    (kind, order): (ListKind, Option<ListOrder>),
    tip: Option<&'r ListedRow>,
    yesterday: &str,
) -> Vec<RowChange<'r>> {
    let is_known = |row: &ListedRow| memory.known.contains_key(&row.id);
    let step_back = StepBack::of(memory, tip, yesterday);
    let order = order_by_datetime(rows)
        .or(order)
        .or_else(|| order_by_memory(memory, rows));
    let is_sorted = order.is_some() || rows.len() < 2;
    let inserted = tip.filter(|tip| !rows.iter().any(|row| row.id == tip.id));
    let rows = oldest_first(rows, (kind, order), inserted);
    let history = ChatHistory::new(memory, &rows, is_sorted, step_back);
    let last_known = rows.iter().rposition(|row| is_known(row));
    // The position of a sent message that was in no list is uncertain, because a message received at the same time may be older or
    // newer.
    let is_doubted = |row: &ListedRow| {
        let mut news = rows.iter().enumerate().filter(|(at, other)| {
            other.id != row.id && !is_known(other) && !history.contains(*at, other)
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
            if !known.is_erased && rises(&known.status, &row.status) {
                changes.push(change(EventKind::MessageStatus, false, false));
            }
            continue;
        }
        if history.contains(at, row) {
            continue;
        }
        let gap = match kind {
            ListKind::Unread => is_first && !history.has_base(),
            ListKind::Whole => at == 0,
        };
        // The order of two messages is unknown if the sort order of their list is unknown.
        let is_sure = history.is_ordered() || (is_first && !history.has_base());
        let late = last_known.is_some_and(|last| at < last) || !is_sure || is_doubted(row);
        is_first = false;
        changes.push(change(kind_of(row), gap, late));
    }
    changes
}

/// Returns the kind of event for a row of an unknown message.
#[must_use]
pub(crate) fn kind_of(row: &ListedRow) -> EventKind {
    if row.is_sent {
        EventKind::MessageSent
    } else {
        EventKind::MessageReceived
    }
}

/// Returns the rows, oldest first. A tip that is not in the list is inserted.
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
        // A received tip that is not among the unread messages has been read, so the unread messages came after it.
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

/// Returns the sort order of a list according to most of its datetimes, because a single one may be wrong.
pub(crate) fn order_by_datetime(rows: &[ListedRow]) -> Option<ListOrder> {
    let pairs = rows.windows(2);
    let orders = pairs.filter_map(|pair| by_datetime(&pair[0], &pair[1]));
    ListOrder::between(orders.map(|order| order as i64).sum::<i64>().cmp(&0))
}

/// Compares two rows by their datetimes, if both have comparable ones.
fn by_datetime(one: &ListedRow, other: &ListedRow) -> Option<Ordering> {
    compared(one.datetime.as_deref()?, other.datetime.as_deref()?)
}

/// Returns the sort order of a list according to rows whose order is known: the floor, and messages that became events at different
/// times and not late. Returns `None` if these rows disagree. Messages of one commit do not count, because their order was taken
/// from a list.
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
    /// Returns the sort order of a list from the comparison of an earlier row with a later one.
    pub(crate) fn between(order: Ordering) -> Option<ListOrder> {
        match order {
            Ordering::Less => Some(ListOrder::OldestFirst),
            Ordering::Equal => None,
            Ordering::Greater => Some(ListOrder::NewestFirst),
        }
    }
}

/// Returns whether the status of a message has advanced.
fn rises(before: &str, after: &str) -> bool {
    match (rank(before), rank(after)) {
        (Some(before), Some(after)) => after > before,
        (None, Some(_)) => true,
        (None, None) => before != after,
        (Some(_), None) => false,
    }
}

/// Returns the rank of a status, which increases with the progress of a message.
fn rank(status: &str) -> Option<u8> {
    ["sent", "delivered", "read", "failed"]
        .into_iter()
        .zip(1..)
        .find_map(|(word, rank)| word.eq_ignore_ascii_case(status).then_some(rank))
}

#[cfg(test)]
mod tests;
