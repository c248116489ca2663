//! The chat that an erasure leaves behind: keyed hashes of its destination and of the ids of its messages. By these hashes the
//! messages are recognized when the upstream lists them again, so that they do not become events again.

use super::target::ErasureTarget;
use crate::{Floor, Tip};

/// A chat with hashes instead of texts.
pub(crate) struct HashedChat {
    pub(crate) destination: String,
    /// The end of the history: the last message before the erasure.
    pub(crate) floor: Floor,
    pub(crate) messages: Vec<HashedMessage>,
}

/// A known message with a hash instead of its id.
pub(crate) struct HashedMessage {
    /// The id before the erasure.
    pub(crate) id: String,
    pub(crate) form: String,
    pub(crate) datetime: Option<String>,
}

impl HashedChat {
    /// Hashes a chat. `messages` has the id and the datetime of each known message.
    pub(crate) fn new(
        sought: &ErasureTarget,
        destination: String,
        (tip, floor): (Option<Tip>, Floor),
        messages: Vec<(String, Option<String>)>,
    ) -> HashedChat {
        let mut last = end_of_history((tip, floor), &messages);
        last.id = last.id.map(|id| sought.erased_form(id));
        last.datetime = sought.kept_datetime(last.datetime);
        let messages = messages.into_iter().map(|(id, datetime)| HashedMessage {
            form: sought.erased_form(id.clone()),
            id,
            datetime: sought.kept_datetime(datetime),
        });
        HashedChat {
            destination: sought.erased_form(destination),
            floor: last,
            messages: messages.collect(),
        }
    }
}

/// Returns the last message of a chat: the last one that a poll has found, or a later one from a caller's list.
fn end_of_history(
    (tip, floor): (Option<Tip>, Floor),
    messages: &[(String, Option<String>)],
) -> Floor {
    let is_dated = tip.as_ref().is_none_or(|tip| tip.datetime.is_some());
    let mut last = match tip {
        Some(tip) => Floor {
            id: Some(tip.id),
            datetime: tip.datetime.or(floor.datetime),
        },
        None => floor,
    };
    for (id, datetime) in messages {
        let Some(datetime) = datetime else { continue };
        // Datetimes of one upstream have one length.
        let is_later = |last: &String| datetime.len() == last.len() && datetime > last;
        if last.datetime.as_ref().is_none_or(is_later) {
            last.datetime = Some(datetime.clone());
            // The last message is not older than another one only because its own datetime is unknown.
            if is_dated {
                last.id = Some(id.clone());
            }
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_history_ends_with_the_last_message_by_polls_or_lists() {
        let tip = |datetime: Option<&str>| {
            Some(Tip {
                id: "tip".to_owned(),
                status: String::new(),
                datetime: datetime.map(str::to_owned),
            })
        };
        for (tip, floor, message, expected) in [
            (tip(Some("5")), "1", "4", ("tip", "5")),
            (tip(Some("5")), "1", "6", ("m", "6")),
            (tip(Some("5")), "1", "10", ("tip", "5")),
            (tip(None), "1", "6", ("tip", "6")),
            (None, "1", "6", ("m", "6")),
            (None, "7", "6", ("floor", "7")),
        ] {
            let floor = Floor {
                id: Some("floor".to_owned()),
                datetime: Some(floor.to_owned()),
            };
            let messages = [("m".to_owned(), Some(message.to_owned()))];
            let end = end_of_history((tip, floor), &messages);
            let (id, datetime) = (end.id.unwrap(), end.datetime.unwrap());
            assert_eq!((&*id, &*datetime), expected, "{message}");
        }
    }
}
