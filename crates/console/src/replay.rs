//! `/admin/v1/replay`: which journalled calls proposed networks would have refused, by the judge that judges calls.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{Request, StatusCode};
use ipnet::IpNet;
use serde_json::{Value, json};
use store::{ChangeError, ReplayCall, Verdict, judge, parse_access_network, parse_network};

use crate::Console;
use crate::accesses::told;
use crate::draft::networks;
use crate::endpoint::{Endpoint, Key};
use crate::journal::{failing, id_text, time_text};
use crate::moment::time_ms;
use crate::problem::{Problem, json_answer};
use crate::request::body;

/// Calls judged between two looks at the store.
const PAGE_CALLS: u32 = 10_000;

/// Most addresses counted one by one; the calls of others are in the totals alone.
const ADDRESSES_MAX: usize = 10_000;

/// Most addresses, and most calls, that are told; the totals count all.
const TOLD_MAX: usize = 1000;

/// The code of a call that networks refused.
const REFUSED: &str = "IP_NOT_ALLOWED";

type Shared = State<Arc<Console>>;

/// The path.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::post("/admin/v1/replay", async |s: Shared, r| {
            told(replay(&s, r).await)
        })
        .named(
            "replay",
            "Which journalled calls proposed networks would have refused",
        )
        .wants(Key::Viewer)
        .takes("Proposal")
        .answers(200, "Replay")
        .refuses(&[404, 422, 503]),
    ]
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wish {
    pub(crate) access: String,
    pub(crate) since: String,
    /// As in a change of the access; what is absent stays as it is.
    pub(crate) allow: Option<Vec<String>>,
    pub(crate) deny: Option<Vec<String>>,
}

/// A proposal, and what it comes to.
struct Replay {
    allow: Vec<IpNet>,
    deny: Vec<IpNet>,
    judged: u64,
    refused: u64,
    newly_refused: u64,
    newly_admitted: u64,
    addresses: HashMap<IpAddr, Address>,
    /// The latest calls that would have been refused.
    latest: VecDeque<(ReplayCall, Verdict)>,
}

/// The calls of one address that would have been refused.
struct Address {
    verdict: Verdict,
    refused: u64,
    newly_refused: u64,
}

async fn replay(console: &Console, request: Request<Body>) -> Result<Response, Problem> {
    console.viewer(request.headers())?;
    let wish: Wish = body(request).await?;
    Ok(json_answer(StatusCode::OK, &replayed(console, wish).await?))
}

/// Judges what the journal has of an access once more.
pub(crate) async fn replayed(console: &Console, wish: Wish) -> Result<Value, Problem> {
    let accesses = console.store.accesses();
    let access = accesses.named(&wish.access).ok_or(ChangeError::Missing)?;
    let mut mistakes = Vec::new();
    let mut wrong = |field: &str, text| mistakes.push((field.to_owned(), text));
    let since = time_ms(&wish.since, console.now());
    let since_ms = since.unwrap_or_else(|text| {
        wrong("since", text);
        0
    });
    let one = |text: &str| parse_network(text).map(|network| vec![network]);
    let allow = wish.allow.map(|nets| networks(&nets, parse_access_network));
    let deny = wish.deny.map(|nets| networks(&nets, one));
    let mut list = |field, list: Option<Result<Vec<IpNet>, String>>, now: &[IpNet]| match list {
        None => now.to_vec(),
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
    // What can't be written can't be replayed either; the rest can.
    let _ = console.store.journal().flush().await;
    let mut replay = Replay::new(allow, deny);
    let mut beyond = 0;
    loop {
        let from = (since_ms, beyond);
        let calls = console
            .store
            .replay_calls(&access.name, from, PAGE_CALLS)
            .await;
        let calls = calls.map_err(failing)?;
        let Some(last) = calls.last() else { break };
        beyond = last.id;
        calls.into_iter().for_each(|call| replay.judge(call));
    }
    Ok(replay.told())
}

impl Replay {
    fn new(allow: Vec<IpNet>, deny: Vec<IpNet>) -> Replay {
        Replay {
            allow,
            deny,
            judged: 0,
            refused: 0,
            newly_refused: 0,
            newly_admitted: 0,
            addresses: HashMap::new(),
            latest: VecDeque::new(),
        }
    }

    fn judge(&mut self, call: ReplayCall) {
        let verdict = judge(&self.allow, &self.deny, call.client);
        let was_refused = call.code.as_deref() == Some(REFUSED);
        self.judged += call.count;
        if matches!(verdict, Verdict::Allowed(_)) {
            self.newly_admitted += if was_refused { call.count } else { 0 };
            return;
        }
        let newly = if was_refused { 0 } else { call.count };
        self.refused += call.count;
        self.newly_refused += newly;
        let there = self.addresses.len();
        let known = self.addresses.contains_key(&call.client);
        if known || there < ADDRESSES_MAX {
            let address = self.addresses.entry(call.client).or_insert(Address {
                verdict,
                refused: 0,
                newly_refused: 0,
            });
            address.refused += call.count;
            address.newly_refused += newly;
        }
        if self.latest.len() == TOLD_MAX {
            self.latest.pop_front();
        }
        self.latest.push_back((call, verdict));
    }

    fn told(self) -> Value {
        let mut addresses: Vec<_> = self.addresses.into_iter().collect();
        addresses.sort_by(|(a, one), (b, other)| other.refused.cmp(&one.refused).then(a.cmp(b)));
        let addresses = addresses.iter().take(TOLD_MAX).map(|(address, calls)| {
            json!({
                "address": address,
                "refused": calls.refused,
                "newly_refused": calls.newly_refused,
                "verdict": calls.verdict.to_string(),
            })
        });
        let rows = self.latest.iter().rev().map(|(call, verdict)| {
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
