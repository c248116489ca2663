//! The log of arrivals: counters over all calls, and the latest sends one by one.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use adapter::{Effect, OPERATIONS, Request};
use serde::Serialize;

use crate::call::ApiCall;
use crate::faults::{Fault, FaultKind};

/// Most sends kept one by one; at 20 KiB each, the longest legal one, they take 20 MiB.
const SENDS_KEPT_MAX: usize = 1000;

/// The name under which calls without a known operation count.
const OTHER: &str = "other";

/// What arrived since the start.
#[derive(Default)]
pub(crate) struct ArrivalLog(Mutex<Arrived>);

/// The answer of `GET /sandbox/sent`.
#[derive(Clone, Default, Serialize)]
pub(crate) struct Arrived {
    /// Requests to the API whose body was read, whatever became of them.
    requests: u64,
    /// The same by method; calls that name none of the six count as `other`.
    methods: BTreeMap<&'static str, u64>,
    /// Of these, `sendmessage` and `sendfile`.
    sends: u64,
    /// Of these, the ones that became a message.
    stored: u64,
    /// The latest sends whose parameters were legal, oldest first.
    list: VecDeque<Arrival>,
}

/// One send that arrived.
#[derive(Clone, Serialize)]
struct Arrival {
    /// 1 for the first send in the list since the start.
    number: u64,
    method: &'static str,
    /// The parameters as they came; those that were absent are left out.
    #[serde(flatten)]
    parameters: BTreeMap<&'static str, String>,
    /// Whether it became a message.
    stored: bool,
    /// The fault that it met.
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<FaultKind>,
}

impl ArrivalLog {
    /// Counts a call; returns its number when it is a send that is kept.
    pub(crate) fn arrived(&self, call: &ApiCall, fault: Option<&Fault>) -> Option<u64> {
        let mut arrived = self.lock();
        arrived.requests += 1;
        let method = call.operation.map_or(OTHER, |operation| operation.method);
        *arrived.methods.entry(method).or_default() += 1;
        let is_send = call.operation.is_some_and(|op| op.effect == Effect::Send);
        if !is_send {
            return None;
        }
        arrived.sends += 1;
        let request = call.request.as_ref().ok()?;
        let number = arrived.list.back().map_or(1, |last| last.number + 1);
        if arrived.list.len() == SENDS_KEPT_MAX {
            arrived.list.pop_front();
        }
        arrived.list.push_back(Arrival {
            number,
            method,
            parameters: parameters(request),
            stored: false,
            fault: fault.map(|fault| fault.fault),
        });
        Some(number)
    }

    /// Records that the send with this number became a message.
    pub(crate) fn stored(&self, number: u64) {
        let mut arrived = self.lock();
        arrived.stored += 1;
        // From the back: it is one of the latest, unless a thousand came since.
        let mut latest = arrived.list.iter_mut().rev();
        if let Some(arrival) = latest.find(|arrival| arrival.number == number) {
            arrival.stored = true;
        }
    }

    /// Everything, with a count for every method.
    pub(crate) fn snapshot(&self) -> Arrived {
        let mut arrived = self.lock().clone();
        let asked = OPERATIONS.iter().filter(|row| row.effect != Effect::Watch);
        let names = asked.map(|operation| operation.method);
        for name in names.chain([OTHER]) {
            arrived.methods.entry(name).or_default();
        }
        arrived
    }

    /// Counters stay usable after a panic elsewhere.
    fn lock(&self) -> MutexGuard<'_, Arrived> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn parameters(request: &Request) -> BTreeMap<&'static str, String> {
    request
        .pairs()
        .map(|(parameter, value)| (parameter.name, value.to_owned()))
        .collect()
}
