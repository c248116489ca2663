//! The limits of an access that processes share. A call is decided by this process's grant, or else by a request to the server.
//! While the server does not answer, this process admits its share by its own count.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use governor::clock::DefaultClock;
use parking_lot::{Mutex, RwLock};
use shared::{CallWait, CountKind, CountLimit, CountsUnavailable, SharedCounts, ValkeyKey};
use store::{Access, Rate};

use crate::grants::{GrantDecision, GrantState};
use crate::limit_check::{LimitCheck, LimitState};
use crate::limit_name::{LimitName, PER_ACCESS, PER_DESTINATION};
use crate::rate_limit::{DESTINATIONS_MAX, RateLimits, destination_key};
use crate::share::Share;

/// Pause between two checks for grants to give back.
const SWEEP_PAUSE: Duration = Duration::from_millis(100);

/// The period of an access's limits.
const MINUTE: Duration = Duration::from_secs(60);

/// The shared limits of all accesses.
pub(crate) struct SharedLimits {
    counts: Arc<SharedCounts>,
    share: Share,
    accesses: GrantTable,
    destinations: GrantTable,
}

/// The grants for the limits of one kind, by rate and name. A changed rate starts full.
struct GrantTable {
    kind: CountKind,
    grants: RwLock<HashMap<Rate, HashMap<String, Arc<SharedGrant>>>>,
}

/// The grant for one limit.
struct SharedGrant {
    key: ValkeyKey,
    limit: CountLimit,
    state: Mutex<GrantState>,
    waiting: AtomicU32,
    /// Held by the call that asks the server for all waiting calls.
    asking: tokio::sync::Mutex<()>,
}

/// A waiting call. It stops counting as waiting when dropped.
struct WaitingGuard<'a>(&'a AtomicU32);

impl SharedLimits {
    /// Creates limits that use these counts. `share` contains the number of processes. A background task gives old grants back.
    pub(crate) fn start(counts: &Arc<SharedCounts>, share: &Share) -> Arc<SharedLimits> {
        let table = |kind| GrantTable {
            kind,
            grants: RwLock::default(),
        };
        let limits = Arc::new(SharedLimits {
            counts: Arc::clone(counts),
            share: share.clone(),
            accesses: table(CountKind::Access),
            destinations: table(CountKind::Destination),
        });
        let used = Arc::downgrade(&limits);
        tokio::spawn(async move {
            while let Some(limits) = used.upgrade() {
                limits.sweep(Instant::now());
                drop(limits);
                tokio::time::sleep(SWEEP_PAUSE).await;
            }
        });
        limits
    }

    /// Counts a call of an access, and a send also for its destination. Returns the state of the limit that rejects the call, or else
    /// of the access's limit, if it has one.
    pub(crate) async fn check_call(
        &self,
        local: &RateLimits<DefaultClock>,
        (access, destination): (&Access, Option<&str>),
        wait: &CallWait,
    ) -> LimitCheck {
        let checked = self.check_access(local, access, wait).await;
        match destination {
            Some(destination) if checked.result.is_ok() => {
                let checking = self.check_destination(local, (access, destination), wait);
                checked.and_destination(checking.await)
            }
            _ => checked,
        }
    }

    /// Counts a call of an access and returns the state of its limit, if it has one.
    async fn check_access(
        &self,
        local: &RateLimits<DefaultClock>,
        access: &Access,
        wait: &CallWait,
    ) -> LimitCheck {
        let Some(rate) = access.limits.per_minute else {
            return LimitCheck::UNLIMITED;
        };
        match self.check(&self.accesses, rate, &access.name, wait).await {
            Ok(decision) => checked(rate, decision, PER_ACCESS),
            Err(CountsUnavailable) => local.check_access(access),
        }
    }

    /// Counts a send to one destination and returns the state of its limit, if it has one.
    ///
    /// # Errors
    /// RATE_LIMITED.
    async fn check_destination(
        &self,
        local: &RateLimits<DefaultClock>,
        (access, destination): (&Access, &str),
        wait: &CallWait,
    ) -> LimitCheck {
        let Some(rate) = access.limits.per_destination else {
            return LimitCheck::UNLIMITED;
        };
        let name = destination_key(access, destination);
        match self.check(&self.destinations, rate, &name, wait).await {
            Ok(decision) => checked(rate, decision, PER_DESTINATION),
            Err(CountsUnavailable) => local.check_destination(access, destination),
        }
    }

    /// Returns the state of the limit of an access or of one destination, if there is one. Takes nothing.
    pub(crate) async fn peek(
        &self,
        access: &Access,
        destination: Option<&str>,
    ) -> Result<LimitCheck, CountsUnavailable> {
        let limits = &access.limits;
        let (table, rate, name, limit) = match destination {
            None => (
                &self.accesses,
                limits.per_minute,
                access.name.clone(),
                PER_ACCESS,
            ),
            Some(destination) => {
                let name = destination_key(access, destination);
                (
                    &self.destinations,
                    limits.per_destination,
                    name,
                    PER_DESTINATION,
                )
            }
        };
        let Some(rate) = rate else {
            return Ok(LimitCheck::UNLIMITED);
        };
        let grant = table.grant(rate, &name, &self.counts)?;
        let wait = CallWait::default();
        let peeked = self.counts.peek(&grant.key, grant.limit, &wait).await?;
        let decision = match grant.state.lock().held() + peeked.remaining {
            0 => GrantDecision::Refused(peeked.wait),
            remaining => GrantDecision::Admitted(remaining - 1),
        };
        Ok(checked(rate, decision, limit))
    }

