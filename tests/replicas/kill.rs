//! Kills a replica every second while each key is used three times, at any replica, by any way in.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::crash::callers::{self, Asked, Callers, Message};
use crate::crash::ledger::Ledger;
use crate::crash::seed;
use crate::crash::upstream::Counting;
use crate::harness::{Fleet, Issuer, SplitMix64, load, pass, skipped, until};

const REPLICAS: usize = 3;
const CALLERS: usize = 8;

/// Number of requests for each key.
const TIMES: usize = 3;

/// Time between two kills.
const BETWEEN_KILLS: Duration = Duration::from_secs(1);

/// Maximum time in seconds until the sends of the last killed replica are closed: on a busy machine, and for the full load. The
/// lease of the killed replica expires after ten seconds.
const CLOSED_WITHIN_S: (usize, usize) = (30, 15);

/// Duration of the test in seconds.
const LASTING_S: (usize, usize) = (10, 30 * 60);

const SETTINGS: &str = "[limits]\nper_address_per_minute = 4000000000\n[log]\nlevel = \"warn\"\n";

/// Addresses of the live replicas.
type Addresses = Mutex<Vec<SocketAddr>>;

/// A caller that uses one new key after the other, each for three requests.
struct Caller {
    callers: Arc<Callers>,
    addresses: Arc<Addresses>,
    chance: SplitMix64,
}

impl Caller {
    async fn call_on(mut self, is_over: &AtomicBool) -> Vec<Asked> {
        let mut all = Vec::new();
        while !is_over.load(Ordering::SeqCst) {
            let message = self.callers.message_under_key(&mut self.chance);
            if self.chance.one_in(2) {
                // Two concurrent requests, to any replicas.
                let (one, other) = (self.place(), self.place());
                let mut branch = self.chance.branch();
                let one = self
                    .callers
                    .ask(one, &mut self.chance, Some(message.clone()));
                let other = self.callers.ask(other, &mut branch, Some(message.clone()));
                let (one, other) = tokio::join!(one, other);
                all.extend([one, other, self.ask(message).await]);
            } else {
                for _ in 0..TIMES {
                    all.push(self.ask(message.clone()).await);
                }
            }
        }
        all
    }

    async fn ask(&mut self, message: Message) -> Asked {
        let place = self.place();
        self.callers
            .ask(place, &mut self.chance, Some(message))
            .await
    }

    fn place(&mut self) -> SocketAddr {
        let addresses = self.addresses.lock().unwrap();
        addresses[usize::try_from(self.chance.below(REPLICAS as u64)).unwrap()]
    }
}

/// Kills random replicas one after the other, each as soon as its replacement runs. Returns the number of kills.
async fn kill(fleet: &mut Fleet, addresses: &Addresses, chance: &mut SplitMix64) -> usize {
    let (began, mut kills) = (Instant::now(), 0);
    let lasting = Duration::from_secs(load(LASTING_S.0, LASTING_S.1) as u64);
    while began.elapsed() < lasting {
        let last = Instant::now();
        let next = tokio::task::block_in_place(|| fleet.replica(&format!("replica-{kills}")));
        pass(BETWEEN_KILLS.saturating_sub(last.elapsed())).await;
        let at = usize::try_from(chance.below(REPLICAS as u64)).unwrap();
        addresses.lock().unwrap()[at] = next.public;
        drop(std::mem::replace(&mut fleet.gateways[at], next));
        kills += 1;
    }
    kills
}

/// Waits until no send is open and no key is under way. Returns the time since this instant.
async fn wait_until_no_send_is_open(fleet: &Fleet, ended: Instant) -> Duration {
    let open = "SELECT count(*) FROM chatgate.intents";
    until("no send is open", async || fleet.sql(open) == "0").await;
    let closed = ended.elapsed();
    let under_way = "SELECT count(*) FROM chatgate.receipts WHERE state = 'open'";
    assert_eq!(fleet.sql(under_way), "0");
    closed
}

/// Sends once more with each key for which no answer reported `sent`. When everything is closed, no key is under way, and a message
/// that may have been sent is not sent again.
async fn ask_again(caller: &mut Caller, asked: &[Asked]) -> Vec<Asked> {
    let is_sent = |asked: &&Asked| {
        let reported = asked.reported.as_ref();
        reported.is_some_and(|reported| reported.delivery == "sent")
    };
    let mark = |asked: &Asked| {
        asked
            .message
            .clone()
            .map(|message| (message.mark.clone(), message))
    };
    let mut open: BTreeMap<_, _> = asked.iter().filter_map(mark).collect();
    for (mark, _) in asked.iter().filter(is_sent).filter_map(mark) {
        open.remove(&mark);
    }
    let mut again = Vec::new();
    for message in open.into_values() {
        let asked = caller.ask(message).await;
        let reported = asked.reported.as_ref().map(|reported| &*reported.code);
        assert_ne!(reported, Some("IDEMPOTENCY_IN_PROGRESS"), "{asked:?}");
        again.push(asked);
    }
    again
}

