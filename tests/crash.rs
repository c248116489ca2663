//! Kills the gateway at any instant, many times: no reported result is lost, nothing is sent twice for one key, and every delivery
//! word is true.

pub(crate) mod callers;
mod disk;
pub(crate) mod ledger;
pub(crate) mod upstream;

use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{
    Answer, Gateway, Issuer, SplitMix64, UPSTREAM_ENVIRONMENT, admin, client, is_postgres, load,
    pass, upstream as way_out,
};
use callers::{Asked, Callers, Message};
use ledger::Ledger;
use upstream::Counting;

/// The number of concurrent callers, and the maximum life of a gateway in milliseconds, counted from readiness.
const BUSY: (usize, u64) = (12, 500);

/// The same for long and quiet lives: one caller that only reads, too rarely to fill a batch. Then only its own clock makes the
/// journal write.
const QUIET: (usize, u64) = (1, 2000);
const QUIET_ONE_IN: u64 = 5;

/// One start in this many is killed before it is ready, within this many milliseconds.
const STILLBORN_ONE_IN: u64 = 8;
const STILLBORN_MS: u64 = 250;

/// Maximum median time from the start of the process to the first ready answer, in milliseconds: on a busy machine, and for the
/// full load.
const READY_MS: (usize, usize) = (5000, 500);

/// Over PostgreSQL, everything that a kill left open is closed only after a lease.
const SHORT_LEASE: &str = "[replicas]\nlease = \"5s\"\n";

impl SplitMix64 {
    /// Returns another stream of random numbers.
    pub(crate) fn branch(&mut self) -> SplitMix64 {
        SplitMix64(self.next())
    }
}

/// Returns the seed: `CHATGATE_SEED`, or a new one each time.
pub(crate) fn seed() -> u64 {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_micros();
    match std::env::var_os("CHATGATE_SEED") {
        Some(seed) => seed.to_str().unwrap().parse().unwrap(),
        None => u64::try_from(now).unwrap(),
    }
}

struct Stage {
    folder: Arc<TempDir>,
    toml: String,
    client: reqwest::Client,
    callers: Arc<Callers>,
    upstream: Counting,
    /// The issuer whose key file the gateways read.
    _issuer: Issuer,
}

impl Stage {
    async fn set(chance: SplitMix64) -> Stage {
        let (upstream, issuer) = (Counting::start(chance).await, Issuer::new());
        // The oldest rows are deleted while the gateway runs, so that the folder stays small and kills also interrupt deletions.
        let toml = format!(
            "{}[limits]\nper_address_per_minute = 4000000000\n[cache]\ngetchats = \"0s\"\n[log]\nlevel = \"warn\"\n\
             [journal]\nbytes = \"16MiB\"\n{}{}{}",
            way_out(upstream.address),
            if is_postgres() { SHORT_LEASE } else { "" },
            issuer.as_configuration(),
            callers::accesses()
        );
        Stage {
            folder: Arc::new(TempDir::new().unwrap()),
            toml,
            client: client(),
            callers: Arc::new(Callers::new(&issuer)),
            upstream,
            _issuer: issuer,
        }
    }

    fn environment() -> Vec<(&'static str, &'static str)> {
        let accesses = callers::environment().into_iter();
        accesses.chain([UPSTREAM_ENVIRONMENT]).collect()
    }

    /// Starts a gateway and waits until it is ready. Returns the time that it took.
    async fn start(&self) -> (Gateway, Duration) {
        let began = Instant::now();
        let folder = Arc::clone(&self.folder);
        let gateway = Gateway::over(folder, &self.toml, &Stage::environment());
        let ready = format!("http://{}/readyz", gateway.admin);
        assert_eq!(Answer::of(self.client.get(ready)).await.status, 200);
        (gateway, began.elapsed())
    }

    /// Starts a gateway and kills it before it gets a call.
    async fn start_and_kill_before_a_call(&self, chance: &mut SplitMix64) {
        kill_at_start(&self.folder, &self.toml, &Stage::environment(), chance).await;
    }

    /// Lets callers make requests until the gateway is killed. Returns the requests and the time of the kill. Two lives in five
    /// have no send. The first life of a run has many sends, so that a run of a few lives has some.
    async fn run_until_killed(
        &self,
        gateway: Gateway,
        chance: &mut SplitMix64,
        is_first: bool,
    ) -> (Vec<Asked>, Instant) {
        let is_quiet = chance.one_in(QUIET_ONE_IN) && !is_first;
        let (callers, longest) = if is_quiet { QUIET } else { BUSY };
        let sends_of_ten = match chance.below(4) {
            _ if is_first => 8,
            _ if is_quiet => 0,
            kind => [0, 2, 5, 8][usize::try_from(kind).unwrap()],
        };
        let lives = if is_first {
            longest
        } else {
            chance.below(longest)
        };
        let address = gateway.public;
        let mut asking = tokio::task::JoinSet::new();
        for _ in 0..callers {
            let (callers, chance) = (Arc::clone(&self.callers), chance.branch());
            asking.spawn(async move { callers.ask_on(address, chance, sends_of_ten).await });
        }
        pass(Duration::from_millis(lives)).await;
        let killed = Instant::now();
        drop(gateway);
        (
            asking.join_all().await.into_iter().flatten().collect(),
            killed,
        )
    }
}

