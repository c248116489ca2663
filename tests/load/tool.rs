//! The attacks of a published tool, slowhttptest: slow heads, slow bodies and slow readers.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::client::Callers;
use super::upstream::Upstream;
use super::{DEADLINES, ENVIRONMENT, configuration, is_measured, ms, quiet, read};
use crate::harness::{Gateway, load, pass, skipped};

/// The three attacks: the tool's options and the path.
const ATTACKS: [(&[&str], &str); 3] = [
    (&["-H", "-x", "24"], "/api/http/"),
    (&["-B", "-s", "8192", "-x", "10"], "/api/http/"),
    (
        &["-X", "-w", "10", "-y", "20", "-n", "1", "-z", "16"],
        "/api/soap/?wsdl",
    ),
];

/// Maximum run time of the tool in seconds, unless it loses all connections before: ten seconds to open them, and the time of a
/// deadline and the idle timeout after it.
const LONGEST_S: u64 = 35;

fn attack(to: SocketAddr, (how, path): (&[&str], &str), count: usize, a_second: usize) -> Child {
    let limited = "ulimit -n \"$(ulimit -H -n)\" && exec slowhttptest \"$@\"";
    let mut command = Command::new("sh");
    command.args(["-c", limited, "slowhttptest"]).args(how);
    command.args(["-i", "1", "-p", "3", "-v", "1"]);
    command.args(["-c", &count.to_string(), "-r", &a_second.to_string()]);
    command.args([
        "-l",
        &LONGEST_S.to_string(),
        "-u",
        &format!("http://{to}{path}"),
    ]);
    let quiet = command.stdin(Stdio::null()).stderr(Stdio::null());
    quiet.stdout(Stdio::piped()).spawn().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slowhttptest_attacks_do_not_block_other_callers() {
    if Command::new("slowhttptest").arg("-h").output().is_err() {
        skipped("there is no slowhttptest; run tests/setup first");
        return;
    }
    let (count, files) = (load(300, 3334), load(512, 4096));
    let upstream = Upstream::start(256, Duration::from_millis(20)).await;
    // The whole attack comes from one address, so the limit per address is raised: it must not be what stops the attack.
    let limits = format!("{DEADLINES}connections_per_address = 10000\n");
    let toml = configuration(upstream.address, &limits);
    let gateway = Gateway::with_files(u32::try_from(files).unwrap(), &toml, &ENVIRONMENT);
    let callers = Callers::start(gateway.public, 20, Duration::from_millis(50), read);
    let mut quiet = quiet(&callers).await;
    let began = Instant::now();
    let to = gateway.public;
    let mut attacks = ATTACKS.map(|how| attack(to, how, count, count / 10));
    let (mut most, mut last) = (0, 0);
    while attacks
        .iter_mut()
        .any(|tool| tool.try_wait().unwrap().is_none())
    {
        pass(Duration::from_millis(100)).await;
        last = gateway.process.descriptors();
        most = most.max(last);
    }
    let over = began.elapsed();
    let mut met = callers.met();
    callers.stop().await;
    let ratio = ms(met.at(990)) / ms(quiet.at(990));
    println!(
        "load: slowhttptest -H, -B and -X with {count} connections each against {files} files, over after {over:?}, {most} files open at most and {last} in the end: callers served {:.2} of \
         1000 in {}, p99 {:.1} ms after {:.1} ms, ratio {ratio:.2}",
        met.served_per_mille(),
        met.served.len() + met.failed,
        ms(met.at(990)),
        ms(quiet.at(990)),
    );
    for (tool, (how, _)) in attacks.into_iter().zip(ATTACKS) {
        let reported = tool.wait_with_output().unwrap().stdout;
        let reported = String::from_utf8_lossy(&reported);
        // A slow reader's data is in the system's buffers by then, and the gateway has closed its connection already.
        let is_over = how[0] == "-X" || reported.contains("No open connections left");
        assert!(is_over, "{how:?}: {reported}");
    }
    assert!(most > count && last < count, "{most}, in the end {last}");
    assert!(met.served_per_mille() >= 999.0, "{} failed", met.failed);
    assert!(!is_measured() || ratio <= 2.0, "{ratio}");
}
