//! Tests of another version's binary and this one over one schema. `CHATGATE_OTHER_BINARY` names the other binary; `tests/mixed`
//! sets it to that of the last release. Without it, this binary is used for both.

use std::sync::Arc;
use std::time::Duration;

use crate::crash::seed;
use crate::harness::{SERVER, SplitMix64, binary, load, pass, skipped};
use crate::outage::stage::{BY_BINARY, Stage};
use crate::outage::storm::{Storm, Verdict, judge};

/// Seconds of load over both binaries.
const LASTING_S: (usize, usize) = (6, 60);

/// Two replicas of one binary create the tables and serve. Then two replicas of another binary join them, and all four serve.
async fn join(first: &str, second: &str) -> Option<[Verdict; 2]> {
    let url = SERVER.as_ref()?.new_database();
    let half = Duration::from_millis(500 * load(LASTING_S.0, LASTING_S.1) as u64);
    let mut chance = SplitMix64(seed());
    let by_first = [(BY_BINARY, first)];
    let alone: Vec<_> = (0..2).map(|_| (url.clone(), &by_first[..])).collect();
    let stage = Arc::new(Stage::over(&alone).await);
    stage.upstream.think(Duration::from_millis(1));

    let storm = Storm::over(&stage, chance.branch());
    let by_second = [(BY_BINARY, second)];
    let joining = || [0; 2].map(|_| stage.replica(&url, &by_second));
    let joined = tokio::task::block_in_place(joining);
    drop(stage);
    pass(half).await;
    let (asked, stage) = storm.end().await;
    let before = judge(&stage, &asked).await;

    let mut stage = Arc::into_inner(stage).unwrap();
    stage.gateways.extend(joined);
    let stage = Arc::new(stage);
    let storm = Storm::over(&stage, chance.branch());
    pass(half).await;
    let (asked, stage) = storm.end().await;
    Some([before, judge(&stage, &asked).await])
}

#[tokio::test(flavor = "multi_thread")]
async fn two_versions_over_one_schema_double_no_send_and_fail_no_call() {
    let other = std::env::var_os("CHATGATE_OTHER_BINARY").map(|other| other.into_string().unwrap());
    let other = other.as_deref().unwrap_or(binary());
    for (first, second) in [(other, binary()), (binary(), other)] {
        let Some(verdicts) = join(first, second).await else {
            return skipped("PostgreSQL");
        };
        for verdict in verdicts {
            println!(
                "mixed, {first} joined by {second}: {} sends and {} refused as not sent, {} of 5xx, {} doubled, {} lost",
                verdict.sent, verdict.not_sent, verdict.failed, verdict.doubled, verdict.lost
            );
            assert_eq!((verdict.failed, verdict.doubled, verdict.lost), (0, 0, 0));
            assert!(verdict.sent > 0);
        }
    }
}
