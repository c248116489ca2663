//! Tests that permits are never lost and never too many, that lines take turns, and that excess calls are rejected immediately.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::mpsc;

use super::*;
use crate::upstream::overload::SOJOURN_TARGET;

impl AdmissionQueue {
    /// Returns a permit, immediately or in its turn.
    async fn take(self: &Arc<Self>, access: &str) -> Result<QueuePermit, QueueFull> {
        match self.try_acquire() {
            Some(permit) => Ok(permit),
            None => self.acquire(access, Instant::now()).await,
        }
    }
}

/// Starts a task that takes a permit, reports that, and gives the permit back.
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

/// Returns the occupancy without taken permits and without waiting calls.
fn free(limit: usize) -> Occupancy {
    Occupancy {
        limit,
        ..Occupancy::default()
    }
}

#[tokio::test]
async fn accesses_take_turns_for_permits_regardless_of_queue_length() {
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
async fn a_full_queue_rejects_calls_and_cancelled_callers_free_their_slots() {
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
    assert_eq!(queue.state.lock().in_use, 0);
}

#[tokio::test]
async fn a_full_queue_evicts_a_call_for_an_access_with_fewer_waiting_calls() {
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

/// An upstream with a service time, and the calls in front of it, on a clock that moves in steps of a millisecond.
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

    fn start_calls(&mut self, calls: usize) {
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

    /// Advances the clock by a millisecond. Returns the number of calls that have ended.
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
fn a_reconfigured_queue_keeps_its_adaptive_limit() {
    let queue = AdmissionQueue::new(400, 10);
    assert!(Arc::ptr_eq(&queue, &queue.reconfigured(400, 10)));
    let mut now = Instant::now();
    {
        let mut state = queue.state.lock();
        // Each call takes a hundred times as long as it takes alone.
        for (in_flight_at_start, took) in [(1, 10), (50, 1000)] {
            for _ in 0..200 {
                let ended = EndedAttempt {
                    operation: "getchatchannels",
                    duration: Duration::from_millis(took),
                    is_success: true,
                    in_flight_at_start,
                    under_way: in_flight_at_start,
                    has_waiters: true,
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
    assert_eq!(queue.reconfigured(400, 20).occupancy().limit, found);
    assert_eq!(queue.reconfigured(300, 10).occupancy().limit, found);
    assert_eq!(queue.reconfigured(2, 10).occupancy().limit, 2);
}

#[test]
fn under_overload_few_calls_wait_and_excess_calls_are_rejected() {
    let mut model = Model::new(10);
    // Ten concurrent calls of 50 ms are one call in 5 ms. Three times as many arrive.
    for ms in 0..2000 {
        model.start_calls(if ms % 5 == 0 { 3 } else { 0 });
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
        model.start_calls(usize::from(ms % 7 == 0));
        model.step();
    }
    assert_eq!(model.refused, refused, "the overload is over");
}

#[test]
fn a_burst_of_calls_is_served_without_rejection() {
    let mut model = Model::new(10);
    model.start_calls(500);
    for _ in 0..3000 {
        model.step();
    }
    assert_eq!((model.refused, model.in_work.len()), (0, 0));
    assert!(model.longest >= Duration::from_secs(2));
}

#[test]
fn callers_that_wait_for_each_answer_are_never_rejected() {
    let mut model = Model::new(10);
    let mut callers = 0;
    for ms in 0..20_000 {
        if ms % 50 == 0 && callers < 100 {
            callers += 1;
            model.start_calls(1);
        }
        let ended = model.step();
        model.start_calls(ended);
    }
    assert_eq!(model.refused, 0);
    assert!(model.longest > SOJOURN_TARGET);
}

#[tokio::test]
async fn a_permit_granted_to_a_caller_that_disconnects_is_not_lost() {
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
async fn concurrent_callers_never_exceed_the_number_of_permits() {
    let queue = AdmissionQueue::new(3, 10_000);
    let most = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let mut callers = tokio::task::JoinSet::new();
    for n in 0..2000 {
        let (queue, most) = (Arc::clone(&queue), Arc::clone(&most));
        callers.spawn(async move {
            let access = ["a", "b", "c"][n % 3];
            let _permit = queue.take(access).await.unwrap();
            most.fetch_max(
                queue.state.lock().in_use,
                std::sync::atomic::Ordering::SeqCst,
            );
            tokio::task::yield_now().await;
        });
    }
    callers.join_all().await;
    assert_eq!(most.load(std::sync::atomic::Ordering::SeqCst), 3);
    assert_eq!(queue.state.lock().in_use, 0);
}
