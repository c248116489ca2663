//! The admission queue in front of the one upstream account. When all permits are taken, each access has a queue of its own,
//! and these take turns: however many calls one access makes, another waits for one of them at most. How many permits there
//! are follows what the upstream takes (`adaptive_limit.rs`), and how many may wait whether the line would only ever grow (`rush.rs`).

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::oneshot;

use super::adaptive_limit::{AdaptiveLimit, EndedAttempt};
use super::rush::Rush;

/// The permits of one upstream, and the calls that wait for one.
pub(super) struct AdmissionQueue {
    waiting_max: usize,
    state: Mutex<QueueState>,
}

struct QueueState {
    limit: AdaptiveLimit,
    rush: Rush,
    taken: usize,
    waiting: usize,
    lines: HashMap<String, VecDeque<oneshot::Sender<()>>>,
    /// The accesses that have a line, in the order of their turns.
    turns: VecDeque<String>,
}

/// ChosenEndpoint to have one call under way; goes to the next in line when dropped.
pub(super) struct QueuePermit {
    queue: Arc<AdmissionQueue>,
    /// Calls under way when it was taken, its own included.
    begun_with: usize,
    /// When the call's last attempt ended, if nothing is to come after it.
    ended: Option<Instant>,
}

/// Every permit is taken, and no more calls may wait.
#[derive(Debug)]
pub(super) struct QueueFull;

/// How full the queue is, for operators.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Occupancy {
    /// Permits that there are now.
    pub(super) limit: usize,
    pub(super) taken: usize,
    /// Who wait, those who have gone included.
    pub(super) waiting: usize,
}

impl AdmissionQueue {
    /// A queue with so many permits at most, and room for so many calls that wait for one.
    pub(super) fn new(permits_max: usize, waiting_max: usize) -> Arc<AdmissionQueue> {
        Arc::new(AdmissionQueue {
            waiting_max,
            state: Mutex::new(QueueState {
                limit: AdaptiveLimit::new(permits_max),
                rush: Rush::default(),
                taken: 0,
                waiting: 0,
                lines: HashMap::new(),
                turns: VecDeque::new(),
            }),
        })
    }

    /// A permit for a call that comes now, if one is free and nobody waits for it.
    pub(super) fn try_acquire(self: &Arc<Self>, now: Instant) -> Option<QueuePermit> {
        let mut state = self.lock();
        state.rush.came(now);
        if state.waiting > 0 || state.taken >= state.limit.permits() {
            return None;
        }
        state.taken += 1;
        let begun_with = state.taken;
        drop(state);
        Some(self.permit(begun_with))
    }

    /// A permit for a call of this access that found none free. Who stops waiting leaves the line.
    pub(super) async fn acquire(self: &Arc<Self>, access: &str) -> Result<QueuePermit, QueueFull> {
        let (turn, called) = oneshot::channel();
        let mut waiting = QueueWaiter {
            queue: self,
            called,
            has_permit: false,
        };
        {
            let mut state = self.lock();
            let room = state.rush.room(self.waiting_max);
            if state.waiting >= room {
                // Those who have gone are still counted until their turn comes.
                state.forget_closed();
                if state.waiting >= room && !state.make_room_for(access) {
                    return Err(QueueFull);
                }
            }
            state.enqueue(access, turn);
            // One may have come free in between.
            state.grant_free();
        }
        // Who was sent away for another, or because the line is too long, has lost the sender.
        (&mut waiting.called).await.map_err(|_| QueueFull)?;
        waiting.has_permit = true;
        let begun_with = self.lock().taken;
        Ok(self.permit(begun_with))
    }

    fn permit(self: &Arc<Self>, begun_with: usize) -> QueuePermit {
        QueuePermit {
            queue: Arc::clone(self),
            begun_with,
            ended: None,
        }
    }

    /// Takes a permit back, for the next who still waits.
    fn release(&self, now: Instant) {
        let mut state = self.lock();
        let (permits, waiting) = (state.limit.permits(), state.waiting);
        if state.rush.went(now, permits, waiting) {
            let room = state.rush.room(self.waiting_max);
            while state.waiting > room && state.evict_one(0) {}
        }
        state.taken -= 1;
        state.grant_free();
    }

    /// How full the queue is.
    pub(super) fn occupancy(&self) -> Occupancy {
        let state = self.lock();
        Occupancy {
            limit: state.limit.permits(),
            taken: state.taken,
            waiting: state.waiting,
        }
    }

    /// The state is whole after every statement, so a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl QueueState {
    fn enqueue(&mut self, access: &str, turn: oneshot::Sender<()>) {
        self.waiting += 1;
        if let Some(line) = self.lines.get_mut(access) {
            line.push_back(turn);
            return;
        }
        self.lines.insert(access.to_owned(), VecDeque::from([turn]));
        self.turns.push_back(access.to_owned());
    }

