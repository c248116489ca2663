//! Judges which messages the lists of one chat report as new. Input: lines, each with a letter for the list's kind and order and
//! the result of a call. The first line is the earlier state, and the second holds the chat's last message.

use std::collections::{HashMap, HashSet};

use events::{ListKind, ListOrder, ListedRow, RowChange, diff, listed_rows};
use store::{ChatMemory, EventKind, Floor, KnownMessage, Position};

/// The beginning of yesterday.
const YESTERDAY: &str = "2026-01-01 00:00:02";

pub(crate) fn judge(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let mut lists = text.split('\n').map(read);
    let (Some((_, before)), Some((_, last))) = (lists.next(), lists.next()) else {
        return;
    };
    let floor = before.last().map(|row| Floor {
        id: Some(row.id.clone()),
        datetime: row.datetime.clone(),
    });
    let mut chat = Chat {
        memory: ChatMemory {
            floor: floor.unwrap_or_default(),
            known: HashMap::new(),
            is_erased: before.len() % 2 == 1,
        },
        shown: HashSet::new(),
    };
    for (how, rows) in lists {
        for tip in [None, last.first()] {
            chat.take(&diff(&chat.memory, &rows, how, tip, YESTERDAY), &rows, tip);
            // A list that was processed contains nothing new. Only the status of a row that it contains twice may change again.
            let again = diff(&chat.memory, &rows, how, tip, YESTERDAY);
            let is_status = |change: &RowChange<'_>| change.kind == EventKind::MessageStatus;
            assert!(again.iter().all(is_status), "{again:?}");
        }
    }
}

/// The known state of a chat, and the messages that were reported.
struct Chat {
    memory: ChatMemory,
    shown: HashSet<String>,
}

impl Chat {
    fn take(&mut self, changes: &[RowChange<'_>], rows: &[ListedRow], tip: Option<&ListedRow>) {
        let mut ids = HashSet::new();
        for change in changes {
            let row = change.row;
            assert!(ids.insert(&row.id), "{} twice in one list", row.id);
            assert!(
                rows.iter().chain(tip).any(|other| std::ptr::eq(other, row)),
                "a row that was not there"
            );
            let is_known = self.memory.known.contains_key(&row.id);
            assert_eq!(is_known, change.kind == EventKind::MessageStatus);
            if !is_known {
                assert!(self.shown.insert(row.id.clone()), "{} twice", row.id);
                let kind = [EventKind::MessageReceived, EventKind::MessageSent];
                assert_eq!(change.kind, kind[usize::from(row.is_sent)]);
            }
        }
        for change in changes {
            let next = Position::of((self.memory.known.len() as i64 + 1) << 20);
            let known = self.memory.known.entry(change.row.id.clone());
            let known = known.or_insert(KnownMessage {
                status: String::new(),
                position: next,
                is_late: change.late,
                is_erased: false,
            });
            known.status.clone_from(&change.row.status);
        }
    }
}

fn read(line: &str) -> ((ListKind, Option<ListOrder>), Vec<ListedRow>) {
    let how = match line.bytes().next() {
        Some(b'u') => (ListKind::Unread, None),
        Some(b'o') => (ListKind::Unread, Some(ListOrder::OldestFirst)),
        Some(b'n') => (ListKind::Whole, Some(ListOrder::NewestFirst)),
        _ => (ListKind::Whole, None),
    };
    let result = line.get(1..).unwrap_or_default();
    (how, listed_rows(result, true).unwrap_or_default())
}
