//! Callers that send all the time, each message up to three times under its key at any replica, and the checks of the results
//! afterwards.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::stage::Stage;
use crate::harness::{Answer, SplitMix64, assert_within, callers_id, pass, rows};

/// Number of concurrent callers.
const CALLERS: usize = 6;

/// Maximum number of requests per key.
const ASKED: u64 = 3;

/// Maximum time of a refusal: the store's own maximum and a margin.
pub(crate) const ANSWER_MAX: Duration = Duration::from_millis(3_200);

/// Maximum time of any answer: three seconds until the row of a send is on the disk, five for its outcome, and a margin.
const SETTLED_MAX: Duration = Duration::from_secs(9);

/// Maximum time for which a key may count as under way after everything has recovered: a lease, the pauses of reaper and sweep, and
/// a margin.
const OPEN_MAX: Duration = Duration::from_secs(15);

/// One request and its answer.
#[derive(Debug)]
pub(crate) struct Asked {
    id: String,
    /// The message of a send, or `None` for a read.
    mark: Option<String>,
    has_key: bool,
    took: Duration,
    status: u16,
    code: String,
    delivery: String,
    is_replayed: bool,
    retry_after: String,
}

impl Asked {
    fn is_sent(&self) -> bool {
        self.delivery == "sent" && !self.is_replayed
    }

    fn is_open(&self) -> bool {
        self.code == "IDEMPOTENCY_IN_PROGRESS"
    }
}

/// The results of the checks.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) keys: usize,
    pub(crate) sent: usize,
    pub(crate) not_sent: usize,
    pub(crate) unknown: usize,
    /// Answers of 5xx without a time to retry.
    pub(crate) failed: usize,
    /// Messages that the upstream took twice under one key.
    pub(crate) doubled: usize,
    /// Sends that were answered but have no row.
    pub(crate) lost: usize,
    /// The longest time of a refused send or a read.
    pub(crate) slowest: Duration,
}

pub(crate) struct Storm {
    stage: Arc<Stage>,
    ends: Arc<AtomicBool>,
    numbers: Arc<AtomicU64>,
    callers: JoinSet<Vec<Asked>>,
}

impl Storm {
    /// Starts the callers. Replicas are not killed here, so no connection breaks.
    pub(crate) fn over(stage: &Arc<Stage>, mut chance: SplitMix64) -> Storm {
        let mut storm = Storm {
            stage: Arc::clone(stage),
            ends: Arc::default(),
            numbers: Arc::clone(&stage.numbers),
            callers: JoinSet::new(),
        };
        for _ in 0..CALLERS {
            let (stage, ends) = (Arc::clone(stage), Arc::clone(&storm.ends));
            let (numbers, chance) = (Arc::clone(&storm.numbers), chance.branch());
            storm
                .callers
                .spawn(async move { call_on(&stage, &ends, &numbers, chance).await });
        }
        storm
    }

    /// Stops the callers and returns all their requests.
    pub(crate) async fn end(self) -> (Vec<Asked>, Arc<Stage>) {
        self.ends.store(true, Ordering::SeqCst);
        let asked = self.callers.join_all().await;
        (asked.into_iter().flatten().collect(), self.stage)
    }
}

async fn call_on(
    stage: &Stage,
    ends: &AtomicBool,
    numbers: &AtomicU64,
    mut chance: SplitMix64,
) -> Vec<Asked> {
    let mut all = Vec::new();
    while !ends.load(Ordering::SeqCst) {
        if chance.one_in(5) {
            all.push(ask(stage, None, false, numbers, &mut chance).await);
            continue;
        }
        let number = numbers.fetch_add(1, Ordering::Relaxed);
        let (mark, has_key) = (format!("mark-{number}"), !chance.one_in(4));
        let times = if has_key { 1 + chance.below(ASKED) } else { 1 };
        for _ in 0..times {
            let asked = ask(stage, Some(&mark), has_key, numbers, &mut chance).await;
            all.push(asked);
        }
    }
    all
}