    /// Gives free permits to those who wait.
    fn grant_free(&mut self) {
        while self.taken < self.limit.permits() {
            let Some(next) = self.next() else {
                return;
            };
            if next.send(()).is_ok() {
                self.taken += 1;
            }
        }
    }

    /// The next whose turn it is; their access then goes behind all others.
    fn next(&mut self) -> Option<oneshot::Sender<()>> {
        let access = self.turns.pop_front()?;
        let line = self.lines.get_mut(&access)?;
        let next = line.pop_front();
        if line.is_empty() {
            self.lines.remove(&access);
        } else {
            self.turns.push_back(access);
        }
        self.waiting -= usize::from(next.is_some());
        next
    }

    /// In a full line, whoever has fewer in it goes before the last of those who have the most.
    fn make_room_for(&mut self, access: &str) -> bool {
        let mine = self.lines.get(access).map_or(0, VecDeque::len);
        self.evict_one(mine + 1)
    }

    /// Sends away the last of the longest line, if more than so many are in it.
    fn evict_one(&mut self, kept: usize) -> bool {
        let longest = self.lines.iter_mut().max_by_key(|(_, line)| line.len());
        let Some((access, line)) = longest.filter(|(_, line)| line.len() > kept) else {
            return false;
        };
        line.pop_back();
        self.waiting -= 1;
        if line.is_empty() {
            let access = access.clone();
            self.lines.remove(&access);
            self.turns.retain(|other| *other != access);
        }
        true
    }

    fn forget_closed(&mut self) {
        self.lines.retain(|_, line| {
            line.retain(|turn| !turn.is_closed());
            !line.is_empty()
        });
        let lines = &self.lines;
        self.turns.retain(|access| lines.contains_key(access));
        self.waiting = self.lines.values().map(VecDeque::len).sum();
    }
}

impl QueuePermit {
    /// An attempt of the call has begun and ended then, with an answer that can be used or without.
    pub(super) fn record_attempt(
        &mut self,
        operation: &'static str,
        (began, ended): (Instant, Instant),
        is_success: bool,
    ) {
        let mut state = self.queue.lock();
        let sample = EndedAttempt {
            operation,
            took: ended - began,
            is_success,
            begun_with: self.begun_with,
            under_way: state.taken,
            somebody_waits: state.waiting > 0,
        };
        state.limit.ended(sample, ended);
        self.ended = Some(ended);
    }

    /// The call is to be made again, so that its end is still to come.
    pub(super) fn goes_on(&mut self) {
        self.ended = None;
    }
}

impl Drop for QueuePermit {
    fn drop(&mut self) {
        let ended = self.ended.unwrap_or_else(Instant::now);
        self.queue.release(ended);
    }
}

/// Somebody in a line.
struct QueueWaiter<'a> {
    queue: &'a Arc<AdmissionQueue>,
    called: oneshot::Receiver<()>,
    has_permit: bool,
}

