//! Determines the sort order of unread messages if no list has shown it, with a second lookup of the chat's last message. One
//! lookup is not enough: the message that was last when the chats were listed may be the first in a list that is fetched later.

use adapter::Request;
use store::EventChannel;

use crate::diff::{ListKind, ListOrder, order_by_datetime};
use crate::poll::Poller;
use crate::polled_chat::PolledChat;
use crate::recorder::tips_of;
use crate::row::{ListedRow, is_same_but_for_number, listed_rows};

impl Poller {
    /// Determines the sort order of a chat's unread messages, if it is unknown. Returns the unread messages, which may have been
    /// fetched again.
    pub(crate) async fn find_order(
        &self,
        (channel, listing): (&EventChannel, &Request),
        chat: &PolledChat,
        unread: Vec<ListedRow>,
    ) -> Vec<ListedRow> {
        let (kind, orders) = (ListKind::Unread, &self.recorder.orders);
        let shows_it = unread.len() < 2 || order_by_datetime(&unread).is_some();
        // Nothing can be learned if the last message is not among the unread ones.
        let may_show = place(&unread, &chat.tip.id).is_some();
        if shows_it || !may_show || orders.known(channel, kind).is_some() {
            return unread;
        }
        let Some(last) = self.last_message(listing, &chat.destination).await else {
            return unread;
        };
        let (unread, order) = if last.id == chat.tip.id {
            let order = order_by_end(&unread, &last.id);
            (unread, order)
        } else {
            let unread = match place(&unread, &last.id) {
                Some(_) => unread,
                None => match self.fetch_unread(channel, &chat.destination).await {
                    Some(later) => later,
                    None => unread,
                },
            };
            let order = order_by_pair(&unread, &chat.tip.id, &last.id);
            (unread, order)
        };
        if let Some(order) = order {
            orders.note(channel, kind, order);
        }
        unread
    }

    /// Returns the current last message of a chat.
    async fn last_message(&self, listing: &Request, destination: &str) -> Option<ListedRow> {
        let per_second = self.config.calls_per_second.get();
        let asking = self.budget.ask(&*self.upstream, listing, per_second);
        let rows = listed_rows(asking.await?.result(), self.config.keeps_texts)?;
        tips_of(rows).remove(destination)
    }
}

/// Returns the sort order of a list that was fetched while this message was the chat's last one. The message is at one of the ends.
fn order_by_end(rows: &[ListedRow], last: &str) -> Option<ListOrder> {
    let at = place(rows, last)?;
    let is_first = at == 0;
    let is_last = at + 1 == rows.len();
    match (is_first, is_last) {
        (true, false) => Some(ListOrder::NewestFirst),
        (false, true) => Some(ListOrder::OldestFirst),
        _ => None,
    }
}

/// Returns the sort order of a list with two messages, of which `later` became the chat's last message after `earlier`.
fn order_by_pair(rows: &[ListedRow], earlier: &str, later: &str) -> Option<ListOrder> {
    let order = place(rows, earlier)?.cmp(&place(rows, later)?);
    ListOrder::between(order)
}

/// Returns the index of a message in a list; `None` if it is absent or cannot be distinguished from another.
fn place(rows: &[ListedRow], id: &str) -> Option<usize> {
    let mut alike = (0..)
        .zip(rows)
        .filter(|(_, row)| is_same_but_for_number(&row.id, id));
    let (at, _) = alike.next()?;
    alike.next().is_none().then_some(at)
}
