//! Checks that answers to callers do not depend on whether events are on.

use serde_json::{Value, json};

use super::arrivals::receive;
use super::{base, over};
use crate::crash::seed;
use crate::harness::{
    Answer, Gateway, Sandbox, SplitMix64, UPSTREAM_ENVIRONMENT, client, load, made,
};
use crate::streams::reading::{SALES, Stream, now, warm_at};

/// Number of operations, every day and for a release.
const OPERATIONS: (usize, usize) = (400, 10_000);

const ACCESSES: usize = 5;

/// A gateway in front of its own upstream, and the passwords of its accesses.
struct Side {
    gateway: Gateway,
    sandbox: Sandbox,
    passwords: Vec<String>,
}

impl Side {
    async fn start(events: &str) -> Side {
        let sandbox = Sandbox::start();
        let gateway = Gateway::configured(&over(&sandbox, "no", events), &[UPSTREAM_ENVIRONMENT]);
        let mut passwords = Vec::new();
        for number in 0..ACCESSES {
            let draft = json!({"name": format!("caller{number}"), "allow": ["127.0.0.0/8"]});
            passwords.push(made(&gateway, draft).await);
        }
        Side {
            gateway,
            sandbox,
            passwords,
        }
    }

    /// Returns the answer to an access without the datetimes, because the two upstreams are called one after the other.
    async fn ask(&self, client: &reqwest::Client, access: usize, call: &[(&str, &str)]) -> String {
        let request = client.post(self.gateway.url("/api/basic/")).form(call);
        let user = format!("caller{access}");
        let request = request.basic_auth(user, Some(&self.passwords[access]));
        let body = Answer::of(request).await.body;
        let mut parts = body.split("\"datetime\":\"");
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |text, part| {
            text + part.split_once('"').map_or(part, |(_, rest)| rest)
        })
    }
}

async fn warm_again(side: &Side, messages: usize) {
    for number in 0..messages {
        let text = format!("Warm {number}");
        receive(&client(), &base(&side.sandbox), "34700000000", &text).await;
    }
}

/// Returns a method and its number of parameters, or `None` if a message arrives instead.
fn operation(chance: &mut SplitMix64) -> Option<(&'static str, usize)> {
    match chance.below(20) {
        0..6 => None,
        6..14 => Some(("getunreadmessages", 3)),
        14..16 => Some(("getmessages", 3)),
        16..18 => Some(("getchats", 2)),
        _ => Some(("sendmessage", 4)),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_do_not_change_the_unread_messages_of_callers() {
    let (seed, operations) = (seed(), load(OPERATIONS.0, OPERATIONS.1));
    println!("unnoticed, seed {seed}");
    let often = "poll_min = \"50ms\"\npoll_max = \"100ms\"\ncalls_per_second = 200\n";
    let (with, without) = (
        Side::start(often).await,
        Side::start("enabled = false\n").await,
    );
    let cursor = now(&with.gateway).await;
    let mut stream = Stream::of(&with.gateway, &format!("?cursor={cursor}")).await;
    let warm = warm_at(&base(&with.sandbox), &mut stream).await;
    // The other side gets the same messages, so that its ids continue with the same numbers.
    warm_again(&without, warm).await;
    let reading = tokio::spawn(async move { while stream.next().await.is_some() {} });
    let (mut chance, client, mut compared) = (SplitMix64(seed), client(), 0);
    let bases = [base(&with.sandbox), base(&without.sandbox)];
    for number in 0..operations {
        let chat = format!("3490000{}", chance.below(6));
        let access = usize::try_from(chance.below(ACCESSES as u64)).unwrap();
        let text = format!("Message {number}");
        let Some((method, parameters)) = operation(&mut chance) else {
            for base in &bases {
                receive(&client, base, &chat, &text).await;
            }
            continue;
        };
        let call = [
            ("class", "chat"),
            ("method", method),
            ("platform", SALES.0),
            ("platformid", SALES.1),
            ("destination", &*chat),
            ("message", &*text),
        ];
        let call = &call[..2 + parameters];
        let one = with.ask(&client, access, call).await;
        let other = without.ask(&client, access, call).await;
        if method == "getunreadmessages" {
            compared += 1;
            assert_eq!(one, other, "seed {seed}, operation {number}");
        }
    }
    reading.abort();
    let asked =
        async |side: &Side| side.sandbox.sent().await["methods"]["getunreadmessages"].take();
    let (with, without): (Value, Value) = (asked(&with).await, asked(&without).await);
    println!(
        "unnoticed, seed {seed}: {compared} of {compared} answers are the same over {operations} operations; the upstreams were asked {with} and {without} times"
    );
    assert!(with.as_u64() > without.as_u64(), "events were made");
}
