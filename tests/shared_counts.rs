//! Counts that replicas share over Valkey: limits of all together, and each replica's share of them while it is away.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::harness::{
    Answer, Fleet, Gateway, Valkey, admin, client, client_from, load, made, pass, skipped, until,
};

const READ: &str = "class=chat&method=getchatchannels";

/// Replicas of each test.
const REPLICAS: usize = 3;

/// Calls that are offered of an access whose limit is reached, a second.
const OFFERED: u64 = 300;

/// Calls at once, and so many connections: fewer than a gateway takes of one address.
const IN_FLIGHT: usize = 64;

/// Replicas that share counts, and where these are.
struct SharingFleet {
    valkey: Valkey,
    fleet: Fleet,
}

impl SharingFleet {
    /// Nothing where something is missing.
    fn start() -> Option<SharingFleet> {
        let valkey = Valkey::start()?;
        let toml = format!(
            "{}[limits]\nper_address_per_minute = 1000000\n",
            shared(&valkey)
        );
        let fleet = Fleet::of(REPLICAS, &toml)?;
        Some(SharingFleet { valkey, fleet })
    }

    fn gateways(&self) -> &[Gateway] {
        &self.fleet.gateways
    }

    async fn is_degraded(&self) -> bool {
        let mut degraded = 0;
        for gateway in self.gateways() {
            degraded += usize::from(ready(gateway).await["degraded"] == json!(["shared"]));
        }
        degraded > 0
    }
}

/// The configuration that leads to it. A busy machine is given more time than a call would wait.
fn shared(valkey: &Valkey) -> String {
    format!("[shared]\nurl = \"{}\"\ntimeout = \"1s\"\n", valkey.url())
}

async fn ready(gateway: &Gateway) -> Value {
    let url = format!("http://{}/readyz", gateway.admin);
    Answer::of(client().get(url)).await.json()
}

fn read(client: &reqwest::Client, gateway: &Gateway, secret: &str) -> reqwest::RequestBuilder {
    let request = client.post(gateway.url("/api/basic/"));
    request.basic_auth("a", Some(secret)).body(READ)
}

/// Has so many calls a second made for so long, each at the gateway that is picked for it. Returns how many were admitted; all others
/// were refused for the limit. Where a gateway is slower than that, fewer calls are made.
async fn offer(
    gateways: &[Gateway],
    secret: &str,
    (per_second, lasting): (u64, Duration),
    pick: impl Fn(usize) -> usize,
) -> (usize, usize) {
    let (began, mut calls, mut offered) = (Instant::now(), JoinSet::new(), 0);
    let (client, in_flight) = (client(), Arc::new(Semaphore::new(IN_FLIGHT)));
    while began.elapsed() < lasting {
        let due = usize::try_from(began.elapsed().as_millis()).unwrap()
            * usize::try_from(per_second).unwrap()
            / 1000;
        while offered <= due {
            let place = Arc::clone(&in_flight).acquire_owned().await.unwrap();
            let call = Answer::of(read(&client, &gateways[pick(offered)], secret));
            calls.spawn(async move {
                let _place = place;
                call.await
            });
            offered += 1;
            if began.elapsed() >= lasting {
                break;
            }
        }
        pass(Duration::from_millis(5)).await;
    }
    let answers = calls.join_all().await;
    let admitted = answers.iter().filter(|answer| answer.status == 200).count();
    let refused = answers.iter().filter(|answer| answer.status == 429).count();
    assert_eq!(
        admitted + refused,
        offered,
        "{:?}",
        answers
            .iter()
            .find(|answer| !matches!(answer.status, 200 | 429))
            .map(|answer| &answer.body)
    );
    (offered, admitted)
}

