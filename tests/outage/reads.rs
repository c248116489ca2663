//! Checks that a read asks PostgreSQL for nothing, by the gateway's system calls.

use std::time::Instant;

use super::stage::{Stage, linked};
use crate::harness::{Answer, Cluster, Trace, skipped};

const READS: usize = 1000;
const SENDS: usize = 20;

/// Minimum number of writes for each send: the lookup of its key, its beginning and its end.
const WRITES_OF_A_SEND: usize = 3;

/// Writes a second that depend on time, not on the number of calls: ten batches of journal rows, each in two or three writes, and
/// heartbeats. On a busy machine the reads take so long that these are the majority.
const WRITES_A_SECOND: usize = 35;

#[tokio::test(flavor = "multi_thread")]
async fn a_read_sends_no_query_to_the_database() {
    let Some(cluster) = Cluster::start().await else {
        return skipped("PostgreSQL");
    };
    let (link, url) = linked(&cluster);
    let stage = Stage::of(1, &url).await;
    let gateway = &stage.gateways[0].process;
    let Some(trace) = Trace::of(gateway) else {
        return skipped(Trace::NEEDS);
    };
    for number in 0..SENDS {
        let answer = Answer::of(stage.keyed(0, &format!("send-{number}"))).await;
        assert!(answer.body.contains("delivery"), "{}", answer.body);
    }
    let of_sends = trace.written_to(link.address);
    assert!(of_sends >= WRITES_OF_A_SEND * SENDS, "{of_sends}");

    let (trace, began) = (Trace::of(gateway).unwrap(), Instant::now());
    for _ in 0..READS {
        let answer = Answer::of(stage.read(0)).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    let of_reads = trace.written_to(link.address);
    let by_time = began.elapsed().as_secs_f64() * WRITES_A_SECOND as f64;
    println!(
        "{SENDS} sends wrote {of_sends} times to the database, {READS} reads {of_reads} times"
    );
    assert!(of_reads < READS / 4 + by_time as usize, "{of_reads}");
}
