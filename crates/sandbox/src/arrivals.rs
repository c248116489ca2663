//! The log of arrivals: counters of all calls, and the latest sends individually.

use std::collections::{BTreeMap, VecDeque};

use adapter::{Effect, OPERATIONS, Request};
use parking_lot::Mutex;
use serde::Serialize;

use crate::call::ApiCall;
use crate::faults::{Fault, FaultKind};

/// Maximum number of individually stored sends. The longest legal send has 20 KiB, so they take at most 20 MiB.
const ARRIVALS_MAX: usize = 1000;

/// The name under which calls without a known operation are counted.
const OTHER: &str = "other";

/// All arrivals since the start.
#[derive(Default)]
pub(crate) struct ArrivalLog(Mutex<Arrived>);

/// The answer of `GET /sandbox/sent`.
#[derive(Clone, Default, Serialize)]
pub(crate) struct Arrived {
    /// Requests to the API whose body was read, regardless of their outcome.
    requests: u64,
    /// The same requests by method. Calls that name none of the six methods count as `other`.
    methods: BTreeMap<&'static str, u64>,
    /// The number of requests that are `sendmessage` or `sendfile`.
    sends: u64,
    /// The number of sends that became a message.
    stored: u64,
    /// The latest sends with legal parameters, oldest first.
    list: VecDeque<Arrival>,
}

/// A send that arrived.
#[derive(Clone, Serialize)]
struct Arrival {
    /// The number of the send, counted from 1 for the first listed send since the start.
    number: u64,
    method: &'static str,
    /// The parameters as they arrived, without absent ones.
    #[serde(flatten)]
    parameters: BTreeMap<&'static str, String>,
    /// True if the send became a message.
    stored: bool,
    /// The fault that was applied to the send.
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<FaultKind>,
}

impl ArrivalLog {
    /// Counts a call. Returns the number of a send that is listed.
    pub(crate) fn arrived(&self, call: &ApiCall, fault: Option<&Fault>) -> Option<u64> {
        let mut arrived = self.0.lock();
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
        if arrived.list.len() == ARRIVALS_MAX {
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
        let mut arrived = self.0.lock();
        arrived.stored += 1;
        // Search from the back, because the send is one of the latest unless a thousand others have arrived since.
        let mut latest = arrived.list.iter_mut().rev();
        if let Some(arrival) = latest.find(|arrival| arrival.number == number) {
            arrival.stored = true;
        }
    }

    /// Returns the whole log, with a counter for every method.
    pub(crate) fn snapshot(&self) -> Arrived {
        let mut arrived = self.0.lock().clone();
        let asked = OPERATIONS.iter().filter(|row| row.effect != Effect::Watch);
        let names = asked.map(|operation| operation.method);
        for name in names.chain([OTHER]) {
            arrived.methods.entry(name).or_default();
        }
        arrived
    }
}

fn parameters(request: &Request) -> BTreeMap<&'static str, String> {
    request
        .pairs()
        .map(|(parameter, value)| (parameter.name, value.to_owned()))
        .collect()
}
