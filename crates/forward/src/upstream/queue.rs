//! The admission queue in front of the one upstream account. When all permits are taken, each access has a line of its own, and
//! the lines take turns: however many calls one access makes, another waits for one of them at most. How many permits there
//! are follows what the upstream takes (`adaptive_limit.rs`).
//!
//! A line that is long because many calls came at once is worked off. While more calls come than the upstream takes
//! (`overload.rs`), few may wait, and the others are refused at once instead of late.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::oneshot;

use super::adaptive_limit::{AdaptiveLimit, EndedAttempt};
use super::overload::Overload;

/// During an overload half as many calls wait as there are permits, so that waiting costs less than being served, and no fewer
/// than this.
const WAITING_LEAST: usize = 4;

/// The permits of one upstream, and the calls that wait for one.
pub(super) struct AdmissionQueue {
    waiting_max: usize,
    state: Mutex<QueueState>,
}

struct QueueState {
    limit: AdaptiveLimit,
    overload: Overload,
    taken: usize,
    waiting: usize,
    lines: HashMap<String, VecDeque<WaitingCall>>,
    /// The accesses that have a line, in the order of their turns.
    turns: VecDeque<String>,
}

struct WaitingCall {
    since: Instant,
    grant: oneshot::Sender<()>,
}

/// Leave to have one call under way; goes to the next in line when dropped.
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
    /// Calls that wait, those that have been given up included.
    pub(super) waiting: usize,
}

impl AdmissionQueue {
    /// A queue with so many permits at most, and room for so many calls that wait for one.
    pub(super) fn new(permits_max: usize, waiting_max: usize) -> Arc<AdmissionQueue> {
        AdmissionQueue::with(AdaptiveLimit::new(permits_max), waiting_max)
    }

    /// A queue within other bounds that begins with what this one has found out; this one, if they are its own.
    pub(super) fn renewed(
        self: &Arc<Self>,
        permits_max: usize,
        waiting_max: usize,
    ) -> Arc<AdmissionQueue> {
        let limit = self.lock().limit.clone();
        if limit.ceiling() == permits_max && self.waiting_max == waiting_max {
            return Arc::clone(self);
        }
        AdmissionQueue::with(limit.below(permits_max), waiting_max)
    }

    fn with(limit: AdaptiveLimit, waiting_max: usize) -> Arc<AdmissionQueue> {
        Arc::new(AdmissionQueue {
            waiting_max,
            state: Mutex::new(QueueState {
                limit,
                overload: Overload::default(),
                taken: 0,
                waiting: 0,
                lines: HashMap::new(),
                turns: VecDeque::new(),
            }),
        })
    }

    /// A permit for a call that comes now, if one is free and no call waits for it.
    pub(super) fn try_acquire(self: &Arc<Self>) -> Option<QueuePermit> {
        let mut state = self.lock();
        if state.waiting > 0 || state.taken >= state.limit.permits() {
            return None;
        }
        state.taken += 1;
        let begun_with = state.taken;
        drop(state);
        Some(self.permit(begun_with))
    }

