//! Threads that hash passwords, apart from everything else: a hash takes a core for a fiftieth of a second, and whoever has
//! proved themselves long ago is not to wait for those who guess. Few wait for them, and all others are told at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How long a call waits for its turn before it is told to come again, and how many wait: what two cores hash meanwhile.
const WAIT_MAX: Duration = Duration::from_secs(2);
const WAITING_MAX: usize = 128;

/// Most passwords hashed at once, however many cores there are: each takes 19 MiB and a place among the guesses for its
/// name, of which an owner's calls at a cold start must not run out.
const AT_ONCE_MAX: usize = 16;

/// How far these threads stand back: beside others that want the core they get a tenth of it, and alone all of it.
const NICENESS: i32 = 10;

type Job = Box<dyn FnOnce() + Send>;

/// The threads and who waits for them.
pub(crate) struct Hashing {
    turns: Arc<Semaphore>,
    waiting: AtomicUsize,
    jobs: Sender<Job>,
}

/// A turn; over when dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    _permit: OwnedSemaphorePermit,
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
        Hashing {
            turns: Arc::new(Semaphore::new(at_once)),
            waiting: AtomicUsize::new(0),
            jobs,
        }
    }

    /// Waits for a turn; `None` when too many wait, or it takes too long.
    pub(crate) async fn turn(&self) -> Option<Turn> {
        if let Ok(permit) = Arc::clone(&self.turns).try_acquire_owned() {
            return Some(Turn { _permit: permit });
        }
        let _waits = Waits::new(&self.waiting)?;
        let turn = Arc::clone(&self.turns).acquire_owned();
        let turn = tokio::time::timeout(WAIT_MAX, turn).await;
        let permit = turn.ok()?.ok()?;
        Some(Turn { _permit: permit })
    }

    /// Does it on one of the threads, even if the caller goes away meanwhile. `None` when it panicked.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        turn: Turn,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let (done, outcome) = tokio::sync::oneshot::channel();
        let job = Box::new(move || {
            // The turn lives as long as the work. Nobody may want the outcome any more.
            let _turn = turn;
            let _ = done.send(work());
        });
        self.jobs.send(job).ok()?;
        outcome.await.ok()
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

/// Somebody who waits; gone when dropped.
struct Waits<'a>(&'a AtomicUsize);

impl Waits<'_> {
    fn new(waiting: &AtomicUsize) -> Option<Waits<'_>> {
        let waits = Waits(waiting);
        (waiting.fetch_add(1, Ordering::Relaxed) < WAITING_MAX).then_some(waits)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[tokio::test]
    async fn few_wait_for_a_turn_and_a_panic_costs_no_thread() {
        let hashing = Arc::new(Hashing::new(1));
        let turn = hashing.turn().await.unwrap();
        assert_eq!(hashing.run(turn, || -> u32 { panic!("meant") }).await, None);
        let turn = hashing.turn().await.unwrap();
        let (held, barrier) = (Arc::clone(&hashing), Arc::new(Barrier::new(2)));
        let until = Arc::clone(&barrier);
        let held =
            tokio::spawn(async move { held.run(turn, move || until.wait()).await.is_some() });
        let mut waiting = tokio::task::JoinSet::new();
        for _ in 0..WAITING_MAX {
            let hashing = Arc::clone(&hashing);
            waiting.spawn(async move { hashing.turn().await.is_some() });
        }
        while hashing.waiting.load(Ordering::Relaxed) < WAITING_MAX {
            tokio::task::yield_now().await;
        }
        assert!(hashing.turn().await.is_none());
        barrier.wait();
        assert!(held.await.unwrap());
        assert!(waiting.join_all().await.iter().all(|has_turn| *has_turn));
        assert_eq!(hashing.waiting.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn these_threads_stand_back_and_others_do_not() {
        let hashing = Hashing::new(1);
        let niceness = || rustix::process::getpriority_process(None).unwrap();
        let before = niceness();
        let turn = hashing.turn().await.unwrap();
        assert_eq!(
            hashing.run(turn, niceness).await,
            Some(NICENESS.max(before))
        );
        assert_eq!(niceness(), before);
    }
}
