//! Threads that hash passwords, separate from all other work. A hash takes a core for a fiftieth of a second, and callers with
//! proven secrets must not wait for guesses. Addresses take turns for permits, addresses that were right before come first, and a
//! call that waits for too long is rejected.

mod queue;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use foldhash::quality::RandomState;
use moka::sync::Cache;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use queue::{HashQueue, Ticket};
pub(crate) use queue::{HashRequest, Rank};

/// Longest wait of a call for its permit before it is rejected as overloaded: long enough for a first login on a machine with busy
/// cores, and shorter than the timeout of common clients.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// Maximum number of passwords hashed at the same time, however many cores there are. Each takes 19 MiB and a reservation among the
/// guesses for its name, and an owner's calls at a cold start must not use up all of these.
const CONCURRENT_MAX: usize = 16;

/// Niceness of these threads. Next to other threads that want the core they get a quarter of it, and otherwise all of it. With
/// less, a neighbour on the same machine would delay first logins beyond their timeout.
const NICENESS: i32 = 5;

/// The time for which an address stays known after it was last right, and the maximum number of such addresses. A caller that
/// pauses for a week must not be queued behind strangers, and a record takes about 100 bytes.
const KNOWN_REST: Duration = Duration::from_secs(30 * 24 * 60 * 60);
const KNOWN_MAX: u64 = 20_000;

type Job = Box<dyn FnOnce() + Send>;

/// The threads, and the queue of calls that wait for them.
pub(crate) struct Hashing {
    permits: Arc<HashPermits>,
    jobs: Sender<Job>,
    /// Addresses that were right, from inside the networks of their access.
    known: Cache<IpAddr, (), RandomState>,
}

/// The outcome of waiting for a permit.
#[derive(Debug)]
pub(crate) enum HashWaitResult {
    /// A permit.
    Permit(HashPermit),
    /// Another call has proven the same secret in the meantime.
    Proven,
}

/// The permit of one hash. When it is dropped, the next call in the queue gets it.
#[derive(Debug)]
pub(crate) struct HashPermit {
    permits: Arc<HashPermits>,
    /// True if dropping it passes nothing on.
    is_over: bool,
}

impl HashPermit {
    fn of(permits: &Arc<HashPermits>) -> HashPermit {
        HashPermit {
            permits: Arc::clone(permits),
            is_over: false,
        }
    }
}

/// The free permits, and the queue of calls that wait for one. The lock is held for a few steps, never while a call waits.
struct HashPermits(Mutex<HashQueueState>);

struct HashQueueState {
    free: usize,
    queue: HashQueue<oneshot::Sender<HashWaitResult>>,
}

impl Hashing {
    /// Starts this number of threads. They end when this value is dropped.
    pub(crate) fn new(at_once: usize) -> Hashing {
        let at_once = at_once.clamp(1, CONCURRENT_MAX);
        let (jobs, waiting) = channel::<Job>();
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..at_once {
            let waiting = Arc::clone(&waiting);
            std::thread::spawn(move || work(&waiting));
        }
        let state = HashQueueState {
            free: at_once,
            queue: HashQueue::new(),
        };
        Hashing {
            permits: Arc::new(HashPermits(Mutex::new(state))),
            jobs,
            known: Cache::builder()
                .max_capacity(KNOWN_MAX)
                .time_to_idle(KNOWN_REST)
                .build_with_hasher(RandomState::default()),
        }
    }

    /// Returns the rank of an address (in its counted form) that is or is not inside the networks of the presented name.
    pub(crate) fn rank(&self, address: IpAddr, is_inside: bool) -> Rank {
        match is_inside {
            _ if self.known.get(&address).is_some() => Rank::Known,
            true => Rank::Inside,
            false => Rank::Outside,
        }
    }

    /// Notes that an address was right, from inside the networks of its access.
    pub(crate) fn remember(&self, address: IpAddr) {
        self.known.insert(address, ());
    }

    /// Waits for a permit. Returns `None` if too many calls wait or the wait takes too long.
    pub(crate) async fn permit(&self, request: HashRequest) -> Option<HashWaitResult> {
        let (permit, granted) = oneshot::channel();
        let ticket = {
            let mut state = self.permits.0.lock();
            if state.free > 0 {
                state.free -= 1;
                return Some(HashWaitResult::Permit(HashPermit::of(&self.permits)));
            }
            // An evicted call notices that its sender was dropped.
            state.queue.push(request, permit)?
        };
        let _waits = LeaveOnDrop {
            permits: &self.permits,
            request,
            ticket,
        };
        tokio::time::timeout(WAIT_MAX, granted).await.ok()?.ok()
    }

    /// Lets all calls continue that wait with the same, now proven secret.
    pub(crate) fn release_proven(&self, key: u128) {
        let waiting = self.permits.0.lock().queue.take(key);
        for permit in waiting {
            // A call that has given up does not receive this.
            let _ = permit.send(HashWaitResult::Proven);
        }
    }

    /// Runs the work on one of the threads, even if the caller disconnects. Returns `None` if the work panicked.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        permit: HashPermit,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let (done, outcome) = oneshot::channel();
        let job = Box::new(move || {
            // The permit lives as long as the work. Nobody may be waiting for the outcome any more.
            let _turn = permit;
            let _ = done.send(work());
        });
        self.jobs.send(job).ok()?;
        outcome.await.ok()
    }
}

