//! The admission queue in front of the one upstream account. When all permits are taken, each access has its own line, and the
//! lines take turns. However many calls one access makes, another access waits for one of them at most. The number of permits
//! follows the capacity of the upstream (`adaptive_limit.rs`).
//!
//! A queue that is long because many calls came at the same time is worked off. While more calls arrive than the upstream can
//! handle (`overload.rs`), only a few may wait, and the others are rejected immediately instead of late.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::adaptive_limit::{AdaptiveLimit, EndedAttempt};
use super::overload::Overload;

/// During an overload half as many calls may wait as there are permits, so that waiting takes less time than being served, but no
/// fewer than this.
const WAITING_MIN: usize = 4;

/// The permits of one upstream, and the calls that wait for one.
pub(super) struct AdmissionQueue {
    waiting_max: usize,
    state: Mutex<QueueState>,
}

struct QueueState {
    limit: AdaptiveLimit,
    overload: Overload,
    in_use: usize,
    waiting: usize,
    lines: HashMap<String, VecDeque<WaitingCall>>,
    /// The accesses with a line, in the order of their turns.
    rotation: VecDeque<String>,
}

struct WaitingCall {
    since: Instant,
    grant: oneshot::Sender<()>,
}

/// The permission to have one call in progress. When it is dropped, it goes to the next waiting call.
pub(super) struct QueuePermit {
    queue: Arc<AdmissionQueue>,
    /// Calls in progress when it was acquired, including its own.
    in_flight_at_start: usize,
    /// The time when the call's last attempt ended, if no further attempt follows.
    ended: Option<Instant>,
}

/// All permits are taken, and no more calls may wait.
#[derive(Debug)]
pub(super) struct QueueFull;

/// The occupancy of the queue, for operators.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Occupancy {
    /// The current number of permits.
    pub(super) limit: usize,
    pub(super) in_use: usize,
    /// Waiting calls, including abandoned ones.
    pub(super) waiting: usize,
}

impl AdmissionQueue {
    /// Creates a queue with at most this number of permits, and room for this number of waiting calls.
    pub(super) fn new(permits_max: usize, waiting_max: usize) -> Arc<AdmissionQueue> {
        AdmissionQueue::with(AdaptiveLimit::new(permits_max), waiting_max)
    }

    /// Returns a queue with other limits that begins with the limit found so far. Returns this queue if its limits are the same.
    pub(super) fn reconfigured(
        self: &Arc<Self>,
        permits_max: usize,
        waiting_max: usize,
    ) -> Arc<AdmissionQueue> {
        let limit = self.state.lock().limit.clone();
        if limit.ceiling() == permits_max && self.waiting_max == waiting_max {
            return Arc::clone(self);
        }
        AdmissionQueue::with(limit.with_ceiling(permits_max), waiting_max)
    }

    fn with(limit: AdaptiveLimit, waiting_max: usize) -> Arc<AdmissionQueue> {
        Arc::new(AdmissionQueue {
            waiting_max,
            state: Mutex::new(QueueState {
                limit,
                overload: Overload::default(),
                in_use: 0,
                waiting: 0,
                lines: HashMap::new(),
                rotation: VecDeque::new(),
            }),
        })
    }

    /// Returns a permit for a new call, if one is free and no call waits for it.
    pub(super) fn try_acquire(self: &Arc<Self>) -> Option<QueuePermit> {
        let mut state = self.state.lock();
        if state.waiting > 0 || state.in_use >= state.limit.permits() {
            return None;
        }
        state.in_use += 1;
        let in_flight_at_start = state.in_use;
        drop(state);
        Some(self.permit(in_flight_at_start))
    }

    /// Waits for a permit for a call of this access that found none free. If the call is abandoned, its place in the line is
    /// skipped.
    ///
    /// # Errors
    /// Too many calls wait, or a call of an access with fewer waiting calls takes this call's room.
    pub(super) async fn acquire(
        self: &Arc<Self>,
        access: &str,
        now: Instant,
    ) -> Result<QueuePermit, QueueFull> {
        let (grant, granted) = oneshot::channel();
        let mut waiter = QueueWaiter {
            queue: self,
            granted,
            has_permit: false,
        };
        {
            let mut state = self.state.lock();
            let waiting_limit = state.waiting_limit(self.waiting_max, now);
            if state.waiting >= waiting_limit {
                // Abandoned calls are counted until their turn comes.
                state.remove_abandoned();
            }
            if state.waiting >= waiting_limit {
                state.overload.record_refusal(now);
                if !state.make_room_for(access) {
                    return Err(QueueFull);
                }
            }
            state.enqueue(access, WaitingCall { since: now, grant });
            // A permit may have become free in the meantime.
            state.grant_free();
        }
        // The sender of an evicted call was dropped.
        (&mut waiter.granted).await.map_err(|_| QueueFull)?;
        waiter.has_permit = true;
        let in_flight_at_start = self.state.lock().in_use;
        Ok(self.permit(in_flight_at_start))
    }

    fn permit(self: &Arc<Self>, in_flight_at_start: usize) -> QueuePermit {
        QueuePermit {
            queue: Arc::clone(self),
            in_flight_at_start,
            ended: None,
        }
    }

