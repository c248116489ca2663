//! Tests of a Valkey server that is killed while calls are under way.

use std::time::{Duration, Instant};

use serde_json::json;

use super::offered::{OfferedCall, make_calls, p99};
use super::{OFFERED, REPLICAS, SharingFleet, by_time};
use crate::harness::{assert_within, load, made, pass, skipped};

/// Time before the kill.
const BEFORE: Duration = Duration::from_secs(2);

/// Maximum increase of the call time in the second of the kill over the second before.
const RISES_MOST: Duration = Duration::from_millis(30);

/// Returns the calls that began in the second from this instant on.
fn second(calls: &[OfferedCall], from: Instant) -> impl Iterator<Item = &OfferedCall> {
    let to = from + Duration::from_secs(1);
    let began_then = move |call: &&OfferedCall| from <= call.began && call.began < to;
    calls.iter().filter(began_then)
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_valkey_delays_no_call_and_admits_the_limit_at_most_once_more() {
    // With the default wait for Valkey.
    let Some(mut sharing) = SharingFleet::waiting(REPLICAS, "") else {
        return skipped("Valkey or PostgreSQL");
    };
    let per_minute = load(600, 6000);
    let draft = json!({"name": "a", "allow": ["any"], "rate": format!("{per_minute}/min")});
    let secret = made(&sharing.gateways()[0], draft).await;
    let lasting = Duration::from_secs(u64::try_from(load(4, 60)).unwrap());
    let SharingFleet { valkey, fleet } = &mut sharing;
    let killing = async {
        pass(BEFORE).await;
        let kills = Instant::now();
        tokio::task::block_in_place(|| valkey.kill());
        (kills, Instant::now())
    };
    let offered = (OFFERED, BEFORE + lasting);
    let calls = make_calls(&fleet.gateways, &secret, offered, |call| call % REPLICAS);
    let (calls, (kills, killed)) = tokio::join!(calls, killing);
    let ended = Instant::now();

    let before = p99(second(&calls, kills - Duration::from_secs(1)));
    let then = p99(second(&calls, kills));
    let admitted = calls
        .iter()
        .filter(|call| call.is_admitted && call.began >= killed);
    let (admitted, most) = (admitted.count(), by_time(per_minute, ended - killed));
    println!(
        "killed under load: p99 {before:?} in the second before, {then:?} in that of the kill; {admitted} of {per_minute} a minute \
         admitted in {:.0?} from then on, {most} due",
        ended - killed
    );
    assert_within(then, before + RISES_MOST);
    assert!(admitted <= most, "{admitted} of {most}");
}
