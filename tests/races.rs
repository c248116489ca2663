//! Changes of an access while it is being used: from the moment that a change is acknowledged, no request that begins is
//! judged by what was before.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

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
}

const LIMITS: &str = "[limits]\nper_address_per_minute = 4000000000\nguesses_per_name = 4000000000\nguesses_per_address = 4000000000\n[log]\nlevel = \"warn\"\n";

const CHANGING: u64 = 1 << 32;

impl Raced {
    async fn start(gateways: Vec<Gateway>) -> Raced {
        let admin = client_from([127, 0, 0, 1].into());
        let draft = json!({"name": "raced", "allow": ["127.0.0.0/24"]});
        let made = admin_request(&admin, &gateways[0], Method::POST, "accesses", &draft);
        let made = Answer::of(made).await.json();
        Raced {
            secret: Mutex::new(made["password"].as_str().unwrap().to_owned()),
            gateways,
            admin,
            phase: AtomicU64::new(0),
            next: AtomicUsize::new(0),
        }
    }

    /// Makes a change and says what was answered.
    async fn change(&self, path: &str, change: &Value) -> Value {
        let method = match path {
            "accesses/raced" => Method::PATCH,
            _ => Method::POST,
        };
        self.phase.fetch_add(CHANGING, Ordering::SeqCst);
        let gateway =
            &self.gateways[self.next.fetch_add(1, Ordering::SeqCst) % self.gateways.len()];
        let changed = admin_request(&self.admin, gateway, method, path, change);
        let answer = Answer::of(changed).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        if let [_, _, ..] = &self.gateways[..] {
            let all = format!("{0}/{0}", self.gateways.len());
            assert_eq!(answer.header("chatgate-in-force"), all);
        }
        self.phase.fetch_sub(CHANGING - 1, Ordering::SeqCst);
        answer.json()
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

/// What shuts the access and what opens it again: a third of the races each, the state, the networks and the credentials.
enum Race {
    Patches([Value; 2]),
    Rotation,
}

impl Race {
    fn of(number: usize) -> Race {
        match number % 3 {
            0 => Race::Patches([json!({"state": "suspended"}), json!({"state": "active"})]),
            1 => Race::Patches([json!({"deny": ["127.0.0.0/25"]}), json!({"deny": []})]),
            _ => Race::Rotation,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_judged_by_what_was_before_an_acknowledged_change() {
    let gateway = Gateway::configured(LIMITS, &[]);
    race(vec![gateway], load(300, 10_000)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_replica_judges_by_what_was_before_an_acknowledged_change() {
    match Fleet::of(3, LIMITS) {
        Some(fleet) => race(fleet.gateways, load(60, 2_000)).await,
        None => skipped("PostgreSQL"),
    }
}

async fn race(gateways: Vec<Gateway>, races: usize) {
    let raced = Arc::new(Raced::start(gateways).await);
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
        let fresh = match &race {
            Race::Patches([shut, _]) => raced.change("accesses/raced", shut).await,
            Race::Rotation => {
                let rotation = json!({"drop_old": true});
                raced.change("accesses/raced/rotate", &rotation).await
            }
        };
        assert_eq!(raced.call(&mine).await, Some((false, false)), "{number}");
        match &race {
            Race::Patches([_, open]) => {
                raced.change("accesses/raced", open).await;
            }
            Race::Rotation => raced.take(fresh["password"].as_str().unwrap()),
        }
        assert_eq!(raced.call(&mine).await, Some((true, true)), "{number}");
        judged += 2;
    }
    done.store(true, Ordering::SeqCst);
    for caller in callers {
        judged += caller.await.unwrap();
    }
    println!("{races} races, {judged} calls judged: 0 stale accepts, 0 stale refusals");
}