impl std::fmt::Debug for HashPermits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HashPermits")
    }
}

impl Drop for HashPermit {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        loop {
            let mut state = self.permits.0.lock();
            let Some(next) = state.queue.pop() else {
                state.free += 1;
                return;
            };
            drop(state);
            match next.send(HashWaitResult::Permit(HashPermit::of(&self.permits))) {
                // The receiver has given up at this very moment, so this permit goes to the next call.
                Err(HashWaitResult::Permit(mut refused)) => refused.is_over = true,
                Ok(()) | Err(HashWaitResult::Proven) => return,
            }
        }
    }
}

fn work(jobs: &Mutex<Receiver<Job>>) {
    // On Linux each thread has its own niceness. If it can't be set, the work is done anyway.
    let _ = rustix::process::setpriority_process(None, NICENESS);
    loop {
        let job = jobs.lock().recv();
        let Ok(job) = job else {
            return;
        };
        // The panic hook has already reported a panic, and the waiting call notices that no outcome came.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
    }
}

/// A waiting call. It leaves the queue when dropped.
struct LeaveOnDrop<'a> {
    permits: &'a HashPermits,
    request: HashRequest,
    ticket: Ticket,
}

impl Drop for LeaveOnDrop<'_> {
    fn drop(&mut self) {
        self.permits
            .0
            .lock()
            .queue
            .remove(self.request, self.ticket);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::queue::WAITING_PER_ADDRESS_MAX;
    use super::*;

    fn request(host: u8, key: u128) -> HashRequest {
        HashRequest {
            rank: Rank::Inside,
            address: IpAddr::from([10, 0, 0, host]),
            key,
        }
    }

    async fn permit(hashing: &Hashing) -> HashPermit {
        match hashing.permit(request(1, 0)).await {
            Some(HashWaitResult::Permit(permit)) => permit,
            other => panic!("{other:?}"),
        }
    }

    /// Waits until this number of calls is in the queue.
    async fn wait_for_queue_length(hashing: &Hashing, count: usize) {
        for _ in 0..10_000 {
            if hashing.permits.0.lock().queue.waiting() >= count {
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!("not {count} wait");
    }

    #[tokio::test]
    async fn calls_waiting_for_hashing_are_bounded_and_a_panic_returns_its_permit() {
        let hashing = Arc::new(Hashing::new(1));
        let first = permit(&hashing).await;
        assert_eq!(
            hashing.run(first, || -> u32 { panic!("meant") }).await,
            None
        );
        let first = permit(&hashing).await;
        let (held, barrier) = (Arc::clone(&hashing), Arc::new(Barrier::new(2)));
        let until = Arc::clone(&barrier);
        let held =
            tokio::spawn(async move { held.run(first, move || until.wait()).await.is_some() });
        let mut waiting = tokio::task::JoinSet::new();
        for _ in 0..WAITING_PER_ADDRESS_MAX {
            let hashing = Arc::clone(&hashing);
            waiting.spawn(async move { hashing.permit(request(1, 0)).await.is_some() });
        }
        wait_for_queue_length(&hashing, WAITING_PER_ADDRESS_MAX).await;
        assert!(hashing.permit(request(1, 0)).await.is_none());
        barrier.wait();
        assert!(held.await.unwrap());
        assert!(waiting.join_all().await.iter().all(|has_turn| *has_turn));
        let state = hashing.permits.0.lock();
        assert!(state.queue.waiting() == 0 && state.free == 1);
    }

    #[tokio::test]
    async fn proven_callers_need_no_hash_permit_and_cancelled_callers_keep_none() {
        let hashing = Arc::new(Hashing::new(1));
        let held = permit(&hashing).await;
        let mut waiting = tokio::task::JoinSet::new();
        for (host, key) in [(2, 7), (3, 7), (4, 8)] {
            let hashing = Arc::clone(&hashing);
            waiting.spawn(async move { hashing.permit(request(host, key)).await });
        }
        wait_for_queue_length(&hashing, 3).await;
        hashing.release_proven(7);
        for _ in 0..2 {
            let grant = waiting.join_next().await.unwrap().unwrap();
            assert!(matches!(grant, Some(HashWaitResult::Proven)), "{grant:?}");
        }
        waiting.abort_all();
        while waiting.join_next().await.is_some() {}
        drop(held);
        let state = hashing.permits.0.lock();
        assert!(state.queue.waiting() == 0 && state.free == 1);
    }

    #[test]
    fn an_address_that_has_logged_in_gets_the_best_hashing_rank() {
        let hashing = Hashing::new(1);
        let [right, other] = [1, 2].map(|host| IpAddr::from([10, 0, 0, host]));
        hashing.remember(right);
        let ranks = |address| [true, false].map(|is_inside| hashing.rank(address, is_inside));
        assert_eq!(ranks(right), [Rank::Known, Rank::Known]);
        assert_eq!(ranks(other), [Rank::Inside, Rank::Outside]);
    }

    #[tokio::test]
    async fn only_hashing_threads_run_with_lower_priority() {
        let hashing = Hashing::new(1);
        let niceness = || rustix::process::getpriority_process(None).unwrap();
        let before = niceness();
        let first = permit(&hashing).await;
        assert_eq!(
            hashing.run(first, niceness).await,
            Some(NICENESS.max(before))
        );
        assert_eq!(niceness(), before);
    }
}
