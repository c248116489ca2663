//! Tests of each rule that decides whether a row is new.

use store::{Floor, KnownMessage, Position};

use super::*;
use crate::history::is_before;

fn row(id: &str, datetime: Option<u32>) -> ListedRow {
    ListedRow {
        id: id.to_owned(),
        destination: None,
        status: "received".to_owned(),
        datetime: datetime.map(|second| format!("2026-01-01 00:00:{second:02}")),
        is_sent: id.starts_with('s'),
        json: String::new(),
    }
}

fn dated_rows(ids: &[(&str, u32)]) -> Vec<ListedRow> {
    let rows = ids.iter().map(|(id, second)| row(id, Some(*second)));
    rows.collect()
}

fn bare(ids: &[&str]) -> Vec<ListedRow> {
    ids.iter().map(|id| row(id, None)).collect()
}

/// Returns a memory with this floor and these known messages, oldest first.
fn memory(floor: Option<(&str, Option<u32>)>, known: &[&str]) -> ChatMemory {
    let mut memory = ChatMemory::default();
    if let Some((id, datetime)) = floor {
        memory.floor = Floor {
            id: Some(id.to_owned()),
            datetime: row(id, datetime).datetime,
        };
    }
    for (number, id) in (1..).zip(known) {
        let message = KnownMessage {
            status: "received".to_owned(),
            // Each message has a different millisecond.
            position: Position::of(number << 20),
            is_late: false,
            is_erased: false,
        };
        memory.known.insert((*id).to_owned(), message);
    }
    memory
}

#[track_caller]
fn check(
    memory: &ChatMemory,
    rows: &[ListedRow],
    kind: ListKind,
    tip: Option<&str>,
    expected: &str,
) {
    let tip = tip.map(|id| {
        rows.iter()
            .find(|row| row.id == id)
            .cloned()
            .unwrap_or(row(id, None))
    });
    check_sorted(memory, rows, (kind, None), tip.as_ref(), expected);
}

#[track_caller]
fn check_sorted(
    memory: &ChatMemory,
    rows: &[ListedRow],
    list: (ListKind, Option<ListOrder>),
    tip: Option<&ListedRow>,
    expected: &str,
) {
    check_since("2026-01-01 00:00:00", memory, (rows, list, tip), expected);
}

/// Checks the changes that are reported if yesterday began at this time.
#[track_caller]
fn check_since(
    yesterday: &str,
    memory: &ChatMemory,
    (rows, list, tip): (
        &[ListedRow],
        (ListKind, Option<ListOrder>),
        Option<&ListedRow>,
    ),
    expected: &str,
) {
    let changes = diff(memory, rows, list, tip, yesterday);
    let shown = changes.iter().map(|change| {
        let flags = [(change.gap, "?"), (change.late, "<")];
        let flags = flags
            .into_iter()
            .filter(|(is, _)| *is)
            .map(|(_, flag)| flag);
        format!("{}{}", change.row.id, flags.collect::<String>())
    });
    assert_eq!(shown.collect::<Vec<_>>().join(" "), expected);
}

#[test]
fn rows_below_the_floor_are_history() {
    let floor = memory(Some(("f", Some(5))), &[]);
    let rows = dated_rows(&[("h", 4), ("e", 5), ("f", 5), ("g", 5), ("m", 6)]);
    check(&floor, &rows, ListKind::Whole, None, "g m");
    // In the same second as the floor, and the floor is not in the list, so the row counts as new.
    let rows = dated_rows(&[("h", 4), ("e", 5), ("m", 6)]);
    check(&floor, &rows, ListKind::Unread, None, "e? m");
    let newest_first = dated_rows(&[("m", 6), ("f", 5), ("h", 4)]);
    check(&floor, &newest_first, ListKind::Whole, None, "m");
    // A datetime in another format decides nothing.
    let mut odd = dated_rows(&[("x", 1)]);
    odd[0].datetime = Some("1/1/26".to_owned());
    check(&floor, &odd, ListKind::Unread, None, "x?");
}

#[test]
fn a_new_row_after_the_floor_may_have_an_older_datetime() {
    let floor = memory(Some(("f", Some(5))), &[]);
    // The row stands after the floor.
    let rows = dated_rows(&[("h", 1), ("f", 5), ("m", 3), ("n", 6)]);
    check(&floor, &rows, ListKind::Whole, None, "m n");
    // The last message is new, and shows that the upstream's clock was set back.
    let rows = dated_rows(&[("f", 5), ("m", 2), ("n", 3)]);
    let shown = |rows: &[ListedRow], expected| {
        check_sorted(
            &floor,
            rows,
            (ListKind::Unread, None),
            rows.last(),
            expected,
        );
    };
    shown(&rows, "m< n<");
    shown(&rows[1..], "m? n<");
    // Without the floor, the first row may be from before it.
    shown(&dated_rows(&[("m", 3), ("n", 6)]), "n?");
}

