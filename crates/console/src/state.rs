//! The state that all handlers of the operators' listener share.

pub(crate) mod attempts;
pub(crate) mod availability;
pub(crate) mod history;
pub(crate) mod open_pages;
pub(crate) mod recent_sums;
pub(crate) mod sessions;
pub(crate) mod tail;

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::State;
use store::{SecretHasher, Store, counted_address};
use tokio::sync::Semaphore;
use webhooks::Webhooks;

use crate::port::{CountsNotShared, Gateway};
use crate::route_kind::RouteKinds;
use attempts::{Attempts, WRONG_PER_MINUTE};
use availability::Availability;
use history::History;
use open_pages::OpenPages;
use recent_sums::RecentSums;
use sessions::Sessions;
use tail::Tail;

/// Maximum number of store copies at the same time, because each copy takes as much disk space as the store.
const COPIES_MAX: usize = 1;

/// Maximum number of erasures at the same time, because each erasure reads the whole store, and continues when its operator
/// disconnects.
const ERASURES_MAX: usize = 1;

/// Maximum number of replays at the same time. Each may read the whole journal of an access; others wait.
const REPLAYS_MAX: usize = 2;

/// The console of one gateway.
pub struct Console {
    pub(crate) gateway: Arc<dyn Gateway>,
    pub(crate) store: Arc<Store>,
    pub(crate) hasher: Arc<SecretHasher>,
    pub(crate) copies: Arc<Semaphore>,
    pub(crate) erasures: Arc<Semaphore>,
    pub(crate) replays: Semaphore,
    pub(crate) sessions: Sessions,
    pub(crate) attempts: Attempts,
    pub(crate) open_pages: Arc<OpenPages>,
    pub(crate) history: History,
    pub(crate) availability: Availability,
    pub(crate) recent_sums: RecentSums,
    pub(crate) tail: Tail,
    /// The kinds of the paths, empty until the console is opened.
    pub(crate) route_kinds: RouteKinds,
}

/// The console as handlers receive it.
pub(crate) type ConsoleState = State<Arc<Console>>;

impl Console {
    /// Creates the console of a gateway; `hasher` compares the keys of operators.
    #[must_use]
    pub fn new(gateway: Arc<dyn Gateway>, store: Arc<Store>, hasher: Arc<SecretHasher>) -> Console {
        Console {
            gateway,
            sessions: Sessions::new(Arc::clone(&store), Arc::clone(&hasher)),
            store,
            copies: Arc::new(Semaphore::new(COPIES_MAX)),
            erasures: Arc::new(Semaphore::new(ERASURES_MAX)),
            replays: Semaphore::new(REPLAYS_MAX),
            hasher,
            attempts: Attempts::default(),
            open_pages: Arc::default(),
            history: History::default(),
            availability: Availability::default(),
            recent_sums: RecentSums::default(),
            tail: Tail::default(),
            route_kinds: RouteKinds::default(),
        }
    }

    /// Returns the webhooks of the gateway.
    pub(crate) fn webhooks(&self) -> &Webhooks {
        self.gateway.webhooks()
    }

    /// Counts a wrong key of an address, together with the other replicas if these can be reached. Returns the seconds to wait if
    /// the address has sent too many wrong keys.
    pub(crate) async fn note_wrong_key(&self, address: Option<IpAddr>) -> Option<i64> {
        let gateway = Arc::clone(&self.gateway);
        let counting = gateway.count_wrong_key(address.map(counted_address), WRONG_PER_MINUTE);
        counting.await.unwrap_or_else(|CountsNotShared| {
            let replicas = self.store.replica_count();
            self.attempts.note_wrong(address, (self.now(), replicas))
        })
    }

    /// Returns the time by this machine's clock, in seconds since 1970, UTC. The store itself converts the times of changes, rows
    /// and sessions.
    pub(crate) fn now(&self) -> i64 {
        self.now_ms().div_euclid(1000)
    }

    /// Returns the same time in milliseconds.
    pub(crate) fn now_ms(&self) -> i64 {
        self.gateway.now_ms()
    }

    /// Returns the time by which all replicas judge accesses, keys and rows, in seconds since 1970, UTC.
    pub(crate) fn judged_now(&self) -> i64 {
        self.now() + self.store.clock_ahead_s()
    }
}
