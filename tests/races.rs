//! Changes of an access while it is being used: from the moment that a change is acknowledged, no request that begins is
//! judged by what was before.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Fleet, Gateway, admin_request, client_from, load, skipped};

const READ: &str = "class=chat&method=getchatchannels";

/// Callers who keep the access busy on open connections of their own.
const CALLERS: u8 = 4;

/// One access that is opened and shut.
struct Raced {
    /// One, or several that share a store.
    gateways: Vec<Gateway>,
    admin: reqwest::Client,
    /// What its callers show.
    secret: Mutex<String>,
    /// Even while the access is open to them, odd while it is shut, and at least [`CHANGING`] from before a change is asked
    /// for until it is acknowledged.
    phase: AtomicU64,
    /// Which of them gets the next call, and the next change.
    next: AtomicUsize,
    /// What is done before each change.
    before: Box<dyn Fn() + Send + Sync>,
    /// How long each change took until it was acknowledged.
    took: Mutex<Vec<Duration>>,
}

const LIMITS: &str = "[limits]\nper_address_per_minute = 4000000000\nguesses_per_name = 4000000000\nguesses_per_address = 4000000000\n[log]\nlevel = \"warn\"\n";

const CHANGING: u64 = 1 << 32;

impl Raced {
    async fn start(gateways: Vec<Gateway>, before: Box<dyn Fn() + Send + Sync>) -> Raced {
        let admin = client_from([127, 0, 0, 1].into());
        let made = admin_request(&admin, &gateways[0], Method::POST, "accesses", &draft());
        let made = Answer::of(made).await.json();
        Raced {
            secret: Mutex::new(made["password"].as_str().unwrap().to_owned()),
            gateways,
            admin,
            phase: AtomicU64::new(0),
            next: AtomicUsize::new(0),
            before,
            took: Mutex::default(),
        }
    }

    /// Makes a change that shuts the access or opens it, and says what was answered.
    async fn change(&self, what: (Method, &str), change: &Value) -> Value {
        self.phase.fetch_add(CHANGING, Ordering::SeqCst);
        let answer = self.ask(what, change).await;
        self.phase.fetch_sub(CHANGING - 1, Ordering::SeqCst);
        answer
    }

    /// Makes any change.
    async fn ask(&self, (method, path): (Method, &str), change: &Value) -> Value {
        tokio::task::block_in_place(&self.before);
        let gateway =
            &self.gateways[self.next.fetch_add(1, Ordering::SeqCst) % self.gateways.len()];
        let changed = admin_request(&self.admin, gateway, method, path, change);
        let began = Instant::now();
        let answer = Answer::of(changed).await;
        self.took.lock().unwrap().push(began.elapsed());
        assert!((200..300).contains(&answer.status), "{}", answer.body);
        if let [_, _, ..] = &self.gateways[..] {
            let all = format!("{0}/{0}", self.gateways.len());
            assert_eq!(answer.header("chatgate-in-force"), all);
        }
        serde_json::from_str(&answer.body).unwrap_or_default()
    }

    /// Callers show this from now on.
    fn take(&self, secret: &str) {
        self.phase.fetch_add(CHANGING, Ordering::SeqCst);
        secret.clone_into(&mut self.secret.lock().unwrap());
        self.phase.fetch_sub(CHANGING - 1, Ordering::SeqCst);
    }

    /// Makes one call. Whether it was let in, and whether the access was open: if nothing changed from before it began
    /// until it was answered.
    async fn call(&self, client: &reqwest::Client) -> Option<(bool, bool)> {
        let before = self.phase.load(Ordering::SeqCst);
        let secret = self.secret.lock().unwrap().clone();
        let gateway =
            &self.gateways[self.next.fetch_add(1, Ordering::SeqCst) % self.gateways.len()];
        let call = client.post(gateway.url("/api/basic/"));
        let answer = Answer::of(call.basic_auth("raced", Some(secret)).body(READ)).await;
        let unchanged = before < CHANGING && before == self.phase.load(Ordering::SeqCst);
        unchanged.then_some((answer.status == 200, before.is_multiple_of(2)))
    }

    /// Calls until it is done; counts the calls that could be judged.
    async fn keep_busy(&self, address: u8, done: &AtomicBool) -> u64 {
        let client = client_from([127, 0, 0, address].into());
        let mut judged = 0;
        while !done.load(Ordering::SeqCst) {
            if let Some((let_in, is_open)) = self.call(&client).await {
                assert_eq!(let_in, is_open, "stale");
                judged += 1;
            }
        }
        judged
    }
}

fn draft() -> Value {
    json!({"name": "raced", "allow": ["127.0.0.0/24"]})
}

/// What shuts the access and what opens it again: a fourth of the races each, the state, the networks, the credentials, and all
/// of it.
enum Race {
    Patches([Value; 2]),
    Rotation,
    Deletion,
}

impl Race {
    fn of(number: usize) -> Race {
        match number % 4 {
            0 => Race::Patches([json!({"state": "suspended"}), json!({"state": "active"})]),
            1 => Race::Patches([json!({"deny": ["127.0.0.0/25"]}), json!({"deny": []})]),
            2 => Race::Rotation,
            _ => Race::Deletion,
        }
    }

