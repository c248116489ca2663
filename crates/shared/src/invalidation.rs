//! Messages between the processes. A message lists the numbers of changed groups, which the other processes have in memory. When
//! messages may have been lost, all groups count as changed.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use aws_lc_rs::rand;
use parking_lot::Mutex;
use redis::{Cmd, PushInfo, PushKind, Value};
use tokio::sync::Notify;

/// Length of the random id by which a process recognizes its own messages, in bytes.
const SENDER_BYTES: usize = 8;

/// A notice that other processes have changed something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invalidation {
    /// Messages may have been lost, so everything may have changed.
    All,
    /// The groups with these numbers have changed.
    Some(Vec<u16>),
}

/// The function that receives notices.
type InvalidationHandler = Box<dyn Fn(Invalidation) + Send + Sync>;

/// The channel over which processes send and receive notices.
pub(crate) struct InvalidationChannel {
    pub(crate) name: String,
    sender: [u8; SENDER_BYTES],
    on_invalidation: OnceLock<InvalidationHandler>,
    waiting: Mutex<BTreeSet<u16>>,
    /// Notified when a connection has ended, which may not be the one in use.
    pub(crate) ended: Notify,
}

impl InvalidationChannel {
    pub(crate) fn new(name: String) -> InvalidationChannel {
        let mut sender = [0; SENDER_BYTES];
        // Without randomness a process receives its own messages and drops some of its cached answers needlessly.
        let _ = rand::fill(&mut sender);
        InvalidationChannel {
            name,
            sender,
            on_invalidation: OnceLock::new(),
            waiting: Mutex::default(),
            ended: Notify::new(),
        }
    }

    /// Registers the function that is called for each message of other processes.
    pub(crate) fn set_handler(&self, on_invalidation: InvalidationHandler) {
        let _ = self.on_invalidation.set(on_invalidation);
    }

    /// Adds these numbers to the next message.
    pub(crate) fn queue(&self, numbers: impl IntoIterator<Item = u16>) {
        self.waiting.lock().extend(numbers);
    }

    /// Takes the numbers that have changed since the last message.
    pub(crate) fn take(&self) -> BTreeSet<u16> {
        std::mem::take(&mut *self.waiting.lock())
    }

    /// Builds the command that publishes these numbers.
    pub(crate) fn message(&self, numbers: &BTreeSet<u16>) -> Cmd {
        let mut text = self.sender.to_vec();
        text.extend(numbers.iter().copied().flat_map(u16::to_le_bytes));
        let mut publish = redis::cmd("PUBLISH");
        publish.arg(&self.name).arg(text);
        publish
    }

    /// Handles a push message from a connection.
    pub(crate) fn receive(&self, push: &PushInfo) {
        if push.kind == PushKind::Disconnection {
            self.ended.notify_one();
        }
        let (PushKind::Message, [_, Value::BulkString(text)]) = (&push.kind, &push.data[..]) else {
            return;
        };
        let Some((sender, numbers)) = text.split_first_chunk::<SENDER_BYTES>() else {
            return;
        };
        if *sender != self.sender {
            let numbers = numbers
                .as_chunks::<2>()
                .0
                .iter()
                .copied()
                .map(u16::from_le_bytes);
            self.deliver(Invalidation::Some(numbers.collect()));
        }
    }

    /// Calls the registered function, if there is one.
    pub(crate) fn deliver(&self, invalidation: Invalidation) {
        if let Some(on_invalidation) = self.on_invalidation.get() {
            on_invalidation(invalidation);
        }
    }
}
