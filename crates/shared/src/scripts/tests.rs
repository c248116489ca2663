//! Tests the arithmetic of the scripts in a server, on a clock that the test sets.

#![expect(clippy::print_stdout, reason = "a test tells how much it has checked")]

use std::num::NonZeroU32;
use std::time::Duration;

use redis::Pipeline;

use super::Scripts;
use crate::limit::{CountLimit, TakeRequest, TakenCells};
use crate::oracle::OracleLimit;
use crate::test_server::start;

/// Number of decisions that are sent together.
const BATCH: usize = 500;

/// A time of the server in microseconds since 1970, so that the arithmetic uses numbers of realistic size.
const BEGAN_US: u64 = 1_800_000_000_000_000;

/// One of this many requests gives calls back.
const GIVES: u32 = 16;

#[tokio::test]
async fn the_scripts_make_the_same_decisions_as_the_oracle() {
    let Some(server) = start() else { return };
    let is_full = std::env::var_os("CHATGATE_LOAD").is_some_and(|load| load == "full");
    let decisions = if is_full { 1_000_000 } else { 20_000 };
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let scripts = Scripts::with_injected_clock();
    for script in [&scripts.take, &scripts.refund] {
        let loading = script.prepare_invoke();
        loading.load_async(&mut connection).await.unwrap();
    }
    let mut random = numbers();
    let (mut done, mut refused) = (0, 0);
    let rates = [1, 7, 60, 6000, 100_000].into_iter().cycle();
    for (number, per_minute) in rates.enumerate() {
        if done >= decisions {
            break;
        }
        let burst = NonZeroU32::new(per_minute).unwrap();
        let limit = CountLimit::per(burst, Duration::from_secs(60));
        let (batch, expected) = batch(&scripts, &format!("limit:{number}"), limit, &mut random);
        let answers: Vec<(u32, u64, u32)> = batch.query_async(&mut connection).await.unwrap();
        let answers = answers
            .into_iter()
            .map(|(cells, wait_us, remaining)| TakenCells {
                cells,
                wait: Duration::from_micros(wait_us),
                remaining,
            });
        refused += expected.iter().filter(|taken| taken.cells == 0).count();
        done += expected.len();
        let answers: Vec<_> = answers.collect();
        assert_eq!(answers, expected, "{per_minute} a minute");
    }
    println!("{done} decisions, {refused} of them refusals");
    assert!(refused * 10 > done && refused < done, "{refused} of {done}");
}

/// Builds requests about one limit at times that the test chooses, and the oracle's answer to each.
fn batch(
    scripts: &Scripts,
    key: &str,
    limit: CountLimit,
    random: &mut impl FnMut(u32) -> u32,
) -> (Pipeline, Vec<TakenCells>) {
    let mut oracle = OracleLimit::new(limit);
    let (mut at_us, mut batch, mut expected) = (0, redis::pipe(), Vec::new());
    for _ in 0..BATCH {
        // About as often as calls become available again, and occasionally much later.
        let most = limit.interval_us * if random(50) == 0 { 100 } else { 2 };
        // Adds milliseconds too if the range is large.
        at_us += most / 1000 * u64::from(random(1000)) + u64::from(random(1000));
        let clock = BEGAN_US + at_us;
        if random(GIVES) == 0 {
            let cells = 1 + random(3);
            oracle.refund(at_us, cells);
            let gives = batch.cmd("EVALSHA").arg(scripts.refund.get_hash());
            let gives = gives.arg(1).arg(key);
            gives.arg((limit.interval_us, cells, clock)).ignore();
            continue;
        }
        let take_request = TakeRequest {
            needed: 1 + random(3),
            wanted: random(200),
            replicas: 1 + random(4),
        };
        expected.push(oracle.take(at_us, take_request));
        let takes = batch.cmd("EVALSHA").arg(scripts.take.get_hash());
        let takes = takes.arg(1).arg(key);
        takes.arg((limit.interval_us, limit.burst.get()));
        takes.arg((
            take_request.needed,
            take_request.wanted,
            take_request.replicas,
            clock,
        ));
    }
    (batch, expected)
}

/// Returns a generator of numbers below a bound, the same in each run.
fn numbers() -> impl FnMut(u32) -> u32 {
    let mut state = 1_u64;
    move |below| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        u32::try_from(state >> 33).unwrap() % below
    }
}
