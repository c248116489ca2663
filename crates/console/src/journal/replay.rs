//! Replays journalled calls against proposed networks. The same function judges real calls.

use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::{Value, json};
use store::{ChangeError, NetworkDecision, ReplayCall, judge};

use crate::access::draft::{allowed_networks, networks, one_network};
use crate::journal::query::id_text;
use crate::journal::rows::time_text;
use crate::moment::time_ms;
use crate::problem::Problem;
use crate::state::Console;

/// Number of calls read from the store at a time.
const PAGE_CALLS: u32 = 1000;

/// Maximum number of addresses that are counted separately. The calls of all other addresses are only in the totals.
const ADDRESSES_MAX: usize = 10_000;

/// Maximum number of listed addresses and of listed calls. The totals count all of them.
const LISTED_MAX: usize = 1000;

/// The code of a call that was rejected because of its network.
pub(crate) const REFUSED: &str = "IP_NOT_ALLOWED";

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReplayRequest {
    pub(crate) access: String,
    pub(crate) since: String,
    /// The proposed list, written as in a change of the access; `None` leaves the list as it is.
    pub(crate) allow: Option<Vec<String>>,
    pub(crate) deny: Option<Vec<String>>,
}

/// Proposed networks and their effect on the calls.
#[derive(Default)]
struct Replay {
    allow: Vec<IpNet>,
    deny: Vec<IpNet>,
    judged: u64,
    refused: u64,
    newly_refused: u64,
    newly_admitted: u64,
    addresses: HashMap<IpAddr, RefusedAddress>,
    /// The latest calls that would have been rejected and were not.
    latest_newly: VecDeque<(ReplayCall, NetworkDecision)>,
    /// The latest calls that would have been rejected again.
    latest_again: VecDeque<(ReplayCall, NetworkDecision)>,
}

/// The calls of one address that would have been rejected.
struct RefusedAddress {
    verdict: NetworkDecision,
    refused: u64,
    newly_refused: u64,
}

/// Replays the journalled calls of an access against the proposed networks.
pub(crate) async fn replay(console: &Console, request: ReplayRequest) -> Result<Value, Problem> {
    let accesses = console.store.accesses();
    let access = accesses
        .named(&request.access)
        .ok_or(ChangeError::Missing)?;
    let mut mistakes = Vec::new();
    let mut wrong = |field: &str, text| mistakes.push((field.to_owned(), text));
    let since = time_ms(&request.since, console.judged_now());
    let since_ms = since.unwrap_or_else(|text| {
        wrong("since", text);
        0
    });
    let allow = request.allow.map(|nets| allowed_networks(&nets));
    let deny = request.deny.map(|nets| networks(&nets, one_network));
    let mut list = |field, list: Option<Result<Vec<IpNet>, String>>, current: &[IpNet]| match list {
        None => current.to_vec(),
        Some(Ok(list)) => list,
        Some(Err(text)) => {
            wrong(field, text);
            Vec::new()
        }
    };
    let allow = list("allow", allow, &access.allow);
    let deny = list("deny", deny, &access.deny);
    if !mistakes.is_empty() {
        return Err(Problem::invalid(mistakes));
    }
    let _permit = console.replays.acquire().await;
    // If the flush fails, the unwritten rows are missing, but all others can still be replayed.
    let _ = console.store.journal().flush().await;
    let mut replay = Replay {
        allow,
        deny,
        ..Replay::default()
    };
    let mut beyond = 0;
    loop {
        let from = (since_ms, beyond);
        let calls = console
            .store
            .replay_calls(&access.name, from, PAGE_CALLS)
            .await?;
        let Some(last) = calls.last() else { break };
        beyond = last.id;
        calls.into_iter().for_each(|call| replay.judge(call));
        // A call is judged against up to a thousand networks, and other requests must not wait for all of them.
        tokio::task::yield_now().await;
    }
    Ok(replay.report())
}