    /// Takes a permit back, and gives it to the next waiting call.
    fn release(&self, now: Instant) {
        let mut state = self.state.lock();
        if state.waiting > 0 && state.detect_overload(now) {
            let waiting_limit = state.waiting_limit(self.waiting_max, now);
            while state.waiting > waiting_limit && state.evict_one(0) {}
        }
        state.in_use -= 1;
        state.grant_free();
    }

    /// Returns the occupancy of the queue.
    pub(super) fn occupancy(&self) -> Occupancy {
        let state = self.state.lock();
        Occupancy {
            limit: state.limit.permits(),
            in_use: state.in_use,
            waiting: state.waiting,
        }
    }
}

impl QueueState {
    /// Returns how many calls may wait now, `waiting_max` at most.
    fn waiting_limit(&self, waiting_max: usize, now: Instant) -> usize {
        if self.overload.is_active(now) {
            waiting_max.min((self.limit.permits() / 2).max(WAITING_MIN))
        } else {
            waiting_max
        }
    }

    /// Checks the oldest wait if a check is due, and returns whether an overload begins.
    fn detect_overload(&mut self, now: Instant) -> bool {
        let oldest = |lines: &HashMap<String, VecDeque<WaitingCall>>| {
            let first = lines.values().filter_map(|line| line.front());
            first.map(|call| call.since).min()
        };
        let lines = &self.lines;
        self.overload.detect(now, self.waiting, || oldest(lines))
    }

    fn enqueue(&mut self, access: &str, call: WaitingCall) {
        self.waiting += 1;
        if let Some(line) = self.lines.get_mut(access) {
            line.push_back(call);
            return;
        }
        self.lines.insert(access.to_owned(), VecDeque::from([call]));
        self.rotation.push_back(access.to_owned());
    }

    /// Gives free permits to waiting calls.
    fn grant_free(&mut self) {
        while self.in_use < self.limit.permits() {
            let Some(next) = self.next() else {
                return;
            };
            if next.grant.send(()).is_ok() {
                self.in_use += 1;
            }
        }
    }

    /// Takes out the next call. Its access then goes behind all others.
    fn next(&mut self) -> Option<WaitingCall> {
        let access = self.rotation.pop_front()?;
        let line = self.lines.get_mut(&access)?;
        let next = line.pop_front();
        if line.is_empty() {
            self.lines.remove(&access);
        } else {
            self.rotation.push_back(access);
        }
        self.waiting -= usize::from(next.is_some());
        next
    }

    /// In a full queue, evicts the last call of the longest line if this access has fewer waiting calls. Returns whether a call was
    /// evicted.
    fn make_room_for(&mut self, access: &str) -> bool {
        let own_waiting = self.lines.get(access).map_or(0, VecDeque::len);
        self.evict_one(own_waiting + 1)
    }

    /// Evicts the last call of the longest line if the line has more than `keep_min` calls. Returns whether a call was evicted.
    fn evict_one(&mut self, keep_min: usize) -> bool {
        let longest = self.lines.iter_mut().max_by_key(|(_, line)| line.len());
        let Some((access, line)) = longest.filter(|(_, line)| line.len() > keep_min) else {
            return false;
        };
        line.pop_back();
        self.waiting -= 1;
        if line.is_empty() {
            let access = access.clone();
            self.lines.remove(&access);
            self.rotation.retain(|other| *other != access);
        }
        true
    }

    fn remove_abandoned(&mut self) {
        self.lines.retain(|_, line| {
            line.retain(|call| !call.grant.is_closed());
            !line.is_empty()
        });
        let lines = &self.lines;
        self.rotation.retain(|access| lines.contains_key(access));
        self.waiting = self.lines.values().map(VecDeque::len).sum();
    }
}

impl QueuePermit {
    /// Records an attempt of the call with the times of its beginning and end, and whether it got a usable answer.
    pub(super) fn record_attempt(
        &mut self,
        operation: &'static str,
        (began, ended): (Instant, Instant),
        is_success: bool,
    ) {
        let mut state = self.queue.state.lock();
        let attempt = EndedAttempt {
            operation,
            duration: ended - began,
            is_success,
            in_flight_at_start: self.in_flight_at_start,
            under_way: state.in_use,
            has_waiters: state.waiting > 0,
        };
        state.limit.ended(attempt, ended);
        self.ended = Some(ended);
    }

    /// Notes that the call will be repeated, so that its end is still to come.
    pub(super) fn will_retry(&mut self) {
        self.ended = None;
    }
}

impl Drop for QueuePermit {
    fn drop(&mut self) {
        let ended = self.ended.unwrap_or_else(Instant::now);
        self.queue.release(ended);
    }
}

/// A call that waits in a line.
struct QueueWaiter<'a> {
    queue: &'a Arc<AdmissionQueue>,
    granted: oneshot::Receiver<()>,
    has_permit: bool,
}

impl Drop for QueueWaiter<'_> {
    fn drop(&mut self) {
        // If the permit was granted but the call was abandoned before it noticed, the permit goes to another call.
        self.granted.close();
        if !self.has_permit && self.granted.try_recv().is_ok() {
            self.queue.release(Instant::now());
        }
    }
}

#[cfg(test)]
mod tests;
