//! Calls that are counted together instead of leaving a row each. One row stands for all calls of an address with the same
//! code in a minute; it describes the first one, and its count is written now and then and at the minute's end.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::class::CallerClass;
use super::row::JournalRow;

/// Bits of an IPv6 address that name a customer; the rest is theirs to choose.
const V6_PREFIX_BITS: u32 = 64;

/// What is counted together within a minute.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CountKey {
    /// The access, if it is proven.
    pub access: Option<String>,
    /// The name of the operator's key, if it is proven.
    pub actor: Option<String>,
    /// The IPv4 address, or the /64 of an IPv6 address. Absent where many addresses are counted together.
    pub network: Option<IpAddr>,
    /// The path as it is routed; empty where many addresses are counted together.
    pub path: Cow<'static, str>,
    /// The code that the calls ended with; empty if they went well.
    pub code: &'static str,
}

impl CountKey {
    /// For a call from this address.
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
            network: Some(network_of(address)),
            path: path.into(),
            code,
        }
    }

    /// For a request with an operator's key from this address.
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
            network: Some(network_of(address)),
            path,
            code,
        }
    }

    /// Whose calls they are.
    #[must_use]
    pub fn class(&self) -> CallerClass {
        match (&self.access, &self.actor) {
            (None, None) => CallerClass::Unknown,
            _ => CallerClass::Known,
        }
    }

    /// The key for calls from more addresses than are counted one by one.
    pub(crate) fn of_many(self) -> CountKey {
        CountKey {
            network: None,
            path: "".into(),
            ..self
        }
    }
}

/// The IPv4 address itself, or the /64 that an IPv6 address is in.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let prefix = u128::MAX << V6_PREFIX_BITS;
            Ipv6Addr::from_bits(address.to_bits() & prefix).into()
        }
    }
}

/// The calls of one key in one minute.
#[derive(Debug)]
pub struct CountedCalls {
    key: CountKey,
    /// Of the first call, once it has ended.
    row: OnceLock<JournalRow>,
    calls: AtomicU64,
    /// How many of them the row on the disk counts.
    written: AtomicU64,
    /// The number of the row on the disk; 0 before there is one.
    id: AtomicI64,
    /// Whether it is in the queue of the writer.
    waits: AtomicBool,
}

/// What becomes of a call that was noted.
#[derive(Debug)]
pub enum Noted {
    /// It has a row and a line of its own.
    Listed,
    /// It is the first of its key: it has a line, and its row stands for all that come after it.
    First(Arc<CountedCalls>),
    /// It is counted, and that is all.
    Counted,
}

impl CountedCalls {
    /// The first call of a key.
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

    /// What the calls have in common.
    #[must_use]
    pub fn key(&self) -> &CountKey {
        &self.key
    }

    /// The row of the first call, if rows are kept of such calls.
    #[must_use]
    pub fn row(&self) -> Option<&JournalRow> {
        self.row.get()
    }

    /// Counts another call.
    pub(crate) fn add(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    /// How many calls there were so far.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// How many of them the row on the disk counts.
    pub(crate) fn written_calls(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// The number of its row on the disk, once there is one.
    pub(crate) fn id(&self) -> Option<i64> {
        Some(self.id.load(Ordering::Relaxed)).filter(|id| *id != 0)
    }

    /// Sets the row of the first call. It has no address where many are counted together.
    pub(crate) fn set_row(&self, mut row: JournalRow) {
        if self.key.network.is_none() {
            row.peer = None;
            row.client = None;
            row.path = None;
            row.cause = Some("calls from more addresses than are told apart in a minute".into());
        }
        // There is one first call.
        let _ = self.row.set(row);
    }

    /// Whether it has to go to the writer; if so, it counts as being there.
    pub(crate) fn is_due(&self) -> bool {
        !self.is_saved() && !self.waits.swap(true, Ordering::AcqRel)
    }

    /// Whether the row on the disk counts all calls, or no row is to be written.
    pub(crate) fn is_saved(&self) -> bool {
        self.row.get().is_none() || self.written.load(Ordering::Relaxed) == self.calls()
    }

    /// It is on the disk under this number and with this many calls.
    pub(crate) fn written(&self, id: i64, calls: u64) {
        self.id.store(id, Ordering::Relaxed);
        self.written.store(calls, Ordering::Relaxed);
        self.waits.store(false, Ordering::Release);
    }

    /// The writer had no room for it: it is given up, unless more calls come.
    pub(crate) fn dropped(&self) {
        self.written.store(self.calls(), Ordering::Relaxed);
        self.waits.store(false, Ordering::Release);
    }
}