    /// Shuts the access; gives the secret that opens it when callers take it.
    async fn shut(&self, raced: &Raced) -> Option<String> {
        let fresh = match self {
            Race::Patches([shut, _]) => {
                raced.change((Method::PATCH, "accesses/raced"), shut).await;
                return None;
            }
            Race::Deletion => {
                let delete = (Method::DELETE, "accesses/raced");
                raced.change(delete, &Value::Null).await;
                return None;
            }
            Race::Rotation => {
                let rotate = (Method::POST, "accesses/raced/rotate");
                raced.change(rotate, &json!({"drop_old": true})).await
            }
        };
        fresh["password"].as_str().map(str::to_owned)
    }

    /// Opens it again.
    async fn open(&self, raced: &Raced, fresh: Option<String>) {
        match (self, fresh) {
            (Race::Patches([_, open]), _) => {
                raced.change((Method::PATCH, "accesses/raced"), open).await;
            }
            (Race::Deletion, _) => {
                // To those who still show what was before it stays shut.
                let made = raced.ask((Method::POST, "accesses"), &draft()).await;
                raced.take(made["password"].as_str().unwrap());
            }
            (Race::Rotation, fresh) => raced.take(&fresh.unwrap()),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_judged_by_what_was_before_an_acknowledged_change() {
    let gateway = Gateway::configured(LIMITS, &[]);
    race((vec![gateway], || {}), load(300, 10_000)).await;
}

/// Replicas, on every day and in the whole load.
const REPLICAS: (usize, usize) = (4, 16);

/// Longest that all but one in a hundred changes take until they are acknowledged, in milliseconds: where the replicas have the
/// machine for themselves, and on every day.
const ACKNOWLEDGED_MS: (usize, usize) = (10_000, 100);

/// The same where no replica is notified: a heartbeat later.
const UNHEARD_MS: (usize, usize) = (10_000, 1200);

/// Waits for others longer than is usual on every day, when they may be slow.
fn patient() -> String {
    let ack_wait = load(30, 2);
    format!("{LIMITS}[replicas]\nack_wait = \"{ack_wait}s\"\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn no_replica_judges_by_what_was_before_an_acknowledged_change() {
    let Some(mut fleet) = Fleet::of(load(REPLICAS.0, REPLICAS.1), &patient()) else {
        return skipped("PostgreSQL");
    };
    let gateways = std::mem::take(&mut fleet.gateways);
    let took = race((gateways, || {}), load(40, 200)).await;
    let most = load(ACKNOWLEDGED_MS.0, ACKNOWLEDGED_MS.1) as u64;
    assert!(took <= Duration::from_millis(most), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_replica_judges_by_what_was_before_though_none_is_notified() {
    let Some(mut fleet) = Fleet::of(load(3, REPLICAS.1), &patient()) else {
        return skipped("PostgreSQL");
    };
    let gateways = std::mem::take(&mut fleet.gateways);
    // One that has listened for a while has asked since whether it is still connected.
    let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE datname = current_database() AND query IN ('LISTEN chatgate', 'SELECT 1')";
    let cut = move || drop(fleet.sql(cut));
    let took = race((gateways, cut), load(8, 200)).await;
    let most = load(UNHEARD_MS.0, UNHEARD_MS.1) as u64;
    assert!(took <= Duration::from_millis(most), "{took:?}");
}

/// Returns how long all but one in a hundred changes took until they were acknowledged.
async fn race(
    (gateways, before): (Vec<Gateway>, impl Fn() + Send + Sync + 'static),
    races: usize,
) -> Duration {
    let replicas = gateways.len();
    let raced = Arc::new(Raced::start(gateways, Box::new(before)).await);
    let done = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (1..=CALLERS)
        .map(|address| {
            let (raced, done) = (Arc::clone(&raced), Arc::clone(&done));
            tokio::spawn(async move { raced.keep_busy(address, &done).await })
        })
        .collect();
    let mine = client_from([127, 0, 0, 9].into());
    let mut judged = 0;
    for number in 0..races {
        let race = Race::of(number);
        let fresh = race.shut(&raced).await;
        assert_eq!(raced.call(&mine).await, Some((false, false)), "{number}");
        race.open(&raced, fresh).await;
        assert_eq!(raced.call(&mine).await, Some((true, true)), "{number}");
        judged += 2;
    }
    done.store(true, Ordering::SeqCst);
    for caller in callers {
        judged += caller.await.unwrap();
    }
    let mut took = std::mem::take(&mut *raced.took.lock().unwrap());
    took.sort();
    let (median, p99) = (took[took.len() / 2], took[took.len() * 99 / 100]);
    println!(
        "{races} races, {judged} calls judged: 0 stale accepts, 0 stale refusals; {replicas} gateways acknowledge a change in \
         {median:.1?} (median), {p99:.1?} (p99), {:.1?} (slowest)",
        took[took.len() - 1]
    );
    p99
}
