//! Measures what open live tails cost the gateway while calls come in.

use std::time::Duration;

use tokio::task::JoinSet;

use super::Visitor;
use crate::harness::{Gateway, Sandbox, UPSTREAM_ENVIRONMENT, load, pass};
use crate::load::client::Callers;

/// Number of tails that are open at the same time.
const TABS: usize = 10;

/// The number of callers, and the pause between two calls of one of them: a thousand calls a second in all.
const CALLERS: usize = 50;
const PACE: Duration = Duration::from_millis(50);

/// The number of rounds on every day and for a release, each without tails and then with tails, and the length of a round.
const ROUNDS: (usize, usize) = (2, 6);
const ROUND: Duration = Duration::from_secs(3);

/// Maximum extra processor time per call that tails may cause, in percent, where the published binary is measured.
const COST_MAX: f64 = 5.0;

/// Returns the processor time that a process has used so far, in ticks of a hundredth of a second.
fn ticks(id: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    // The process name, in parentheses, may contain blanks; the 14th and 15th fields are the user and the system time.
    let fields: Vec<_> = stat
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// Runs one round and returns the number of served calls and the ticks that they took.
async fn round(gateway: &Gateway, callers: &Callers) -> (usize, u64) {
    callers.met();
    let before = ticks(gateway.process.id());
    pass(ROUND).await;
    (
        callers.met().served.len(),
        ticks(gateway.process.id()) - before,
    )
}

async fn open_tails(visitor: &Visitor<'_>) -> JoinSet<usize> {
    let mut tails = JoinSet::new();
    for _ in 0..TABS {
        let mut tail = visitor.get("/console/journal/events").send().await.unwrap();
        assert_eq!(tail.status(), 200);
        tails.spawn(async move {
            let mut bytes = 0;
            while let Ok(Some(chunk)) = tail.chunk().await {
                bytes += chunk.len();
            }
            bytes
        });
    }
    tails
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_live_tails_cost_at_most_a_twentieth_of_the_calls() {
    // Only the published binary has to meet the promised figure.
    let is_measured = load(0, 1) == 1 && std::env::var_os("CHATGATE_BINARY").is_some();
    let sandbox = Sandbox::start();
    let toml = format!(
        "{}[[accesses]]\nname = \"a\"\nuser = \"a\"\npassword = \"env:A\"\nallow = [\"127.0.0.0/8\"]\n\
         [log]\nlevel = \"warn\"\n[limits]\nper_address_per_minute = 1000000\n",
        sandbox.as_upstream()
    );
    let gateway = Gateway::configured(&toml, &[UPSTREAM_ENVIRONMENT, ("A", "correct horse")]);
    let visitor = Visitor::first(&gateway).await;
    let request = |_: usize| {
        let query = "class=chat&method=getchatchannels&user=a&password=correct%20horse";
        format!("GET /api/http/?{query} HTTP/1.1\r\nHost: x\r\n\r\n").into_bytes()
    };
    let callers = Callers::start(gateway.public, CALLERS, PACE, request);
    round(&gateway, &callers).await;
    let (mut without, mut with) = ((0, 0), (0, 0));
    for _ in 0..load(ROUNDS.0, ROUNDS.1) {
        let (calls, spent) = round(&gateway, &callers).await;
        without = (without.0 + calls, without.1 + spent);
        let mut tails = open_tails(&visitor).await;
        let (calls, spent) = round(&gateway, &callers).await;
        with = (with.0 + calls, with.1 + spent);
        tails.abort_all();
        while tails.join_next().await.is_some() {}
    }
    callers.stop().await;
    let each = |(calls, spent): (usize, u64)| spent as f64 * 10_000.0 / calls.max(1) as f64;
    let cost = 100.0 * (each(with) / each(without) - 1.0);
    println!(
        "tails: {TABS} of them over {} calls, {:.0} µs of processor a call without and {:.0} with: {cost:.1} % more",
        without.0 + with.0,
        each(without),
        each(with)
    );
    assert!(without.0 > 0 && with.0 > 0);
    // In any build and on any machine, tails cost less than the calls themselves.
    let most = if is_measured { COST_MAX } else { 100.0 };
    assert!(cost <= most, "{cost:.1} %");
}
