//! Threads that hash passwords, apart from everything else: a hash takes a core for a fiftieth of a second, and whoever has
//! proved themselves long ago is not to wait for those who guess. Addresses take permits, those that were right before ahead
//! of all others, and who waits for too long is told.

mod queue;

use std::net::IpAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use foldhash::quality::RandomState;
use moka::sync::Cache;
use tokio::sync::oneshot;

use queue::{HashQueue, Ticket};
pub(crate) use queue::{HashRequest, Rank};

/// How long a call waits for its permit before it is refused as overloaded: long enough for a first login on a machine whose
/// cores others want as well, and shorter than what common clients wait for an answer.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// Most passwords hashed at once, however many cores there are: each takes 19 MiB and a place among the guesses for its
/// name, of which an owner's calls at a cold start must not run out.
const AT_ONCE_MAX: usize = 16;

/// How far these threads stand back: beside others that want the core they get a quarter of it, and alone all of it. With less
/// a neighbour on the same machine would keep first logins waiting for longer than they may.
const NICENESS: i32 = 5;

/// How long an address that was right stays known after it was last right, and most of them: a caller that rests for a week
/// is not to start behind strangers, and a record is some 100 bytes.
const KNOWN_REST: Duration = Duration::from_secs(30 * 24 * 60 * 60);
const KNOWN_MAX: u64 = 20_000;

type Job = Box<dyn FnOnce() + Send>;

/// The threads and who waits for them.
pub(crate) struct Hashing {
    permits: Arc<HashPermits>,
    jobs: Sender<Job>,
    /// Addresses that were right, from inside the networks of their access.
    known: Cache<IpAddr, (), RandomState>,
}

/// What became of waiting.
#[derive(Debug)]
pub(crate) enum Grant {
    /// A permit.
    Permit(HashPermit),
    /// Somebody else has proven meanwhile what was to be proven.
    Proven,
}

/// A permit; over when dropped, and then the next one's.
#[derive(Debug)]
pub(crate) struct HashPermit {
    permits: Arc<HashPermits>,
    /// Whether nothing is left to give back.
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

/// How many permits are free, and who waits for one. The lock is held for a few steps, never while somebody waits.
struct HashPermits(Mutex<HashQueueState>);

struct HashQueueState {
    free: usize,
    queue: HashQueue<oneshot::Sender<Grant>>,
}

impl Hashing {
    /// Starts so many threads. They end when nobody can ask any more.
    pub(crate) fn new(at_once: usize) -> Hashing {
        let at_once = at_once.clamp(1, AT_ONCE_MAX);
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

    /// What is known of an address (as it is counted) that is or is not inside the networks of the name it presents.
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

    /// Waits for a permit; `None` when too many wait, or it takes too long.
    pub(crate) async fn permit(&self, asker: HashRequest) -> Option<Grant> {
        let (permit, granted) = oneshot::channel();
        let ticket = {
            let mut state = self.permits.lock();
            if state.free > 0 {
                state.free -= 1;
                return Some(Grant::Permit(HashPermit::of(&self.permits)));
            }
            // Who is evicted sees that nothing will come.
            state.queue.push(asker, permit)?
        };
        let _waits = LeaveOnDrop {
            permits: &self.permits,
            asker,
            ticket,
        };
        tokio::time::timeout(WAIT_MAX, granted).await.ok()?.ok()
    }

    /// Lets all go on who wait with what has been proven.
    pub(crate) fn proven(&self, key: u128) {
        let waiting = self.permits.lock().queue.take(key);
        for permit in waiting {
            // Who has given up does not want it.
            let _ = permit.send(Grant::Proven);
        }
    }

    /// Does it on one of the threads, even if the caller goes away meanwhile. `None` when it panicked.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        permit: HashPermit,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let (done, outcome) = oneshot::channel();
        let job = Box::new(move || {
            // The permit lives as long as the work. Nobody may want the outcome any more.
            let _turn = permit;
            let _ = done.send(work());
        });
        self.jobs.send(job).ok()?;
        outcome.await.ok()
    }
}

impl HashPermits {
    fn lock(&self) -> MutexGuard<'_, HashQueueState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
            let mut state = self.permits.lock();
            let Some(next) = state.queue.pop() else {
                state.free += 1;
                return;
            };
            drop(state);
            match next.send(Grant::Permit(HashPermit::of(&self.permits))) {
                // It has given up in this very moment: the permit is still this one's to pass on.
                Err(Grant::Permit(mut refused)) => refused.is_over = true,
                Ok(()) | Err(Grant::Proven) => return,
            }
        }
    }
}

