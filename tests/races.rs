//! Tests of changes to an access in use: once a change is acknowledged, no request that begins is judged by the old state.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Fleet, Gateway, admin_request, client_from, load, skipped};

const READ: &str = "class=chat&method=getchatchannels";

/// Callers that keep the access busy on their own open connections.
const CALLERS: u8 = 4;

/// An access that is opened and shut.
struct Raced {
    /// One gateway, or several that share a store.
    gateways: Vec<Gateway>,
    admin: reqwest::Client,
    /// The secret that callers present.
    secret: Mutex<String>,
    /// Even while the access is open to the callers, odd while it is shut. At least [`CHANGING`] from before a change is requested
    /// until it is acknowledged.
    phase: AtomicU64,
    /// Counter that selects the gateway of the next call or change.
    next: AtomicUsize,
    /// Runs before each change.
    before: Box<dyn Fn() + Send + Sync>,
    /// The time until the acknowledgement of each change.
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

    /// Makes a change that shuts or opens the access, and returns the answer.
    async fn change(&self, what: (Method, &str), change: &Value) -> Value {
        self.phase.fetch_add(CHANGING, Ordering::SeqCst);
        let answer = self.ask(what, change).await;
        self.phase.fetch_sub(CHANGING - 1, Ordering::SeqCst);
        answer
    }

    /// Makes any change and returns the answer.
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

    /// Makes callers present this secret from now on.
    fn take(&self, secret: &str) {
        self.phase.fetch_add(CHANGING, Ordering::SeqCst);
        secret.clone_into(&mut self.secret.lock().unwrap());
        self.phase.fetch_sub(CHANGING - 1, Ordering::SeqCst);
    }

    /// Makes one call. Returns whether it was admitted and whether the access was open, or `None` if a change overlapped the call.
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

    /// Calls until `done` is set, and returns the number of calls that could be judged.
    async fn call_until_done(&self, address: u8, done: &AtomicBool) -> u64 {
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

/// The way in which a race shuts and opens the access: a fourth of the races each use the state, the networks, the credentials, and
/// the whole access.
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

    /// Shuts the access. Returns the new secret after a rotation.
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

    /// Opens the access again.
    async fn open(&self, raced: &Raced, fresh: Option<String>) {
        match (self, fresh) {
            (Race::Patches([_, open]), _) => {
                raced.change((Method::PATCH, "accesses/raced"), open).await;
            }
            (Race::Deletion, _) => {
                // For callers that still present the old secret, the access stays shut.
                let made = raced.ask((Method::POST, "accesses"), &draft()).await;
                raced.take(made["password"].as_str().unwrap());
            }
            (Race::Rotation, fresh) => raced.take(&fresh.unwrap()),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_judged_by_the_state_before_an_acknowledged_change() {
    let gateway = Gateway::configured(LIMITS, &[]);
    race((vec![gateway], || {}), load(300, 10_000)).await;
}

/// Number of replicas, on every day and in the full load.
const REPLICAS: (usize, usize) = (4, 16);

/// Maximum 99th percentile of the time until a change is acknowledged, in milliseconds: on every day, and where the replicas have
/// the machine to themselves.
const ACKNOWLEDGED_MS: (usize, usize) = (10_000, 100);

/// The same if no replica is notified: a heartbeat more.
const UNHEARD_MS: (usize, usize) = (10_000, 1200);

/// Returns a configuration with a longer wait for acknowledgements on every day, when the replicas may be slow.
fn patient() -> String {
    let ack_wait = load(30, 2);
    format!("{LIMITS}[replicas]\nack_wait = \"{ack_wait}s\"\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn no_replica_judges_by_the_state_before_an_acknowledged_change() {
    let Some(mut fleet) = Fleet::of(load(REPLICAS.0, REPLICAS.1), &patient()) else {
        return skipped("PostgreSQL");
    };
    let gateways = std::mem::take(&mut fleet.gateways);
    let took = race((gateways, || {}), load(40, 200)).await;
    let most = load(ACKNOWLEDGED_MS.0, ACKNOWLEDGED_MS.1) as u64;
    assert!(took <= Duration::from_millis(most), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_notifications_no_replica_judges_by_an_outdated_state() {
    let Some(mut fleet) = Fleet::of(load(3, REPLICAS.1), &patient()) else {
        return skipped("PostgreSQL");
    };
    let gateways = std::mem::take(&mut fleet.gateways);
    // The last query of a connection that has listened for a while is a check that it is still connected.
    let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE datname = current_database() AND query IN ('LISTEN chatgate', 'SELECT 1')";
    let cut = move || drop(fleet.sql(cut));
    let took = race((gateways, cut), load(8, 200)).await;
    let most = load(UNHEARD_MS.0, UNHEARD_MS.1) as u64;
    assert!(took <= Duration::from_millis(most), "{took:?}");
}

/// Runs the races and returns the 99th percentile of the time until a change was acknowledged.
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
            tokio::spawn(async move { raced.call_until_done(address, &done).await })
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