/// Starts a gateway over a data folder and kills it a moment later.
async fn kill_at_start(
    folder: &TempDir,
    toml: &str,
    environment: &[(&str, &str)],
    chance: &mut SplitMix64,
) {
    let process = Gateway::unready(folder, toml, environment);
    pass(Duration::from_millis(chance.below(STILLBORN_MS))).await;
    drop(process);
}

/// Asks twice again for each key that was left without an answer. The second time has to return the first result.
async fn ask_again(
    stage: &Stage,
    ledger: &Ledger,
    gateway: &Gateway,
    (asked, chance): (&[Asked], &mut SplitMix64),
) -> Vec<Asked> {
    let mut open: Vec<Message> = asked
        .iter()
        .filter_map(|asked| asked.message.clone())
        .filter(|message| ledger.is_left_open(message))
        .collect();
    open.sort_by(|a, b| a.mark.cmp(&b.mark));
    open.dedup_by(|a, b| a.mark == b.mark);
    let mut again = Vec::new();
    for message in open {
        let first = stage
            .callers
            .ask(gateway.public, chance, Some(message.clone()));
        let first = first.await;
        let second = stage.callers.ask(gateway.public, chance, Some(message));
        let second = second.await;
        let reported = |asked: &Asked| {
            asked
                .reported
                .as_ref()
                .map(|reported| reported.code.clone())
        };
        // Nobody else calls, so an open receipt would belong to the killed process.
        let under_way = Some("IDEMPOTENCY_IN_PROGRESS".to_owned());
        assert!(
            reported(&first) != under_way && reported(&second) != under_way,
            "{first:?} {second:?}"
        );
        again.extend([first, second]);
    }
    again
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_at_any_instant_lose_no_acknowledged_result_and_double_no_send() {
    let instants = if is_postgres() {
        load(3, 100)
    } else {
        load(25, 1000)
    };
    let seed = seed();
    println!("crash, seed {seed}");
    let mut chance = SplitMix64(seed);
    let stage = Stage::set(chance.branch()).await;
    let (mut ledger, mut starts) = (Ledger::new(stage.folder.path()), Vec::new());
    let (mut stillborn, began) = (0, Instant::now());
    let (mut gateway, _) = stage.start().await;
    for _ in 0..instants {
        let is_first = starts.is_empty();
        let (asked, killed) = stage.run_until_killed(gateway, &mut chance, is_first).await;
        if chance.one_in(STILLBORN_ONE_IN) {
            stage.start_and_kill_before_a_call(&mut chance).await;
            stillborn += 1;
        }
        let (next, took) = stage.start().await;
        starts.push(took);
        if is_postgres() {
            ledger.wait_for_outcomes(&next, &stage.client).await;
        }
        let (client, upstream) = (&stage.client, &stage.upstream);
        ledger
            .check(&next, client, upstream, (&asked, killed))
            .await;
        let again = ask_again(&stage, &ledger, &next, (&asked, &mut chance)).await;
        // No kill has happened since.
        ledger
            .check(&next, client, upstream, (&again, Instant::now()))
            .await;
        gateway = next;
    }
    starts.sort();
    let (median, slowest) = (starts[starts.len() / 2], starts[starts.len() - 1]);
    println!(
        "crash, seed {seed}: {instants} kills and {stillborn} before the start was over, in {:.0?}: {:?}; the upstream took {} \
         messages; ready after {median:.0?} (median), {slowest:.0?} (slowest)",
        began.elapsed(),
        ledger.counts,
        stage.upstream.all_taken()
    );
    let counts = &ledger.counts;
    assert!(
        counts.replayed > 0 && counts.unanswered > instants,
        "{counts:?}"
    );
    let most = Duration::from_millis(load(READY_MS.0, READY_MS.1) as u64);
    assert!(median <= most, "{median:?}");
}

#[tokio::test]
async fn a_gateway_starts_and_serves_after_a_killed_first_start() {
    let (seed, times) = (seed(), load(10, 200));
    let mut chance = SplitMix64(seed);
    let mut unmade = 0;
    for _ in 0..times {
        let folder = Arc::new(TempDir::new().unwrap());
        kill_at_start(&folder, "", &[], &mut chance).await;
        unmade += usize::from(!folder.path().join("data/demo.json").exists());
        let gateway = Gateway::over(folder, "", &[]);
        let demo = gateway.demo();
        let call = client().get(gateway.url("/api/basic/?class=chat&method=getchatchannels"));
        let call = call.basic_auth(&demo.user, Some(&demo.password));
        let answer = Answer::of(call).await;
        assert!(
            answer.body.contains("SUCCESS"),
            "seed {seed}: {}",
            answer.body
        );
        let status = admin(&gateway, Method::GET, "status", &Value::Null);
        assert_eq!(status.await.status, 200, "seed {seed}");
    }
    println!(
        "{times} first starts killed, seed {seed}: {unmade} before there was a demo access; all came up the second time"
    );
}