fn work(jobs: &Mutex<Receiver<Job>>) {
    // On Linux a thread has a niceness of its own. Without it the work is done all the same.
    let _ = rustix::process::setpriority_process(None, NICENESS);
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else {
            return;
        };
        // What panics has been told by then, and whoever waits for it sees that nothing came.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
    }
}

/// Somebody who waits; out of the queue when dropped.
struct LeaveOnDrop<'a> {
    permits: &'a HashPermits,
    asker: HashRequest,
    ticket: Ticket,
}

impl Drop for LeaveOnDrop<'_> {
    fn drop(&mut self) {
        self.permits.lock().queue.leave(self.asker, self.ticket);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::queue::WAITING_PER_ADDRESS_MAX;
    use super::*;

    fn asker(host: u8, key: u128) -> HashRequest {
        HashRequest {
            rank: Rank::Inside,
            address: IpAddr::from([10, 0, 0, host]),
            key,
        }
    }

    async fn permit(hashing: &Hashing) -> HashPermit {
        match hashing.permit(asker(1, 0)).await {
            Some(Grant::Permit(permit)) => permit,
            other => panic!("{other:?}"),
        }
    }

    /// Waits until so many stand in the queue.
    async fn until_waiting(hashing: &Hashing, count: usize) {
        for _ in 0..10_000 {
            if hashing.permits.lock().queue.waiting() >= count {
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!("not {count} wait");
    }

    #[tokio::test]
    async fn few_wait_for_a_turn_and_a_panic_costs_no_thread() {
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
            waiting.spawn(async move { hashing.permit(asker(1, 0)).await.is_some() });
        }
        until_waiting(&hashing, WAITING_PER_ADDRESS_MAX).await;
        assert!(hashing.permit(asker(1, 0)).await.is_none());
        barrier.wait();
        assert!(held.await.unwrap());
        assert!(waiting.join_all().await.iter().all(|has_turn| *has_turn));
        let state = hashing.permits.lock();
        assert!(state.queue.waiting() == 0 && state.free == 1);
    }

    #[tokio::test]
    async fn who_waits_with_what_is_proven_needs_no_turn_and_who_gives_up_keeps_none() {
        let hashing = Arc::new(Hashing::new(1));
        let held = permit(&hashing).await;
        let mut waiting = tokio::task::JoinSet::new();
        for (host, key) in [(2, 7), (3, 7), (4, 8)] {
            let hashing = Arc::clone(&hashing);
            waiting.spawn(async move { hashing.permit(asker(host, key)).await });
        }
        until_waiting(&hashing, 3).await;
        hashing.proven(7);
        for _ in 0..2 {
            let grant = waiting.join_next().await.unwrap().unwrap();
            assert!(matches!(grant, Some(Grant::Proven)), "{grant:?}");
        }
        waiting.abort_all();
        while waiting.join_next().await.is_some() {}
        drop(held);
        let state = hashing.permits.lock();
        assert!(state.queue.waiting() == 0 && state.free == 1);
    }

    #[test]
    fn an_address_that_was_right_goes_before_all_others() {
        let hashing = Hashing::new(1);
        let [right, other] = [1, 2].map(|host| IpAddr::from([10, 0, 0, host]));
        hashing.remember(right);
        let ranks = |address| [true, false].map(|is_inside| hashing.rank(address, is_inside));
        assert_eq!(ranks(right), [Rank::Known, Rank::Known]);
        assert_eq!(ranks(other), [Rank::Inside, Rank::Outside]);
    }

    #[tokio::test]
    async fn these_threads_stand_back_and_others_do_not() {
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