    /// A permit for a call of this access that found none free. A call that is given up leaves the line.
    ///
    /// # Errors
    /// When too many calls wait, or one of an access with fewer of them takes this one's room.
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
            let mut state = self.lock();
            let room = state.room(self.waiting_max, now);
            if state.waiting >= room {
                // Calls that were given up are counted until their turn comes.
                state.forget_closed();
            }
            if state.waiting >= room {
                state.overload.refused(now);
                if !state.make_room_for(access) {
                    return Err(QueueFull);
                }
            }
            state.enqueue(access, WaitingCall { since: now, grant });
            // A permit may have come free in between.
            state.grant_free();
        }
        // An evicted call has lost the sender.
        (&mut waiter.granted).await.map_err(|_| QueueFull)?;
        waiter.has_permit = true;
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

    /// Takes a permit back, for the next call that still waits.
    fn release(&self, now: Instant) {
        let mut state = self.lock();
        if state.waiting > 0 && state.overload_begins(now) {
            let room = state.room(self.waiting_max, now);
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
    /// How many calls may wait, of so many at most.
    fn room(&self, waiting_max: usize, now: Instant) -> usize {
        if self.overload.is_on(now) {
            waiting_max.min((self.limit.permits() / 2).max(WAITING_LEAST))
        } else {
            waiting_max
        }
    }

    /// Looks at the oldest wait, if it is time to.
    fn overload_begins(&mut self, now: Instant) -> bool {
        let oldest = |lines: &HashMap<String, VecDeque<WaitingCall>>| {
            let first = lines.values().filter_map(|line| line.front());
            first.map(|call| call.since).min()
        };
        let lines = &self.lines;
        self.overload.begins(now, self.waiting, || oldest(lines))
    }

    fn enqueue(&mut self, access: &str, call: WaitingCall) {
        self.waiting += 1;
        if let Some(line) = self.lines.get_mut(access) {
            line.push_back(call);
            return;
        }
        self.lines.insert(access.to_owned(), VecDeque::from([call]));
        self.turns.push_back(access.to_owned());
    }

    /// Gives free permits to the calls that wait.
    fn grant_free(&mut self) {
        while self.taken < self.limit.permits() {
            let Some(next) = self.next() else {
                return;
            };
            if next.grant.send(()).is_ok() {
                self.taken += 1;
            }
        }
    }

    /// The next call; its access then goes behind all others.
    fn next(&mut self) -> Option<WaitingCall> {
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

    /// In a full queue, a call of an access with fewer in it takes the room of the last of those that have the most.
    fn make_room_for(&mut self, access: &str) -> bool {
        let mine = self.lines.get(access).map_or(0, VecDeque::len);
        self.evict_one(mine + 1)
    }

    /// Evicts the last of the longest line, if more than so many are in it.
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
            line.retain(|call| !call.grant.is_closed());
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
        let attempt = EndedAttempt {
            operation,
            took: ended - began,
            is_success,
            begun_with: self.begun_with,
            under_way: state.taken,
            somebody_waits: state.waiting > 0,
        };
        state.limit.ended(attempt, ended);
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

/// A call in a line.
struct QueueWaiter<'a> {
    queue: &'a Arc<AdmissionQueue>,
    granted: oneshot::Receiver<()>,
    has_permit: bool,
}

impl Drop for QueueWaiter<'_> {
    fn drop(&mut self) {
        // Granted, and given up before that was noticed: the permit is another call's.
        self.granted.close();
        if !self.has_permit && self.granted.try_recv().is_ok() {
            self.queue.release(Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};
    use std::time::Duration;

    use tokio::sync::mpsc;

    use super::*;
    use crate::upstream::overload::SOJOURN_TARGET;

    impl AdmissionQueue {
        /// A permit, at once or in its turn.
        async fn take(self: &Arc<Self>, access: &str) -> Result<QueuePermit, QueueFull> {
            match self.try_acquire() {
                Some(permit) => Ok(permit),
                None => self.acquire(access, Instant::now()).await,
            }
        }
    }

    /// A task that takes a permit, says so, and gives it back.
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

    type Acquiring = Pin<Box<dyn Future<Output = Result<QueuePermit, QueueFull>>>>;

    /// An upstream with a service time, and the calls in front of it, by a clock that moves in steps of a millisecond.
    struct Model {
        queue: Arc<AdmissionQueue>,
        now: Instant,
        waiting: Vec<(Instant, Acquiring)>,
        in_work: Vec<(Instant, QueuePermit)>,
        refused: usize,
        longest: Duration,
    }

    const SERVICE: Duration = Duration::from_millis(50);

    impl Model {
        fn new(permits: usize) -> Model {
            Model {
                queue: AdmissionQueue::new(permits, 1000),
                now: Instant::now(),
                waiting: Vec::new(),
                in_work: Vec::new(),
                refused: 0,
                longest: Duration::ZERO,
            }
        }

        fn come(&mut self, calls: usize) {
            for _ in 0..calls {
                let (queue, now) = (Arc::clone(&self.queue), self.now);
                match queue.try_acquire() {
                    Some(permit) => self.in_work.push((now, permit)),
                    None => {
                        let acquire = Box::pin(async move { queue.acquire("a", now).await });
                        self.waiting.push((now, acquire));
                    }
                }
            }
        }

        /// A millisecond goes by. Returns how many calls have ended.
        fn step(&mut self) -> usize {
            self.now += Duration::from_millis(1);
            let now = self.now;
            let ended = self.in_work.extract_if(.., |(began, permit)| {
                let has_ended = *began + SERVICE <= now;
                if has_ended {
                    permit.record_attempt("getchats", (*began, now), true);
                }
                has_ended
            });
            let ended = ended.count();
            let mut context = Context::from_waker(Waker::noop());
            for (since, mut acquire) in std::mem::take(&mut self.waiting) {
                match acquire.as_mut().poll(&mut context) {
                    Poll::Pending => self.waiting.push((since, acquire)),
                    Poll::Ready(Ok(permit)) => {
                        self.longest = self.longest.max(now - since);
                        self.in_work.push((now, permit));
                    }
                    Poll::Ready(Err(QueueFull)) => self.refused += 1,
                }
            }
            ended
        }
    }

    #[test]
    fn within_other_bounds_it_keeps_what_it_has_found_out() {
        let queue = AdmissionQueue::new(400, 10);
        assert!(Arc::ptr_eq(&queue, &queue.renewed(400, 10)));
        let mut now = Instant::now();
        {
            let mut state = queue.lock();
            // Each call takes a hundred times what it takes alone.
            for (begun_with, took) in [(1, 10), (50, 1000)] {
                for _ in 0..200 {
                    let ended = EndedAttempt {
                        operation: "getchatchannels",
                        took: Duration::from_millis(took),
                        is_success: true,
                        begun_with,
                        under_way: begun_with,
                        somebody_waits: true,
                    };
                    now += Duration::from_millis(10);
                    state.limit.ended(ended, now);
                }
            }
        }
        let found = queue.occupancy().limit;
        assert!(
            found < AdmissionQueue::new(400, 10).occupancy().limit,
            "{found}"
        );
        assert_eq!(queue.renewed(400, 20).occupancy().limit, found);
        assert_eq!(queue.renewed(300, 10).occupancy().limit, found);
        assert_eq!(queue.renewed(2, 10).occupancy().limit, 2);
    }

    #[test]
    fn while_too_many_calls_come_few_wait_and_the_others_are_refused_at_once() {
        let mut model = Model::new(10);
        // Ten calls of 50 ms are one in 5 ms; three times as many come.
        for ms in 0..2000 {
            model.come(if ms % 5 == 0 { 3 } else { 0 });
            model.step();
            if ms == 1000 {
                assert!(model.refused > 100, "{}", model.refused);
                model.longest = Duration::ZERO;
            }
            assert!(ms < 1000 || model.queue.occupancy().waiting <= 5);
        }
        assert!(model.longest <= SERVICE, "{:?}", model.longest);
        let refused = model.refused;
        for ms in 0..1000 {
            model.come(usize::from(ms % 7 == 0));
            model.step();
        }
        assert_eq!(model.refused, refused, "the overload is over");
    }

    #[test]
    fn many_calls_at_once_are_worked_off() {
        let mut model = Model::new(10);
        model.come(500);
        for _ in 0..3000 {
            model.step();
        }
        assert_eq!((model.refused, model.in_work.len()), (0, 0));
        assert!(model.longest >= Duration::from_secs(2));
    }

    #[test]
    fn callers_who_each_wait_for_their_answer_are_not_refused() {
        let mut model = Model::new(10);
        let mut callers = 0;
        for ms in 0..20_000 {
            if ms % 50 == 0 && callers < 100 {
                callers += 1;
                model.come(1);
            }
            let ended = model.step();
            model.come(ended);
        }
        assert_eq!(model.refused, 0);
        assert!(model.longest > SOJOURN_TARGET);
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