async fn ask(
    stage: &Stage,
    mark: Option<&str>,
    has_key: bool,
    numbers: &AtomicU64,
    chance: &mut SplitMix64,
) -> Asked {
    let replica = usize::try_from(chance.below(stage.gateways.len() as u64)).unwrap();
    let id = format!("ask-{}", numbers.fetch_add(1, Ordering::Relaxed));
    let request = match mark {
        None => stage.read(replica),
        Some(mark) if has_key => stage.keyed(replica, mark),
        Some(mark) => stage.send(replica, mark),
    };
    let began = Instant::now();
    let answer = Answer::of(request.header("X-Request-ID", &id)).await;
    let said = answer.json();
    let text = |name: &str| said[name].as_str().unwrap_or_default().to_owned();
    Asked {
        id,
        mark: mark.map(str::to_owned),
        has_key,
        took: began.elapsed(),
        status: answer.status,
        code: text("error"),
        delivery: text("delivery"),
        is_replayed: answer.header("idempotent-replayed") == "true",
        retry_after: answer.header("retry-after").to_owned(),
    }
}

/// Compares the requests with the upstream's messages and with the journal, after everything has recovered.
pub(crate) async fn judge(stage: &Stage, asked: &[Asked]) -> Verdict {
    let mut verdict = Verdict::default();
    let mut keys: HashMap<&str, Vec<&Asked>> = HashMap::new();
    for asked in asked {
        if asked.mark.is_none() || asked.code == "OVERLOADED" {
            verdict.slowest = verdict.slowest.max(asked.took);
        }
        assert_within(asked.took, SETTLED_MAX);
        let comes_again = asked.code == "OVERLOADED" && !asked.retry_after.is_empty();
        verdict.failed += usize::from(asked.status >= 500 && !comes_again);
        match &asked.mark {
            None => assert_eq!(asked.status, 200, "reads are served: {asked:?}"),
            Some(mark) => keys.entry(mark).or_default().push(asked),
        }
    }
    verdict.keys = keys.len();
    for (mark, asked) in &keys {
        judge_key(stage, mark, asked, &mut verdict);
    }
    check_keys_are_settled(stage, &keys, &mut verdict).await;
    let rows = rows(&stage.gateways[0], "").await;
    let rows: HashMap<&str, &serde_json::Value> = rows
        .iter()
        .filter_map(|row| Some((callers_id(row)?, row)))
        .collect();
    for asked in asked.iter().filter(|asked| asked.is_sent()) {
        let row = rows.get(&*asked.id);
        verdict.lost += usize::from(row.is_none());
        let open = row.is_some_and(|row| row["open"] == true);
        assert!(!open, "left open: {asked:?}");
    }
    println!("{verdict:?}");
    verdict
}

fn judge_key(stage: &Stage, mark: &str, asked: &[&Asked], verdict: &mut Verdict) {
    let taken = stage.upstream.taken(mark);
    verdict.doubled += usize::from(taken > 1);
    for asked in asked {
        match &*asked.delivery {
            "sent" => {
                verdict.sent += 1;
                assert!(taken >= 1, "sent, and never taken: {asked:?}");
            }
            "unknown" => verdict.unknown += 1,
            "not_sent" => {
                verdict.not_sent += 1;
                let is_refusal = asked.code == "OVERLOADED";
                assert!(!is_refusal || !asked.retry_after.is_empty(), "{asked:?}");
                assert!(
                    asked.has_key || taken == 0,
                    "not sent, and taken: {asked:?}"
                );
            }
            _ => panic!("no word on delivery: {asked:?}"),
        }
    }
    let is_never = asked.iter().all(|asked| asked.delivery == "not_sent");
    // A send that is under way may have been taken.
    let is_open = asked.iter().any(|asked| asked.is_open());
    assert!(
        !is_never || is_open || taken == 0,
        "never sent, and taken: {asked:?}"
    );
}

/// Checks that no key stays under way. One more request sends a message that was never sent, and does not repeat one that was.
async fn check_keys_are_settled(
    stage: &Stage,
    keys: &HashMap<&str, Vec<&Asked>>,
    verdict: &mut Verdict,
) {
    let began = Instant::now();
    let open = keys.iter().filter(|(_, asked)| {
        let has_ended = |asked: &&&Asked| !asked.is_open() && asked.delivery != "not_sent";
        asked[0].has_key && !asked.iter().any(|asked| has_ended(&asked))
    });
    for (mark, asked) in open {
        let taken = stage.upstream.taken(mark);
        loop {
            let answer = Answer::of(stage.keyed(0, mark)).await;
            let said = answer.json();
            if said["error"] != "IDEMPOTENCY_IN_PROGRESS" {
                verdict.doubled += usize::from(taken == 1 && stage.upstream.taken(mark) > 1);
                break;
            }
            assert!(began.elapsed() < OPEN_MAX, "under way: {asked:?}");
            pass(Duration::from_millis(100)).await;
        }
    }
}
