//! What a read asks of PostgreSQL: nothing, as the calls to the system show that a gateway makes meanwhile.

use std::path::Path;
use std::process::Command;

use super::stage::{Stage, linked};
use crate::harness::{Answer, Cluster, Process, skipped};

const READS: usize = 1000;
const SENDS: usize = 20;

/// Writes that each send needs at least: the look-up of its key, its beginning and its end.
const WRITES_OF_A_SEND: usize = 3;

/// strace at a gateway.
struct Trace {
    process: Process,
    folder: tempfile::TempDir,
}

impl Trace {
    /// Attaches to a gateway; nothing where this user may not.
    fn of(gateway: &Process) -> Option<Trace> {
        let folder = tempfile::tempdir().unwrap();
        let mut strace = Command::new("strace");
        strace.args(["-f", "-yy", "-e", "trace=write,writev,sendto,sendmsg", "-o"]);
        strace.arg(folder.path().join("calls"));
        strace.args(["-p", &gateway.id().to_string()]);
        let process = Process::of(strace, &[]);
        let said = process.wait_for("the trace", |line| line.starts_with("strace: "));
        said.contains(" attached")
            .then_some(Trace { process, folder })
    }

    /// Detaches, and says how often something was written to this port.
    fn written_to(self, port: u16) -> usize {
        self.process.signal("INT");
        let Trace { process, folder } = self;
        process.ended();
        let calls = std::fs::read_to_string(folder.path().join("calls")).unwrap();
        calls.matches(&format!("->127.0.0.1:{port}]")).count()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_asks_the_database_for_nothing() {
    let Some(cluster) = Cluster::start().await else {
        return skipped("PostgreSQL");
    };
    if !Path::new("/usr/bin/strace").exists() {
        return skipped("Debian's package strace");
    }
    let (link, url) = linked(&cluster);
    let stage = Stage::of(1, &url).await;
    let gateway = &stage.gateways[0].process;
    let Some(trace) = Trace::of(gateway) else {
        return skipped("the right to trace a process");
    };
    for number in 0..SENDS {
        let answer = Answer::of(stage.keyed(0, &format!("send-{number}"))).await;
        assert!(answer.body.contains("delivery"), "{}", answer.body);
    }
    let of_sends = trace.written_to(link.address.port());
    assert!(of_sends >= WRITES_OF_A_SEND * SENDS, "{of_sends}");

    let trace = Trace::of(gateway).unwrap();
    for _ in 0..READS {
        let answer = Answer::of(stage.read(0)).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    // What is written goes by the time: heartbeats, and ten batches of journal rows a second at most.
    let of_reads = trace.written_to(link.address.port());
    println!(
        "{SENDS} sends wrote {of_sends} times to the database, {READS} reads {of_reads} times"
    );
    assert!(of_reads < READS / 4, "{of_reads}");
}