#[test]
fn an_old_message_that_becomes_the_last_one_frees_no_older_history() {
    let floor = memory(Some(("f", Some(9))), &[]);
    let unread = |order| (ListKind::Unread, order);
    let yesterday = |second: u32| row("", Some(second)).datetime.unwrap();
    // The floor was deleted, so that `n` is the last message. Messages since yesterday may be new, because the upstream's clock may
    // have been set back.
    let rows = dated_rows(&[("h", 1), ("m", 3), ("n", 5)]);
    for (second, expected) in [(2, "m? n<"), (3, "m? n<"), (4, "n?"), (6, "n?")] {
        let list = (&*rows, unread(None), rows.last());
        check_since(&yesterday(second), &floor, list, expected);
    }
    // The floor is still in the list. A message after it is new, a message before it is not.
    let rows = dated_rows(&[("h", 1), ("f", 9), ("m", 2), ("n", 3)]);
    let sorted = unread(Some(ListOrder::OldestFirst));
    let list = (&*rows, sorted, rows.last());
    check_since(&yesterday(10), &floor, list, "m< n<");
    // Without a known order only the last message is certainly new.
    let list = (&rows[..3], unread(None), rows[..3].last());
    check_since(&yesterday(10), &floor, list, "m<");
    // A known message is a base like the floor.
    let known = memory(Some(("f", Some(9))), &["k"]);
    let rows = dated_rows(&[("h", 1), ("k", 9), ("m", 2), ("n", 3)]);
    let list = (&*rows, sorted, rows.last());
    check_since(&yesterday(10), &known, list, "m< n<");
}

#[test]
fn messages_up_to_the_floor_of_an_erased_chat_stay_history() {
    let mut erased = memory(Some(("f", Some(5))), &["k"]);
    erased.is_erased = true;
    erased.known.get_mut("k").unwrap().is_erased = true;
    let list = |rows: &[ListedRow], expected| {
        check_sorted(
            &erased,
            rows,
            (ListKind::Unread, None),
            rows.last(),
            expected,
        );
    };
    // A message that becomes the last one again, and one of the floor's second.
    list(&dated_rows(&[("h", 1), ("m", 3)]), "");
    list(&dated_rows(&[("h", 1), ("m", 5)]), "");
    list(&dated_rows(&[("h", 1), ("e", 5), ("m", 6)]), "m?");
    // The order of this list is unknown.
    list(
        &dated_rows(&[("m", 4), ("f", 5), ("n", 4), ("o", 6), ("p", 4)]),
        "o<",
    );
    // An erased message has no status, and the floor has no other datetime.
    let mut rows = dated_rows(&[("k", 2), ("f", 7), ("m", 8)]);
    rows[0].status = "read".to_owned();
    list(&rows, "m");
}

#[test]
fn without_datetimes_a_known_list_order_decides_which_rows_are_new() {
    let floor = memory(Some(("f", None)), &[]);
    let oldest_first = (ListKind::Whole, Some(ListOrder::OldestFirst));
    let rows = bare(&["h", "f", "m", "n"]);
    check_sorted(&floor, &rows, oldest_first, None, "m n");
    let newest_first = (ListKind::Whole, Some(ListOrder::NewestFirst));
    let rows = bare(&["n", "m", "f", "h"]);
    check_sorted(&floor, &rows, newest_first, None, "m n");
    // The place of the tip does not show the order, because more messages may have arrived after the poll.
    check(&floor, &rows, ListKind::Whole, Some("n"), "n?< m< h<");
    // The order of these two messages is unknown.
    check(
        &memory(None, &[]),
        &bare(&["m", "n"]),
        ListKind::Unread,
        None,
        "m? n<",
    );
    check(
        &memory(None, &["a", "b"]),
        &bare(&["n", "m", "b", "a"]),
        ListKind::Unread,
        None,
        "m n",
    );
    // One known message does not show the order, because unknown messages may be older.
    check(
        &memory(None, &["a"]),
        &bare(&["n", "m", "a"]),
        ListKind::Unread,
        None,
        "n< m<",
    );
    let floor = memory(Some(("f", None)), &["m", "n"]);
    check(
        &floor,
        &bare(&["o", "n", "m", "f", "h"]),
        ListKind::Whole,
        None,
        "o",
    );
}

#[test]
fn possible_gaps_and_late_rows_are_marked() {
    let known = memory(None, &["a", "c"]);
    check(
        &known,
        &bare(&["a", "b", "c", "d"]),
        ListKind::Unread,
        None,
        "b< d",
    );
    check(&known, &bare(&["d", "e"]), ListKind::Unread, None, "d? e<");
    check(&known, &bare(&["d", "e"]), ListKind::Whole, None, "d? e<");
    check(
        &known,
        &bare(&["a", "c", "d", "d"]),
        ListKind::Whole,
        None,
        "d",
    );
}

