//! Messages between the processes: that something of a number has changed, which the others keep in memory. A message may be lost, and
//! then all may have changed.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use aws_lc_rs::rand;
use redis::{Cmd, PushInfo, PushKind, Value};
use tokio::sync::Notify;

/// Bytes by which a process knows its own messages.
const SENDER_BYTES: usize = 8;

/// What is heard of others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WakeUp {
    /// Messages may have been lost.
    All,
    /// These have changed.
    Some(Vec<u16>),
}

/// Who is told what is heard.
type OnWake = Box<dyn Fn(WakeUp) + Send + Sync>;

/// What is said and heard.
pub(crate) struct WakeChannel {
    pub(crate) name: String,
    sender: [u8; SENDER_BYTES],
    on_wake: OnceLock<OnWake>,
    waiting: Mutex<BTreeSet<u16>>,
    /// A connection has ended; perhaps not the one that is in use.
    pub(crate) ended: Notify,
}

impl WakeChannel {
    pub(crate) fn new(name: String) -> WakeChannel {
        let mut sender = [0; SENDER_BYTES];
        // Without randomness a process hears itself, which costs it some of what it keeps.
        let _ = rand::fill(&mut sender);
        WakeChannel {
            name,
            sender,
            on_wake: OnceLock::new(),
            waiting: Mutex::default(),
            ended: Notify::new(),
        }
    }

    /// From now on this is called for each message of others.
    pub(crate) fn hear_by(&self, on_wake: OnWake) {
        let _ = self.on_wake.set(on_wake);
    }

    /// Says that these have changed, with the next message.
    pub(crate) fn say(&self, numbers: impl IntoIterator<Item = u16>) {
        self.waiting().extend(numbers);
    }

    /// Takes what has changed since the last message.
    pub(crate) fn take(&self) -> BTreeSet<u16> {
        std::mem::take(&mut *self.waiting())
    }

    /// The message that these have changed.
    pub(crate) fn message(&self, numbers: &BTreeSet<u16>) -> Cmd {
        let mut text = self.sender.to_vec();
        text.extend(numbers.iter().copied().flat_map(u16::to_le_bytes));
        let mut publish = redis::cmd("PUBLISH");
        publish.arg(&self.name).arg(text);
        publish
    }

    fn waiting(&self) -> MutexGuard<'_, BTreeSet<u16>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Passes on what has come over a connection.
    pub(crate) fn hear(&self, push: &PushInfo) {
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
            self.wake(WakeUp::Some(numbers.collect()));
        }
    }

    /// Says so to whoever hears.
    pub(crate) fn wake(&self, wake_up: WakeUp) {
        if let Some(on_wake) = self.on_wake.get() {
            on_wake(wake_up);
        }
    }
}
