//! Tests of guesses that arrive at several replicas.

use std::sync::Arc;
use std::time::Instant;

use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{IN_FLIGHT, REPLICAS, SharingFleet, read};
use crate::harness::{Answer, Gateway, client, client_from, load, made, skipped, until};

/// Makes this many guesses for the access `a`, each at the next of these gateways and from the next of this many addresses. Returns
/// the number of checked guesses; all others were refused.
async fn guess(gateways: &[Gateway], guesses: usize, addresses: usize) -> usize {
    let address = |n| format!("127.9.{}.{}", n / 250, 1 + n % 250).parse();
    let clients: Vec<_> = (0..addresses)
        .map(|n| client_from(address(n).unwrap()))
        .collect();
    let (mut calls, in_flight) = (JoinSet::new(), Arc::new(Semaphore::new(IN_FLIGHT)));
    for number in 0..guesses {
        let place = Arc::clone(&in_flight).acquire_owned().await.unwrap();
        let (client, gateway) = (
            &clients[number % addresses],
            &gateways[number % gateways.len()],
        );
        let call = Answer::of(read(client, gateway, &format!("cgs_{number:043}")));
        calls.spawn(async move {
            let _place = place;
            call.await.status
        });
    }
    let statuses = calls.join_all().await;
    let of_status = |status| statuses.iter().filter(|&&found| found == status).count();
    assert_eq!(of_status(401) + of_status(429), guesses);
    of_status(401)
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_share_one_guess_budget_and_the_owner_is_admitted() {
    let Some(sharing) = SharingFleet::start() else {
        return skipped("Valkey or PostgreSQL");
    };
    let (gateways, client) = (sharing.gateways(), client());
    let secret = made(&gateways[0], json!({"name": "a", "allow": ["any"]})).await;
    for gateway in gateways {
        until("it knows the access", async || {
            Answer::of(read(&client, gateway, &secret)).await.status == 200
        })
        .await;
    }
    let (began, guesses) = (Instant::now(), load(300, 100_000));
    let guessing = guess(gateways, guesses, load(100, 500));
    let calling = async {
        let mut admitted = 0;
        for call in 0..load(100, 1000) {
            let answer = Answer::of(read(&client, &gateways[call % REPLICAS], &secret)).await;
            admitted += usize::from(answer.status == 200);
        }
        admitted
    };
    let (checked, admitted) = tokio::join!(guessing, calling);
    println!(
        "{guesses} guesses at {REPLICAS} replicas in {} s: {checked} checked; {admitted} of {} calls of the owner",
        began.elapsed().as_secs(),
        load(100, 1000)
    );
    // The default budget for guesses from inside: three quarters of 40 immediately, and one more every 55 s.
    let trickled = usize::try_from(began.elapsed().as_secs() / 54).unwrap();
    assert!((30..=30 + trickled).contains(&checked), "{checked}");
    assert_eq!(admitted, load(100, 1000));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_loss_of_valkey_does_not_increase_the_guess_budget() {
    let Some(mut sharing) = SharingFleet::start() else {
        return skipped("Valkey or PostgreSQL");
    };
    let draft = json!({"name": "a", "allow": ["any"]});
    made(&sharing.gateways()[0], draft).await;
    let first = guess(sharing.gateways(), 15, 250).await;
    sharing.valkey.kill();
    let all = first + guess(sharing.gateways(), 150, 250).await;
    println!("{first} checked before, {all} in all");
    assert!(first == 15 && all <= 30 + REPLICAS, "{first}, {all}");
}