#[test]
fn a_tip_that_is_not_unread_is_ordered_among_the_unread_rows() {
    let known = memory(None, &["a"]);
    // A received tip that is not unread has been read, so the unread messages came after it.
    check(&known, &bare(&["m"]), ListKind::Unread, Some("t"), "t? m");
    // A sent tip is placed at the end.
    check(
        &known,
        &bare(&["m", "n"]),
        ListKind::Unread,
        Some("s"),
        "m? n< s<",
    );
    // A sent tip of the same second may be older than these messages, but it is newer than a message that was already known.
    let unread = dated_rows(&[("m", 5), ("n", 6)]);
    let list = (ListKind::Unread, None);
    for (second, known, expected) in [
        (5, "a", "m? s< n"),
        (4, "a", "s? m n"),
        (7, "a", "m? n s"),
        (5, "m", "s n"),
    ] {
        let sent = row("s", Some(second));
        check_sorted(
            &memory(None, &[known]),
            &unread,
            list,
            Some(&sent),
            expected,
        );
    }
    check(&known, &[], ListKind::Unread, Some("t"), "t?");
    check(&known, &bare(&["t"]), ListKind::Unread, Some("t"), "t?");
}

#[test]
fn only_an_advancing_status_counts_as_a_change() {
    for (before, after, expected) in [
        ("sent", "delivered", true),
        ("read", "delivered", false),
        ("delivered", "failed", true),
        ("received", "read", true),
        ("read", "received", false),
        ("queued", "held", true),
        ("queued", "queued", false),
    ] {
        assert_eq!(rises(before, after), expected, "{before} {after}");
    }
}

mod property {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;
    use crate::row::listed_rows;

    /// Generates a value of a row, of any type that an upstream may write.
    fn value() -> impl Strategy<Value = String> {
        prop_oneof![
            "[a-c]".prop_map(|text| format!("\"{text}\"")),
            "2026-01-01 00:00:0[0-4]".prop_map(|text| format!("\"{text}\"")),
            (0..5_u8).prop_map(|number| number.to_string()),
            Just("null".to_owned()),
            Just("{\"messageid\":1}".to_owned()),
            Just("[]".to_owned()),
            Just("true".to_owned()),
        ]
    }

    fn listed() -> impl Strategy<Value = String> {
        let name = prop_oneof![
            Just("messageid"),
            Just("issent"),
            Just("sent"),
            Just("datetime"),
            Just("status"),
            Just("message"),
            Just("destination"),
        ];
        let member = (name, value()).prop_map(|(name, value)| format!("\"{name}\":{value}"));
        let row = prop::collection::vec(member, 0..5);
        let row = prop_oneof![
            8 => row.prop_map(|members| format!("{{{}}}", members.join(","))),
            1 => value(),
        ];
        let rows = prop::collection::vec(row, 0..8);
        rows.prop_map(|rows| format!("{{\"list\":[{}]}}", rows.join(",")))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn diff_reports_each_row_once_and_no_known_row_as_new(
            list in listed(), tip in listed(), known in listed(), floor in listed(),
            whole in any::<bool>(), newest_first in any::<Option<bool>>(),
        ) {
            let [list, tip, known, floor] = [list, tip, known, floor]
                .map(|text| listed_rows(&text, true).unwrap_or_default());
            let mut memory = ChatMemory::default();
            for (number, row) in (1..).zip(&known) {
                let message = KnownMessage { status: row.status.clone(), position: Position::of(number << 20), is_late: false, is_erased: false };
                memory.known.insert(row.id.clone(), message);
            }
            if let Some(floor) = floor.first() {
                memory.floor = Floor { id: Some(floor.id.clone()), datetime: floor.datetime.clone() };
            }
            let kind = if whole { ListKind::Whole } else { ListKind::Unread };
            let order = newest_first.map(|is| if is { ListOrder::NewestFirst } else { ListOrder::OldestFirst });
            let mut seen = HashSet::new();
            for change in diff(&memory, &list, (kind, order), tip.first(), "2026-01-01 00:00:02") {
                prop_assert!(seen.insert(change.row.id.clone()), "twice: {}", change.row.id);
                let is_known = memory.known.contains_key(&change.row.id);
                prop_assert_eq!(is_known, change.kind == EventKind::MessageStatus);
                prop_assert!(is_known || memory.floor.id.as_ref() != Some(&change.row.id)
                    || is_before(&memory.floor, change.row.datetime.as_deref()) == Some(false));
            }
        }
    }
}
