//! Converts observations to their stored form: lists and memories become chats, messages and events.

use store::{
    ChatMemory, EventChannel, EventKind, Floor, NewEvent, ObservedChat, ObservedMessage, Tip,
};

use crate::config::EventDepth;
use crate::days::Days;
use crate::diff::{ListKind, diff, kind_of};
use crate::history::{is_before, is_erased};
use crate::id::EventIds;
use crate::orders::ListOrders;
use crate::row::ListedRow;

/// A chat as found by a poll.
#[derive(Debug)]
pub(crate) struct PolledChat {
    pub(crate) destination: String,
    /// The last message of the chat.
    pub(crate) tip: ListedRow,
    /// The unread messages of the chat, if they were fetched.
    pub(crate) unread: Vec<ListedRow>,
}

impl PolledChat {
    /// Returns the tip in its stored form.
    pub(crate) fn to_tip(&self) -> Tip {
        Tip {
            id: self.tip.id.clone(),
            status: self.tip.status.clone(),
            datetime: self.tip.datetime.clone(),
        }
    }

    /// Returns the chat of a channel that is polled for the first time. Its whole content is history.
    pub(crate) fn as_history(&self) -> ObservedChat {
        ObservedChat {
            destination: self.destination.clone(),
            tip: Some(self.to_tip()),
            floor: Floor {
                id: Some(self.tip.id.clone()),
                datetime: self.tip.datetime.clone(),
            },
            ..ObservedChat::default()
        }
    }

    /// Returns the new content of the polled chat. `floor` is the floor of an unknown chat: everything before it is history.
    pub(crate) fn changes(
        &self,
        maker: ChannelEventMaker<'_>,
        memory: Option<ChatMemory>,
        (floor, depth): (&Floor, EventDepth),
        orders: &ListOrders,
    ) -> ObservedChat {
        let is_known = memory.is_some();
        let memory = memory.unwrap_or_else(|| ChatMemory {
            floor: floor.clone(),
            ..ChatMemory::default()
        });
        let mut seen = ObservedChat {
            destination: self.destination.clone(),
            tip: Some(self.to_tip()),
            floor: floor.clone(),
            ..ObservedChat::default()
        };
        let maker = EventMaker {
            of_channel: maker,
            destination: &self.destination,
        };
        // An old chat that reappears is not an event.
        let is_old = is_before(&memory.floor, self.tip.datetime.as_deref()) == Some(true);
        if !is_known && is_old {
            return seen;
        }
        match depth {
            EventDepth::Hint if is_erased(&memory, &self.tip) => {}
            EventDepth::Hint => seen.changed = Some(maker.changed(&self.tip)),
            EventDepth::Unread => {
                let list = (&*self.unread, ListKind::Unread, Some(&self.tip));
                seen.messages = maker.messages(&memory, list, orders);
            }
        }
        seen
    }
}

/// Returns the new content of a list of a chat.
pub(crate) fn list_changes(
    maker: ChannelEventMaker<'_>,
    destination: &str,
    (memory, floor): (Option<ChatMemory>, Floor),
    (rows, kind): (&[ListedRow], ListKind),
    orders: &ListOrders,
) -> ObservedChat {
    let memory = memory.unwrap_or_else(|| ChatMemory {
        floor: floor.clone(),
        ..ChatMemory::default()
    });
    let maker = EventMaker {
        of_channel: maker,
        destination,
    };
    ObservedChat {
        destination: destination.to_owned(),
        floor,
        messages: maker.messages(&memory, (rows, kind, None), orders),
        ..ObservedChat::default()
    }
}

/// Creates the events of one channel.
#[derive(Clone, Copy)]
pub(crate) struct ChannelEventMaker<'a> {
    pub(crate) ids: &'a EventIds,
    pub(crate) channel: &'a EventChannel,
    pub(crate) days: &'a Days,
}

/// Creates the events of one chat.
struct EventMaker<'a> {
    of_channel: ChannelEventMaker<'a>,
    destination: &'a str,
}

impl EventMaker<'_> {
    fn changed(&self, tip: &ListedRow) -> NewEvent {
        // The messages between two polls are unknown.
        self.event(EventKind::ChatChanged, tip, (true, false))
    }

    fn messages(
        &self,
        memory: &ChatMemory,
        (rows, kind, tip): (&[ListedRow], ListKind, Option<&ListedRow>),
        orders: &ListOrders,
    ) -> Vec<ObservedMessage> {
        let ChannelEventMaker { channel, days, .. } = self.of_channel;
        let order = orders.learn(channel, kind, (memory, rows));
        let changes = diff(memory, rows, (kind, order), tip, &days.yesterday).into_iter();
        let message = |change: crate::diff::RowChange<'_>| ObservedMessage {
            id: change.row.id.clone(),
            status: change.row.status.clone(),
            datetime: change.row.datetime.clone(),
            event: self.event(change.kind, change.row, (change.gap, change.late)),
        };
        changes.map(message).collect()
    }

    fn event(&self, kind: EventKind, row: &ListedRow, (gap, late): (bool, bool)) -> NewEvent {
        // A message is received or sent only once, whatever its current status is.
        let status = if kind == kind_of(row) {
            ""
        } else {
            row.status.as_str()
        };
        let ChannelEventMaker { ids, channel, .. } = self.of_channel;
        NewEvent {
            id: ids.id(channel, self.destination, kind, [&row.id, status]),
            kind,
            gap,
            late,
            row: Some(row.json.clone()),
        }
    }
}