impl Drop for QueueWaiter<'_> {
    fn drop(&mut self) {
        // UpstreamOutcome, and gone before it was noticed: the permit is somebody else's.
        self.called.close();
        if !self.has_permit && self.called.try_recv().is_ok() {
            self.queue.release(Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::mpsc;

    use super::*;

    impl AdmissionQueue {
        /// A permit, at once or in its turn.
        async fn take(self: &Arc<Self>, access: &str) -> Result<QueuePermit, QueueFull> {
            match self.try_acquire(Instant::now()) {
                Some(permit) => Ok(permit),
                None => self.acquire(access).await,
            }
        }
    }

    /// A task that takes a permit, says so, and keeps it until it is sample.
    fn caller(
        queue: &Arc<AdmissionQueue>,
        access: &'static str,
        served: &mpsc::UnboundedSender<&'static str>,
    ) -> tokio::task::JoinHandle<()> {
        let (queue, served) = (Arc::clone(queue), served.clone());
        tokio::spawn(async move {
            if let Ok(_permit) = queue.take(access).await {
                served.send(access).unwrap();
            }
        })
    }

    /// Nobody has a permit and nobody waits.
    fn free(limit: usize) -> Occupancy {
        Occupancy {
            limit,
            ..Occupancy::default()
        }
    }

    #[tokio::test]
    async fn lines_take_turns_whatever_their_length() {
        let queue = AdmissionQueue::new(1, 100);
        let first = queue.take("greedy").await.unwrap();
        let (served, mut order) = mpsc::unbounded_channel();
        for _ in 0..10 {
            caller(&queue, "greedy", &served);
        }
        tokio::task::yield_now().await;
        caller(&queue, "modest", &served);
        tokio::task::yield_now().await;
        assert_eq!(queue.occupancy().waiting, 11);
        drop(first);
        let mut seen = Vec::new();
        for _ in 0..11 {
            seen.push(order.recv().await.unwrap());
        }
        assert_eq!(seen[..3], ["greedy", "modest", "greedy"]);
        assert_eq!(queue.occupancy(), free(1));
    }

    #[tokio::test]
    async fn a_full_line_refuses_and_who_has_gone_makes_room() {
        let queue = AdmissionQueue::new(1, 2);
        let first = queue.take("a").await.unwrap();
        let (served, mut order) = mpsc::unbounded_channel();
        let waiting = [caller(&queue, "a", &served), caller(&queue, "b", &served)];
        tokio::task::yield_now().await;
        assert!(queue.take("b").await.is_err());
        for gone in waiting {
            gone.abort();
            assert!(gone.await.unwrap_err().is_cancelled());
        }
        caller(&queue, "c", &served);
        tokio::task::yield_now().await;
        drop(first);
        assert_eq!(order.recv().await, Some("c"));
        assert_eq!(queue.lock().taken, 0);
    }

    #[tokio::test]
    async fn a_full_line_yields_its_last_to_an_access_with_fewer_in_it() {
        let queue = AdmissionQueue::new(1, 4);
        let first = queue.take("greedy").await.unwrap();
        let (served, mut order) = mpsc::unbounded_channel();
        let greedy: Vec<_> = (0..4).map(|_| caller(&queue, "greedy", &served)).collect();
        tokio::task::yield_now().await;
        for _ in 0..2 {
            caller(&queue, "modest", &served);
        }
        tokio::task::yield_now().await;
        assert!(queue.take("modest").await.is_err());
        assert!(queue.take("greedy").await.is_err());
        assert_eq!(queue.occupancy().waiting, 4);
        drop(first);
        for access in ["greedy", "modest", "greedy", "modest"] {
            assert_eq!(order.recv().await, Some(access));
        }
        for sent_away in greedy {
            sent_away.await.unwrap();
        }
        assert_eq!(queue.occupancy(), free(1));
    }

    #[tokio::test]
    async fn in_a_rush_few_wait_and_all_others_are_refused_at_once() {
        let queue = AdmissionQueue::new(2, 1000);
        let (admit, mut admitted) = mpsc::unbounded_channel();
        let (mut now, mut held) = (Instant::now(), Vec::<QueuePermit>::new());
        let (mut served, mut longest) = (0, 0);
        // Six calls come where two go, for a second and then until nobody waits.
        for round in 0.. {
            now += Duration::from_millis(2);
            for mut permit in held.drain(..) {
                permit.ended = Some(now);
                drop(permit);
                served += 1;
            }
            let come = if round < 500 { 6 } else { 0 };
            for _ in 0..come {
                if let Some(permit) = queue.try_acquire(now) {
                    held.push(permit);
                    continue;
                }
                let (queue, admit) = (Arc::clone(&queue), admit.clone());
                tokio::spawn(async move {
                    if let Ok(permit) = queue.acquire("a").await {
                        admit.send(permit).unwrap();
                    }
                });
            }
            tokio::task::yield_now().await;
            held.extend(std::iter::from_fn(|| admitted.try_recv().ok()));
            if (300..500).contains(&round) {
                longest = longest.max(queue.occupancy().waiting);
            }
            if round >= 500 && held.is_empty() {
                break;
            }
        }
        // Two thirds of them too many, which would be a line of hundreds.
        assert!(longest < 100, "{longest}");
        assert!((900..1200).contains(&served), "{served}");
        assert_eq!(queue.occupancy(), free(2));
    }

    #[tokio::test]
    async fn a_permit_given_to_somebody_who_leaves_at_that_moment_is_not_lost() {
        let queue = AdmissionQueue::new(1, 10);
        for _ in 0..1000 {
            let permit = queue.take("a").await.unwrap();
            let (served, _order) = mpsc::unbounded_channel();
            let waiting = caller(&queue, "b", &served);
            tokio::task::yield_now().await;
            drop(permit);
            waiting.abort();
            let _ = waiting.await;
        }
        let free = tokio::time::timeout(Duration::from_secs(5), queue.take("a")).await;
        assert!(free.unwrap().is_ok());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn never_more_than_there_are_permits() {
        let queue = AdmissionQueue::new(3, 10_000);
        let most = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let mut callers = tokio::task::JoinSet::new();
        for n in 0..2000 {
            let (queue, most) = (Arc::clone(&queue), Arc::clone(&most));
            callers.spawn(async move {
                let access = ["a", "b", "c"][n % 3];
                let _permit = queue.take(access).await.unwrap();
                most.fetch_max(queue.lock().taken, std::sync::atomic::Ordering::SeqCst);
                tokio::task::yield_now().await;
            });
        }
        callers.join_all().await;
        assert_eq!(most.load(std::sync::atomic::Ordering::SeqCst), 3);
        assert_eq!(queue.lock().taken, 0);
    }
}