/// A limit of so many a minute, offered more than that: what all admit together is the limit, to the call.
async fn check_limit(even: &str, pick: impl Fn(usize) -> usize) {
    let Some(sharing) = SharingFleet::start() else {
        return skipped("Valkey or PostgreSQL");
    };
    let per_minute = load(600, 6000);
    let lasting = Duration::from_secs(u64::try_from(load(6, 60)).unwrap());
    let draft = json!({"name": "a", "allow": ["any"], "rate": format!("{per_minute}/min")});
    let secret = made(&sharing.gateways()[0], draft).await;
    let began = Instant::now();
    let (offered, admitted) = offer(sharing.gateways(), &secret, (OFFERED, lasting), pick).await;
    let by_time = |time: Duration| {
        per_minute + per_minute * usize::try_from(time.as_millis()).unwrap() / 60_000
    };
    let (least, most) = (by_time(lasting), by_time(began.elapsed()));
    println!(
        "{per_minute} a minute, {even}: {admitted} of {offered} admitted, {least} to {most} due; asked {} times",
        sharing.valkey.scripts_done()
    );
    assert!(admitted <= most, "{admitted} of {most}");
    assert!(admitted * 100 >= least * 99, "{admitted} of {least}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_is_of_all_replicas_where_each_has_as_many_calls() {
    check_limit("even", |call| call % REPLICAS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_is_of_all_replicas_where_one_has_nearly_all_calls() {
    check_limit("nine in ten to one", |call| {
        if call % 10 < 9 { 0 } else { call % REPLICAS }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_that_is_far_away_costs_a_question_in_ten_calls_at_most() {
    let Some(sharing) = SharingFleet::start() else {
        return skipped("Valkey or PostgreSQL");
    };
    let draft = json!({"name": "a", "allow": ["any"], "rate": "60000/min"});
    let secret = made(&sharing.gateways()[0], draft).await;
    let before = sharing.valkey.scripts_done();
    let lasting = Duration::from_secs(u64::try_from(load(4, 60)).unwrap());
    let (offered, admitted) = offer(sharing.gateways(), &secret, (150, lasting), |call| {
        call % REPLICAS
    })
    .await;
    let asked = sharing.valkey.scripts_done() - before;
    println!("{offered} calls, Valkey asked {asked} times");
    assert_eq!(admitted, offered);
    assert!(asked * 10 <= offered as u64, "{asked} of {offered}");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_valkey_is_away_each_replica_takes_its_share_and_no_call_fails() {
    let Some(mut sharing) = SharingFleet::start() else {
        return skipped("Valkey or PostgreSQL");
    };
    let draft = json!({"name": "a", "allow": ["any"], "rate": "1200/min"});
    let secret = Arc::new(made(&sharing.gateways()[0], draft).await);
    let any = |call| call % REPLICAS;
    let calls = (150, Duration::from_secs(2));
    let first = offer(sharing.gateways(), &secret, calls, any).await;
    assert_eq!(first.0, first.1);
    sharing.valkey.kill();
    // From the next call on.
    let (offered, admitted) = offer(sharing.gateways(), &secret, calls, any).await;
    assert_eq!(offered, admitted);
    for gateway in sharing.gateways() {
        until("it says so", async || {
            ready(gateway).await["degraded"] == json!(["shared"])
        })
        .await;
        assert_eq!(ready(gateway).await["status"], "ready");
        assert!(
            gateway
                .metrics()
                .await
                .contains("chatgate_limits_degraded 1\n")
        );
        let lines = gateway.process.lines();
        let said = lines
            .iter()
            .filter(|line| line.contains("shared counts are away"));
        assert_eq!(said.count(), 1, "{lines:?}");
        let status = admin(gateway, reqwest::Method::GET, "status", Value::Null)
            .await
            .json();
        assert_eq!(status["shared"]["state"], "away");
    }
    // A third of the limit each: what is left of 400 at once, and 400 a minute.
    let gateway = &sharing.gateways()[0];
    let (_, admitted) = offer(
        std::slice::from_ref(gateway),
        &secret,
        (OFFERED, Duration::from_secs(3)),
        |_| 0,
    )
    .await;
    assert!((290..=400 + 60).contains(&admitted), "{admitted}");

    sharing.valkey.run();
    let back = Instant::now();
    until("all share again", async || !sharing.is_degraded().await).await;
    println!(
        "shared again {} ms after its return",
        back.elapsed().as_millis()
    );
    assert!(back.elapsed() < Duration::from_millis(u64::try_from(load(3000, 1000)).unwrap()));
    let (offered, admitted) = offer(sharing.gateways(), &secret, calls, any).await;
    assert_eq!(offered, admitted);
}

#[tokio::test(flavor = "multi_thread")]
async fn valkey_hears_nothing_of_anybody() {
    let Some(sharing) = SharingFleet::start() else {
        return skipped("Valkey or PostgreSQL");
    };
    let seen = Arc::<Mutex<Vec<String>>>::default();
    let (watch, keep) = (sharing.valkey.watch(), Arc::clone(&seen));
    std::thread::spawn(move || watch.for_each(|line| keep.lock().unwrap().push(line)));
    let gateway = &sharing.gateways()[0];
    let draft = json!({
        "name": "canary-access", "user": "canary-user", "allow": ["any"], "rate": "60/min",
        "per_destination": "30/min",
    });
    let secret = made(gateway, draft).await;
    let send = "class=chat&method=sendmessage&platform=whatsapp&platformid=100\
        &destination=34600123456&message=canary-text";
    for body in [READ, send] {
        let request = client_from("127.7.7.7".parse().unwrap()).post(gateway.url("/api/basic/"));
        let answer = Answer::of(request.basic_auth("canary-user", Some(&secret)).body(body)).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    let wrong = client_from("127.7.7.7".parse().unwrap()).post(gateway.url("/api/basic/"));
    let wrong = wrong
        .basic_auth("canary-user", Some("canary-guess"))
        .body(READ);
    assert_eq!(Answer::of(wrong).await.status, 401);
    let has_heard = async || {
        let seen = seen.lock().unwrap();
        ["cg:", "EVALSHA"]
            .iter()
            .all(|mark| seen.iter().any(|line| line.contains(mark)))
    };
    until("Valkey has heard of them", has_heard).await;

    let keys = sharing.valkey.ask(&["KEYS", "*"]);
    let mut all = seen.lock().unwrap().clone();
    for key in keys.lines() {
        let count = &key[key.rfind('{').unwrap()..];
        assert!(key.starts_with("cg:") && count.len() <= 34, "{key}");
        all.push(key.to_owned());
        all.push(sharing.valkey.ask(&["DUMP", key]));
        assert!(
            sharing.valkey.ask(&["PTTL", key]).parse::<i64>().unwrap() > 0,
            "{key} has no end"
        );
    }
    println!("{} keys, {} lines heard", keys.lines().count(), all.len());
    for line in &all {
        for canary in ["canary", "34600123456", "127.7.7.7", &secret] {
            assert!(!line.contains(canary), "{canary} is in {line}");
        }
    }
}