impl Replay {
    fn judge(&mut self, call: ReplayCall) {
        let verdict = judge(&self.allow, &self.deny, call.client);
        let was_refused = call.code.as_deref() == Some(REFUSED) && !call.is_upstreams;
        self.judged += call.count;
        if matches!(verdict, NetworkDecision::Allowed(_)) {
            self.newly_admitted += if was_refused { call.count } else { 0 };
            return;
        }
        let newly = if was_refused { 0 } else { call.count };
        self.refused += call.count;
        self.newly_refused += newly;
        let is_known = self.addresses.contains_key(&call.client);
        if is_known || self.addresses.len() < ADDRESSES_MAX {
            let address = self.addresses.entry(call.client).or_insert(RefusedAddress {
                verdict,
                refused: 0,
                newly_refused: 0,
            });
            address.refused += call.count;
            address.newly_refused += newly;
        }
        let latest = if was_refused {
            &mut self.latest_again
        } else {
            &mut self.latest_newly
        };
        if latest.len() == LISTED_MAX {
            latest.pop_front();
        }
        latest.push_back((call, verdict));
    }

    fn report(self) -> Value {
        let mut addresses: Vec<_> = self.addresses.into_iter().collect();
        addresses.sort_by_key(|(address, calls)| {
            (
                Reverse(calls.newly_refused),
                Reverse(calls.refused),
                *address,
            )
        });
        let addresses = addresses.iter().take(LISTED_MAX).map(|(address, calls)| {
            json!({
                "address": address,
                "refused": calls.refused,
                "newly_refused": calls.newly_refused,
                "verdict": calls.verdict.to_string(),
            })
        });
        // Newly rejected calls are listed first when there is no room for all.
        let newly = self.latest_newly.iter().rev();
        let listed = newly.chain(self.latest_again.iter().rev());
        let mut listed: Vec<_> = listed.take(LISTED_MAX).collect();
        listed.sort_by_key(|(call, _)| Reverse(call.id));
        let rows = listed.into_iter().map(|(call, verdict)| {
            json!({
                "id": id_text(call.id),
                "time": time_text(call.id),
                "request_id": call.request_id,
                "caller_request_id": call.caller_request_id,
                "client": call.client,
                "method": call.method,
                "code": call.code,
                "count": call.count,
                "verdict": verdict.to_string(),
            })
        });
        let texts = |list: &[IpNet]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        json!({
            "allow": texts(&self.allow),
            "deny": texts(&self.deny),
            "judged": self.judged,
            "refused": self.refused,
            "newly_refused": self.newly_refused,
            "newly_admitted": self.newly_admitted,
            "addresses": addresses.collect::<Vec<_>>(),
            "rows": rows.collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newly_rejected_calls_take_precedence_in_a_bounded_replay_report() {
        let mut replay = Replay {
            allow: vec!["127.0.0.0/8".parse().unwrap()],
            ..Replay::default()
        };
        let call = |id: i64, client: &str, code: Option<&str>| ReplayCall {
            id,
            client: client.parse().unwrap(),
            request_id: String::new(),
            caller_request_id: None,
            method: None,
            code: code.map(str::to_owned),
            is_upstreams: false,
            count: 1,
        };
        replay.judge(call(1, "192.0.2.1", None));
        for id in 2..2 + i64::try_from(LISTED_MAX).unwrap() {
            replay.judge(call(id, "192.0.2.2", Some(REFUSED)));
        }
        // The upstream's own word is no rejection by the networks.
        let mut admitted = Replay {
            allow: vec!["192.0.2.0/24".parse().unwrap()],
            ..Replay::default()
        };
        let calls = [false, true].map(|is_upstreams| ReplayCall {
            is_upstreams,
            ..call(1, "192.0.2.1", Some(REFUSED))
        });
        calls.into_iter().for_each(|call| admitted.judge(call));
        assert_eq!(admitted.newly_admitted, 1);
        let report = replay.report();
        let rows = report["rows"].as_array().unwrap();
        assert_eq!(rows.len(), LISTED_MAX);
        assert_eq!(rows.last().unwrap()["client"], "192.0.2.1");
        assert_eq!(report["addresses"][0]["address"], "192.0.2.1");
    }
}