    /// Gives all grants back.
    pub(crate) fn release(&self) {
        self.sweep(Instant::now() + MINUTE);
    }

    async fn check(
        &self,
        table: &GrantTable,
        rate: Rate,
        name: &str,
        wait: &CallWait,
    ) -> Result<GrantDecision, CountsUnavailable> {
        if !self.counts.is_up() {
            return Err(CountsUnavailable);
        }
        let grant = table.grant(rate, name, &self.counts)?;
        match grant.decide_new_call(Instant::now()) {
            GrantDecision::Ask => {}
            decided => return Ok(decided),
        }
        let _waiting = WaitingGuard::begin(&grant.waiting);
        // One call asks for all. If it gets no answer, the others wait no longer than a call may.
        let turn = wait.at_most(self.counts.timeout(), grant.asking.lock());
        let _turn = turn.await.ok_or(CountsUnavailable)?;
        // Another call has asked in the meantime.
        match grant.state.lock().decide(Instant::now()) {
            GrantDecision::Ask => {}
            decided => return Ok(decided),
        }
        let waiting = grant.waiting.load(Ordering::Relaxed);
        let take_request = grant
            .state
            .lock()
            .take_request(waiting, self.share.replicas());
        let taken = self
            .counts
            .take(&grant.key, grant.limit, take_request, wait);
        let taken = taken.await?;
        Ok(grant.state.lock().take_over(Instant::now(), &taken))
    }

    fn sweep(&self, now: Instant) {
        for table in [&self.accesses, &self.destinations] {
            table.sweep(&self.counts, now);
        }
    }
}

impl GrantTable {
    /// Returns the grant for this name.
    ///
    /// # Errors
    /// There are too many grants, so that this process has to count alone, which has a limit of its own.
    fn grant(
        &self,
        rate: Rate,
        name: &str,
        counts: &SharedCounts,
    ) -> Result<Arc<SharedGrant>, CountsUnavailable> {
        let grants = self.grants.read();
        if let Some(grant) = grants.get(&rate).and_then(|grants| grants.get(name)) {
            return Ok(Arc::clone(grant));
        }
        if grants.values().map(HashMap::len).sum::<usize>() >= DESTINATIONS_MAX {
            return Err(CountsUnavailable);
        }
        drop(grants);
        let per_minute = rate.per_minute;
        let what: [&[u8]; 2] = [name.as_bytes(), &per_minute.get().to_le_bytes()];
        let grant = || SharedGrant {
            key: counts.keys().key(self.kind, &what),
            limit: CountLimit::per(per_minute, MINUTE),
            state: Mutex::new(GrantState::new(Instant::now())),
            waiting: AtomicU32::new(0),
            asking: tokio::sync::Mutex::new(()),
        };
        let mut grants = self.grants.write();
        let grants = grants.entry(rate).or_default();
        let grant = grants
            .entry(name.to_owned())
            .or_insert_with(|| Arc::new(grant()));
        Ok(Arc::clone(grant))
    }

    fn sweep(&self, counts: &SharedCounts, now: Instant) {
        let mut has_old = false;
        let grants = self.grants.read();
        for grant in grants.values().flat_map(HashMap::values) {
            let mut state = grant.state.lock();
            let cells = state.expire(now);
            has_old |= state.is_over(now);
            drop(state);
            if cells > 0 && counts.is_up() {
                counts.refund(&grant.key, grant.limit, cells);
            }
        }
        drop(grants);
        if !has_old {
            return;
        }
        let mut grants = self.grants.write();
        for grants in grants.values_mut() {
            // A grant that a caller holds may be about to decide.
            grants.retain(|_, grant| {
                Arc::strong_count(grant) > 1 || !grant.state.lock().is_over(now)
            });
        }
        grants.retain(|_, grants| !grants.is_empty());
    }
}

impl SharedGrant {
    fn decide_new_call(&self, now: Instant) -> GrantDecision {
        let mut state = self.state.lock();
        state.record_call(now);
        state.decide(now)
    }
}

impl WaitingGuard<'_> {
    fn begin(waiting: &AtomicU32) -> WaitingGuard<'_> {
        waiting.fetch_add(1, Ordering::Relaxed);
        WaitingGuard(waiting)
    }
}

impl Drop for WaitingGuard<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Converts a decision into the result for callers.
fn checked(rate: Rate, decision: GrantDecision, limit: LimitName) -> LimitCheck {
    let per_minute = rate.per_minute.get();
    match decision {
        GrantDecision::Admitted(remaining) => {
            LimitCheck::admitted(LimitState::with_left(limit, per_minute, remaining))
        }
        GrantDecision::Refused(wait) => LimitCheck::rate_limited(per_minute, wait, limit),
        // This does not occur, because the server was asked before.
        GrantDecision::Ask => LimitCheck::rate_limited(per_minute, Duration::ZERO, limit),
    }
}
