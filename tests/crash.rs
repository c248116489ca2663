//! Killed at any instant, over and over: nothing that was told is lost, nothing is sent twice for one key, and every word
//! on delivery is true.

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
    Answer, Chance, Gateway, Issuer, UPSTREAM_ENVIRONMENT, admin, client, is_postgres, load, pass,
    upstream as way_out,
};
use callers::{Asked, Callers, Message};
use ledger::Ledger;
use upstream::Counting;

/// Callers at once, and how long a gateway lives at most, in milliseconds, counted from when it is ready.
const BUSY: (usize, u64) = (12, 500);

/// One life in so many is long and quiet: reads alone, and too few to fill a batch. Nothing makes the journal hurry then but
/// its own clock.
const QUIET: (usize, u64) = (1, 2000);
const QUIET_ONE_IN: u64 = 5;

/// One start in so many is killed before it is ready, within so many milliseconds.
const STILLBORN_ONE_IN: u64 = 8;
const STILLBORN_MS: u64 = 250;

/// Median from the start of the process to the first answer that says ready, in milliseconds: on a machine that has other
/// things to do, and where the whole load is made.
const READY_MS: (usize, usize) = (5000, 500);

/// Over PostgreSQL each kill takes at least a lease until all that it left is closed.
const SHORT_LEASE: &str = "[replicas]\nlease = \"5s\"\n";

impl Chance {
    /// Another stream of chance.
    pub(crate) fn branch(&mut self) -> Chance {
        Chance(self.next())
    }
}

/// The seed: `CHATGATE_SEED`, or another one each time.
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
    /// Whose key file the gateways read.
    _issuer: Issuer,
}

impl Stage {
    async fn set(chance: Chance) -> Stage {
        let (upstream, issuer) = (Counting::start(chance).await, Issuer::new());
        // The oldest rows go while it runs, so that the folder stays small and kills find clearings under way as well.
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

    /// Starts a gateway and waits until it is ready; gives how long that took.
    async fn start(&self) -> (Gateway, Duration) {
        let began = Instant::now();
        let folder = Arc::clone(&self.folder);
        let gateway = Gateway::over(folder, &self.toml, &Stage::environment());
        let ready = format!("http://{}/readyz", gateway.admin);
        assert_eq!(Answer::of(self.client.get(ready)).await.status, 200);
        (gateway, began.elapsed())
    }

    /// Starts a gateway and kills it before anybody has called.
    async fn start_in_vain(&self, chance: &mut Chance) {
        kill_at_start(&self.folder, &self.toml, &Stage::environment(), chance).await;
    }

    /// Lets callers ask until the gateway is killed; gives what they asked, and when it was killed.
    /// Two lives in five have no send; the first of a run has many, so that a run of a few lives has some.
    async fn live_and_die(
        &self,
        gateway: Gateway,
        chance: &mut Chance,
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

/// Starts a gateway over a data folder, and kills it a moment later.
async fn kill_at_start(
    folder: &TempDir,
    toml: &str,
    environment: &[(&str, &str)],
    chance: &mut Chance,
) {
    let process = Gateway::unready(folder, toml, environment);
    pass(Duration::from_millis(chance.below(STILLBORN_MS))).await;
    drop(process);
}

/// Those whose keys were left without an answer ask again, twice: the second time for what the first was told.
async fn ask_again(
    stage: &Stage,
    ledger: &Ledger,
    gateway: &Gateway,
    (asked, chance): (&[Asked], &mut Chance),
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
        // Nobody else is there: an open receipt would be one of the process that was killed.
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
async fn killed_at_any_instant_nothing_acknowledged_is_lost_and_nothing_is_sent_twice() {
    let instants = if is_postgres() {
        load(3, 100)
    } else {
        load(25, 1000)
    };
    let seed = seed();
    println!("crash, seed {seed}");
    let mut chance = Chance(seed);
    let stage = Stage::set(chance.branch()).await;
    let (mut ledger, mut starts) = (Ledger::new(stage.folder.path()), Vec::new());
    let (mut stillborn, began) = (0, Instant::now());
    let (mut gateway, _) = stage.start().await;
    for _ in 0..instants {
        let is_first = starts.is_empty();
        let (asked, killed) = stage.live_and_die(gateway, &mut chance, is_first).await;
        if chance.one_in(STILLBORN_ONE_IN) {
            stage.start_in_vain(&mut chance).await;
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
        // Nobody has killed it since.
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
async fn a_first_start_that_is_killed_leaves_nothing_that_the_next_one_stumbles_over() {
    let (seed, times) = (seed(), load(10, 200));
    let mut chance = Chance(seed);
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
