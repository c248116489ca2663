//! Calls that are counted together instead of making one row each. One row stands for all calls from one address with the same code
//! in one minute. The row describes the first call; its count is written from time to time and at the end of the minute.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::class::CallerClass;
use super::row::JournalRow;
use crate::network::counted_address;

/// The properties that calls of one count share within a minute.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CountKey {
    /// The access, if it is proven.
    pub access: Option<String>,
    /// The name of the operator's key, if it is proven.
    pub actor: Option<String>,
    /// The IPv4 address, or the /64 of an IPv6 address. Absent where calls from many addresses are counted together.
    pub network: Option<IpAddr>,
    /// The path as routed; empty where calls from many addresses are counted together.
    pub path: Cow<'static, str>,
    /// The code of the calls; empty if they succeeded.
    pub code: &'static str,
}

impl CountKey {
    /// Makes the key for a call from this address.
    #[must_use]
    pub fn new(
        access: Option<String>,
        address: IpAddr,
        path: &'static str,
        code: &'static str,
    ) -> CountKey {
        CountKey {
            access,
            actor: None,
            network: Some(counted_address(address)),
            path: path.into(),
            code,
        }
    }

    /// Makes the key for a request with an operator's key from this address.
    #[must_use]
    pub fn of_operator(
        actor: String,
        address: IpAddr,
        path: Cow<'static, str>,
        code: &'static str,
    ) -> CountKey {
        CountKey {
            access: None,
            actor: Some(actor),
            network: Some(counted_address(address)),
            path,
            code,
        }
    }

    /// Returns the class of the callers.
    #[must_use]
    pub fn class(&self) -> CallerClass {
        match (&self.access, &self.actor) {
            (None, None) => CallerClass::Unknown,
            _ => CallerClass::Known,
        }
    }

    /// Returns the key for calls whose addresses are too many to be counted separately.
    pub(crate) fn of_many(self) -> CountKey {
        CountKey {
            network: None,
            path: "".into(),
            ..self
        }
    }
}

/// The calls of one key in one minute.
#[derive(Debug)]
pub struct CountedCalls {
    key: CountKey,
    /// The row of the first call, once that call has ended.
    row: OnceLock<JournalRow>,
    calls: AtomicU64,
    /// The number of calls that the row on the disk counts.
    written: AtomicU64,
    /// The number of the row on the disk; 0 before the row exists.
    id: AtomicI64,
    /// True if the count is in the writer's queue.
    waits: AtomicBool,
}

/// The treatment of a noted call.
#[derive(Debug)]
pub enum CountResult {
    /// The call has its own row and its own log line.
    Listed,
    /// The call is the first of its key: it has a log line, and its row stands for all later calls of the key.
    First(Arc<CountedCalls>),
    /// The call is only counted.
    Counted,
}

impl CountedCalls {
    /// Makes the count with the first call of a key.
    pub(crate) fn new(key: CountKey) -> CountedCalls {
        CountedCalls {
            key,
            row: OnceLock::new(),
            calls: AtomicU64::new(1),
            written: AtomicU64::new(0),
            id: AtomicI64::new(0),
            waits: AtomicBool::new(false),
        }
    }

    /// Returns the properties that the calls share.
    #[must_use]
    pub fn key(&self) -> &CountKey {
        &self.key
    }

    /// Returns the row of the first call, if such calls have rows.
    #[must_use]
    pub fn row(&self) -> Option<&JournalRow> {
        self.row.get()
    }

    /// Counts another call.
    pub(crate) fn add(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the number of calls so far.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Returns the number of calls that the row on the disk counts.
    pub(crate) fn written_calls(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Returns the number of the row on the disk, once the row exists.
    pub(crate) fn id(&self) -> Option<i64> {
        Some(self.id.load(Ordering::Relaxed)).filter(|id| *id != 0)
    }

    /// Sets the row of the first call, without its address if calls from many addresses are counted together.
    pub(crate) fn set_row(&self, mut row: JournalRow) {
        if self.key.network.is_none() {
            row.peer = None;
            row.client = None;
            row.path = None;
            row.cause = Some("calls from more addresses than one minute counts separately".into());
        }
        // It is set once, because a key has one first call.
        let _ = self.row.set(row);
    }

    /// Returns whether the count must go to the writer, and marks it as queued in that case.
    pub(crate) fn is_due(&self) -> bool {
        !self.is_saved() && !self.waits.swap(true, Ordering::AcqRel)
    }

    /// Returns whether the row on the disk counts all calls, or there is no row to write.
    pub(crate) fn is_saved(&self) -> bool {
        self.row.get().is_none() || self.written.load(Ordering::Relaxed) == self.calls()
    }

    /// Records that the row is on the disk under this number and with this many calls.
    pub(crate) fn written(&self, id: i64, calls: u64) {
        self.id.store(id, Ordering::Relaxed);
        self.written.store(calls, Ordering::Relaxed);
        self.waits.store(false, Ordering::Release);
    }

    /// Records that the writer's queue had no room for the count: the current count is given up, and only further calls queue it
    /// again.
    pub(crate) fn dropped(&self) {
        self.written.store(self.calls(), Ordering::Relaxed);
        self.waits.store(false, Ordering::Release);
    }
}
