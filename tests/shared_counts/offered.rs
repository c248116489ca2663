//! Makes calls at a fixed rate.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{IN_FLIGHT, read};
use crate::harness::{Answer, Gateway, client, pass};

/// A call that was admitted, or refused because of the limit.
pub(super) struct OfferedCall {
    pub(super) began: Instant,
    pub(super) took: Duration,
    pub(super) is_admitted: bool,
}

/// Makes this many calls a second for this long, each at the gateway that `pick` returns. All calls have to be admitted or refused
/// because of the limit. If a gateway is slower, fewer calls are made.
pub(super) async fn make_calls(
    gateways: &[Gateway],
    secret: &str,
    (per_second, lasting): (u64, Duration),
    pick: impl Fn(usize) -> usize,
) -> Vec<OfferedCall> {
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
                let (_place, began) = (place, Instant::now());
                let answer = call.await;
                assert!(matches!(answer.status, 200 | 429), "{}", answer.body);
                OfferedCall {
                    began,
                    took: began.elapsed(),
                    is_admitted: answer.status == 200,
                }
            });
            offered += 1;
            if began.elapsed() >= lasting {
                break;
            }
        }
        pass(Duration::from_millis(5)).await;
    }
    let calls = calls.join_all().await;
    println!("{offered} calls, p99 {:?}", p99(&calls));
    calls
}

/// Makes such calls and returns the number of offered and of admitted calls.
pub(super) async fn offer(
    gateways: &[Gateway],
    secret: &str,
    calls: (u64, Duration),
    pick: impl Fn(usize) -> usize,
) -> (usize, usize) {
    let calls = make_calls(gateways, secret, calls, pick).await;
    let admitted = calls.iter().filter(|call| call.is_admitted);
    (calls.len(), admitted.count())
}

/// Returns the 99th percentile of the calls' times.
pub(super) fn p99<'a>(calls: impl IntoIterator<Item = &'a OfferedCall>) -> Duration {
    let mut times: Vec<_> = calls.into_iter().map(|call| call.took).collect();
    times.sort();
    times[times.len() * 99 / 100]
}
