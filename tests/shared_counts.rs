//! Counts that replicas share over Valkey: limits of all together, and each replica's share of them while it is away.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::harness::{
    Answer, Fleet, Gateway, Valkey, admin, client, client_from, load, made, pass, skipped, until,
};

const READ: &str = "class=chat&method=getchatchannels";

/// Replicas of each test.
const REPLICAS: usize = 3;

/// Calls that are offered of an access whose limit is reached, a second.
const OFFERED: u64 = 300;

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

fn read(gateway: &Gateway, secret: &str) -> reqwest::RequestBuilder {
    let request = client().post(gateway.url("/api/basic/"));
    request.basic_auth("a", Some(secret)).body(READ)
}

/// Has so many calls a second made for so long, each at the gateway that is picked for it. Returns how many were admitted; all others
/// were refused for the limit.
async fn offer(
    gateways: &[Gateway],
    secret: &str,
    (per_second, lasting): (u64, Duration),
    pick: impl Fn(usize) -> usize,
) -> (usize, usize) {
    let (began, mut calls, mut offered) = (Instant::now(), JoinSet::new(), 0);
    while began.elapsed() < lasting {
        let due = usize::try_from(began.elapsed().as_millis()).unwrap()
            * usize::try_from(per_second).unwrap()
            / 1000;
        while offered <= due {
            calls.spawn(Answer::of(read(&gateways[pick(offered)], secret)));
            offered += 1;
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
    let draft = json!({"name": "a", "allow": ["any"], "rate": "6000/min"});
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
    // A third of the limit each, at once.
    let gateway = &sharing.gateways()[0];
    let (_, admitted) = offer(
        std::slice::from_ref(gateway),
        &secret,
        (1500, Duration::from_secs(3)),
        |_| 0,
    )
    .await;
    assert!((1900..=2000 + 300).contains(&admitted), "{admitted}");

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

/// The answers to so many guesses for the access `a`, each at the next of these gateways.
async fn guess(
    gateways: &[Gateway],
    guesses: usize,
    from: impl Fn(usize) -> String,
) -> Vec<Answer> {
    let mut answers = Vec::new();
    for number in 0..guesses {
        let gateway = &gateways[number % gateways.len()];
        let request = client_from(from(number).parse().unwrap()).post(gateway.url("/api/basic/"));
        let wrong = format!("cgs_{number:043}");
        answers.push(Answer::of(request.basic_auth("a", Some(wrong)).body(READ)).await);
    }
    answers
}

fn of_status(answers: &[Answer], status: u16) -> usize {
    answers
        .iter()
        .filter(|answer| answer.status == status)
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_have_one_budget_over_all_replicas() {
    let Some(sharing) = SharingFleet::start() else {
        return skipped("Valkey or PostgreSQL");
    };
    let gateways = sharing.gateways();
    let secret = made(&gateways[0], json!({"name": "a", "allow": ["any"]})).await;
    for gateway in gateways {
        until("it knows the access", async || {
            Answer::of(read(gateway, &secret)).await.status == 200
        })
        .await;
    }
    let began = Instant::now();
    let from = |number: usize| format!("127.9.{}.{}", number % 500 / 250, 1 + number % 250);
    let guesses = guess(gateways, load(300, 100_000), from).await;
    let (checked, refused) = (of_status(&guesses, 401), of_status(&guesses, 429));
    println!(
        "{} guesses at {REPLICAS} replicas: {checked} checked",
        guesses.len()
    );
    assert_eq!(checked + refused, guesses.len());
    // The inner budget of the default: three quarters of 40 at once, and one in 55 s.
    let trickled = usize::try_from(began.elapsed().as_secs() / 55).unwrap();
    assert!(
        (30..=30 + trickled).contains(&checked) && checked <= 60,
        "{checked}"
    );
    // The owner, whom all know.
    for gateway in gateways {
        assert_eq!(Answer::of(read(gateway, &secret)).await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_are_no_more_when_valkey_goes_away() {
    let Some(mut sharing) = SharingFleet::start() else {
        return skipped("Valkey or PostgreSQL");
    };
    made(
        &sharing.gateways()[0],
        json!({"name": "a", "allow": ["any"]}),
    )
    .await;
    let from = |number: usize| format!("127.9.0.{}", 1 + number % 250);
    let first = of_status(&guess(sharing.gateways(), 15, from).await, 401);
    sharing.valkey.kill();
    let guesses = guess(sharing.gateways(), 150, from).await;
    let all = first + of_status(&guesses, 401);
    println!("{first} checked before, {all} in all");
    assert!(all <= 30 + REPLICAS, "{all}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_of_an_address_is_of_all_replicas_and_asks_on_no_calls_way() {
    let (Some(valkey), per_minute) = (Valkey::start(), load(600, 6000)) else {
        return skipped("Valkey");
    };
    let toml = format!(
        "{}[limits]\nper_address_per_minute = {per_minute}\n",
        shared(&valkey)
    );
    let Some(fleet) = Fleet::of(load(REPLICAS, 16), &toml) else {
        return skipped("PostgreSQL");
    };
    let secret = made(&fleet.gateways[0], json!({"name": "a", "allow": ["any"]})).await;
    let (asked, began) = (valkey.scripts_done(), Instant::now());
    let lasting = Duration::from_secs(u64::try_from(load(8, 60)).unwrap());
    let replicas = fleet.gateways.len();
    let (offered, admitted) = offer(&fleet.gateways, &secret, (OFFERED, lasting), |call| {
        call % replicas
    })
    .await;
    let seconds = usize::try_from(began.elapsed().as_millis()).unwrap();
    let most = per_minute + per_minute * seconds / 60_000;
    let asked = valkey.scripts_done() - asked;
    println!(
        "{per_minute} a minute of one address at {replicas} replicas: {admitted} of {offered}, {most} due; asked {asked} times"
    );
    // What the others admit between two exchanges is taken back later, but for the last of them.
    assert!(
        admitted <= most + (most / 200).max(replicas),
        "{admitted} of {most}"
    );
    assert!(
        admitted * 100
            >= (per_minute + per_minute * usize::try_from(lasting.as_secs()).unwrap() / 60) * 98,
        "{admitted} of {most}"
    );
    assert!(
        asked <= 11 * (1 + began.elapsed().as_secs()) * replicas as u64,
        "{asked}"
    );
}
