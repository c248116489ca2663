//! Tests of an access's limit: one limit of all replicas together, and a share for each replica while Valkey is unavailable.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::offered::offer;
use super::{OFFERED, REPLICAS, SharingFleet, by_time, ready};
use crate::harness::{Gateway, Trace, admin, load, made, pass, skipped, until};

/// Number of calls a second at each replica in the tests that count requests to Valkey.
const A_SECOND: u64 = 50;

/// Offers more calls than a limit per minute admits, and checks that all replicas together admit exactly the limit.
async fn check_limit(even: &str, pick: impl Fn(usize, usize) -> usize) {
    for replicas in [REPLICAS, 16].into_iter().take(load(1, 2)) {
        let Some(sharing) = SharingFleet::of(replicas) else {
            return skipped("Valkey or PostgreSQL");
        };
        let per_minute = load(600, 6000);
        let lasting = Duration::from_secs(u64::try_from(load(6, 60)).unwrap());
        let draft = json!({"name": "a", "allow": ["any"], "rate": format!("{per_minute}/min")});
        let secret = made(&sharing.gateways()[0], draft).await;
        let began = Instant::now();
        let pick = |call| pick(call, replicas);
        let (offered, admitted) =
            offer(sharing.gateways(), &secret, (OFFERED, lasting), pick).await;
        let (least, most) = (
            by_time(per_minute, lasting),
            by_time(per_minute, began.elapsed()),
        );
        println!(
            "{per_minute} a minute, {even}, {replicas} replicas: {admitted} of {offered} admitted, {least} to {most} due; asked {} times",
            sharing.valkey.scripts_done()
        );
        let unanswered = sharing.unanswered().await;
        if unanswered > 0 {
            println!(
                "Valkey did not answer {unanswered} requests in time: at most one more burst may be admitted"
            );
        }
        let spare = if unanswered > 0 { per_minute } else { 0 };
        assert!(admitted <= most + spare, "{admitted} of {most}");
        assert!(admitted * 100 >= least * 99, "{admitted} of {least}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_share_a_rate_limit_with_evenly_spread_calls() {
    check_limit("even", |call, replicas| call % replicas).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_share_a_rate_limit_with_most_calls_at_one_replica() {
    check_limit("nine in ten to one", |call, replicas| {
        if call % 10 < 9 { 0 } else { call % replicas }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_far_below_their_limit_ask_valkey_at_most_once_in_ten_calls() {
    let Some(sharing) = SharingFleet::start() else {
        return skipped("Valkey or PostgreSQL");
    };
    let draft = json!({"name": "a", "allow": ["any"], "rate": "60000/min"});
    let secret = made(&sharing.gateways()[0], draft).await;
    let (per_second, any) = (A_SECOND * REPLICAS as u64, |call| call % REPLICAS);
    // The first calls establish the access's call rate and have the secret checked.
    let first = (per_second, Duration::from_secs(1));
    offer(sharing.gateways(), &secret, first, any).await;
    // All requests to Valkey, including those for addresses.
    let asked = sharing.valkey.scripts_done();
    let lasting = Duration::from_secs(u64::try_from(load(4, 60)).unwrap());
    let calls = (per_second, lasting);
    let (offered, admitted) = offer(sharing.gateways(), &secret, calls, any).await;
    let asked = usize::try_from(sharing.valkey.scripts_done() - asked).unwrap();
    println!(
        "{offered} calls, {A_SECOND} a second at each of {REPLICAS} replicas, Valkey asked {asked} times"
    );
    assert_eq!(admitted, offered);
    assert!(asked > 0 && asked * 10 <= offered, "{asked} of {offered}");
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_far_below_their_limit_write_to_valkey_per_second_only() {
    let Some(sharing) = SharingFleet::of(1) else {
        return skipped("Valkey or PostgreSQL");
    };
    let draft = json!({"name": "a", "allow": ["any"], "rate": "60000/min"});
    let (gateways, any) = (sharing.gateways(), |_| 0);
    let secret = made(&gateways[0], draft).await;
    let lasting = Duration::from_secs(u64::try_from(load(3, 30)).unwrap());
    let first = (A_SECOND, Duration::from_secs(1));
    offer(gateways, &secret, first, any).await;
    let Some(trace) = Trace::of(&gateways[0].process) else {
        return skipped(Trace::NEEDS);
    };
    let began = Instant::now();
    let (reads, _) = offer(gateways, &secret, (A_SECOND, lasting), any).await;
    let seconds = usize::try_from(began.elapsed().as_secs()).unwrap() + 2;
    let host: IpAddr = sharing.valkey.host.parse().unwrap();
    let written = trace.written_to(SocketAddr::new(host, sharing.valkey.port));
    println!("{reads} reads at one replica, {written} writes to Valkey");
    // Writes that depend on time: calls that are taken in advance, and the address, once a second each.
    assert!((1..=3 * seconds).contains(&written), "{written}");
    assert!(written * 10 <= reads, "{written} of {reads}");
}

/// Checks the words of the status.
async fn check_status(gateway: &Gateway, shared: &str) {
    let answer = admin(gateway, reqwest::Method::GET, "status", Value::Null).await;
    let status = answer.json();
    let states = ["store", "shared"].map(|part| &status[part]["state"]);
    assert_eq!(states, ["ok", shared]);
    assert!(status["shared"]["requests"].as_u64() > Some(0), "{status}");
    assert!(status["events"]["polls"].is_object(), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_valkey_each_replica_admits_its_share_and_no_call_fails() {
    let Some(mut sharing) = SharingFleet::start() else {
        return skipped("Valkey or PostgreSQL");
    };
    let draft = json!({"name": "a", "allow": ["any"], "rate": "1200/min"});
    let secret = Arc::new(made(&sharing.gateways()[0], draft).await);
    let any = |call| call % REPLICAS;
    let calls = (150, Duration::from_secs(2));
    let first = offer(sharing.gateways(), &secret, calls, any).await;
    assert_eq!(first.0, first.1);
    check_status(&sharing.gateways()[0], "ok").await;
    // The kill happens while calls are under way.
    let SharingFleet { valkey, fleet } = &mut sharing;
    let killing = async {
        pass(calls.1 / 4).await;
        valkey.kill();
    };
    let ((offered, admitted), ()) =
        tokio::join!(offer(&fleet.gateways, &secret, calls, any), killing);
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
            .filter(|line| line.contains("shared counts can't be reached"));
        assert_eq!(said.count(), 1, "{lines:?}");
        check_status(gateway, "unavailable").await;
    }
    // Each replica has a third of the limit: what remains of 400 immediate calls, and 400 a minute.
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