/// Checks each key whose every request was answered with `not_sent`: the upstream has never taken its message. Returns the number
/// of these keys.
fn check_not_sent(asked: &[Asked], upstream: &Counting) -> usize {
    let mut by_key = HashMap::<&str, Vec<&Asked>>::new();
    for asked in asked {
        let mark = &asked.message.as_ref().unwrap().mark;
        by_key.entry(mark).or_default().push(asked);
    }
    let is_not_sent = |asked: &&Asked| {
        let reported = asked.reported.as_ref();
        reported.is_some_and(|reported| reported.delivery == "not_sent")
    };
    let unsent = by_key
        .iter()
        .filter(|(_, asked)| asked.iter().all(is_not_sent));
    unsent
        .map(|(mark, asked)| assert_eq!(upstream.taken(mark), 0, "{asked:?}"))
        .count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn replicas_killed_every_second_send_no_key_twice_and_lose_no_outcome() {
    storm(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn kills_double_and_lose_no_send_with_clocks_ten_minutes_wrong() {
    storm(true).await;
}

fn fleet(upstream: &Counting, toml: &str, has_false_clocks: bool) -> Option<Fleet> {
    let settings = (toml, &callers::environment()[..]);
    let mut fleet = Fleet::in_front_of(upstream.address, 0, settings)?;
    if has_false_clocks {
        fleet.falsify_clocks()?;
    }
    fleet.start_more(REPLICAS);
    Some(fleet)
}

async fn storm(has_false_clocks: bool) {
    let seed = seed();
    let mut chance = SplitMix64(seed);
    let (upstream, issuer) = (Counting::start(chance.branch()).await, Issuer::new());
    let toml = format!(
        "{SETTINGS}{}{}",
        issuer.as_configuration(),
        callers::accesses()
    );
    let Some(mut fleet) = fleet(&upstream, &toml, has_false_clocks) else {
        return skipped("PostgreSQL, or Debian's package faketime");
    };
    let addresses = fleet.gateways.iter().map(|gateway| gateway.public);
    let addresses = Arc::new(Mutex::new(addresses.collect::<Vec<_>>()));
    let callers = Arc::new(Callers::new(&issuer));
    let (is_over, began) = (Arc::new(AtomicBool::new(false)), Instant::now());
    let mut asking = tokio::task::JoinSet::new();
    let mut caller = || Caller {
        callers: Arc::clone(&callers),
        addresses: Arc::clone(&addresses),
        chance: chance.branch(),
    };
    let mut last = caller();
    for _ in 0..CALLERS {
        let caller = caller();
        let is_over = Arc::clone(&is_over);
        asking.spawn(async move { caller.call_on(&is_over).await });
    }
    let kills = kill(&mut fleet, &addresses, &mut chance).await;
    let ended = Instant::now();
    is_over.store(true, Ordering::SeqCst);
    let mut asked: Vec<Asked> = asking.join_all().await.into_iter().flatten().collect();

    let (gateway, client) = (&fleet.gateways[0], crate::harness::client());
    let mut ledger = Ledger::new(gateway.folder.path());
    let closed = wait_until_no_send_is_open(&fleet, ended).await;
    let again = ask_again(&mut last, &asked).await;
    let asked_again = again.len();
    asked.extend(again);
    // Rows of repeated answers may be lost in a kill, and each of them was written before the last kill.
    ledger
        .check(gateway, &client, &upstream, (&asked, began))
        .await;
    let unsent = check_not_sent(&asked, &upstream);
    println!(
        "kill storm, seed {seed}: {kills} kills of {REPLICAS} replicas in {:.0?}, {} attempts of some {} keys, {} messages taken, {unsent} \
         keys told that nothing was sent, {asked_again} asked for once more; all closed {closed:.1?} after the end: {:?}",
        ended - began,
        asked.len(),
        asked.len() / TIMES,
        upstream.all_taken(),
        ledger.counts,
    );
    let most = load(CLOSED_WITHIN_S.0, CLOSED_WITHIN_S.1) as u64;
    assert!(closed < Duration::from_secs(most), "{closed:?}");
    let counts = &ledger.counts;
    assert!(
        kills > 2 && counts.replayed > kills && counts.unanswered > 0,
        "{counts:?}"
    );
}
