//! Places in front of the one upstream account. When all are taken, callers wait in a line of their own access, and the
//! lines take turns: however many calls one access makes, another waits for one of them at most.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// The places of one upstream.
pub(super) struct Places {
    places_max: usize,
    waiting_max: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    taken: usize,
    waiting: usize,
    lines: HashMap<String, VecDeque<oneshot::Sender<()>>>,
    /// The accesses that have a line, in the order of their turns.
    turns: VecDeque<String>,
}

/// One place; given to the next in line when dropped.
pub(super) struct Place(Arc<Places>);

/// Every place is taken and as many wait as may.
#[derive(Debug)]
pub(super) struct Full;

impl Places {
    /// So many places, and room for so many who wait for one.
    pub(super) fn new(places_max: usize, waiting_max: usize) -> Arc<Places> {
        Arc::new(Places {
            places_max,
            waiting_max,
            state: Mutex::default(),
        })
    }

    /// A place for a call of this access. Who stops waiting leaves the line.
    pub(super) async fn take(self: &Arc<Self>, access: &str) -> Result<Place, Full> {
        let (turn, called) = oneshot::channel();
        let mut waiting = Waiting {
            places: self,
            called,
            has_place: false,
        };
        {
            let mut state = self.lock();
            if state.taken < self.places_max {
                state.taken += 1;
                return Ok(Place(Arc::clone(self)));
            }
            if state.waiting >= self.waiting_max {
                // Those who have gone are still counted until their turn comes.
                state.forget_gone();
                if state.waiting >= self.waiting_max {
                    return Err(Full);
                }
            }
            state.line_up(access, turn);
        }
        // The sender stands in a line until it is called, so that it is never dropped uncalled.
        (&mut waiting.called).await.map_err(|_| Full)?;
        waiting.has_place = true;
        Ok(Place(Arc::clone(self)))
    }

    /// Hands a place on to the next who still waits, or leaves it free.
    fn pass_on(&self) {
        let mut state = self.lock();
        while let Some(next) = state.next() {
            if next.send(()).is_ok() {
                return;
            }
        }
        state.taken -= 1;
    }

    /// How many wait, those who have gone included.
    pub(super) fn waiting(&self) -> usize {
        self.lock().waiting
    }

    /// The state is whole after every statement, so a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn line_up(&mut self, access: &str, turn: oneshot::Sender<()>) {
        self.waiting += 1;
        if let Some(line) = self.lines.get_mut(access) {
            line.push_back(turn);
            return;
        }
        self.lines.insert(access.to_owned(), VecDeque::from([turn]));
        self.turns.push_back(access.to_owned());
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

    fn forget_gone(&mut self) {
        self.lines.retain(|_, line| {
            line.retain(|turn| !turn.is_closed());
            !line.is_empty()
        });
        let lines = &self.lines;
        self.turns.retain(|access| lines.contains_key(access));
        self.waiting = self.lines.values().map(VecDeque::len).sum();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.pass_on();
    }
}

/// Somebody in a line.
struct Waiting<'a> {
    places: &'a Arc<Places>,
    called: oneshot::Receiver<()>,
    has_place: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        // Called, and gone before it was noticed: the place is somebody else's.
        self.called.close();
        if !self.has_place && self.called.try_recv().is_ok() {
            self.places.pass_on();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::mpsc;

    use super::*;

    /// A task that takes a place, says so, and keeps it until it is told.
    fn caller(
        places: &Arc<Places>,
        access: &'static str,
        served: &mpsc::UnboundedSender<&'static str>,
    ) -> tokio::task::JoinHandle<()> {
        let (places, served) = (Arc::clone(places), served.clone());
        tokio::spawn(async move {
            if let Ok(_place) = places.take(access).await {
                served.send(access).unwrap();
            }
        })
    }

    #[tokio::test]
    async fn lines_take_turns_whatever_their_length() {
        let places = Places::new(1, 100);
        let first = places.take("greedy").await.unwrap();
        let (served, mut order) = mpsc::unbounded_channel();
        for _ in 0..10 {
            caller(&places, "greedy", &served);
        }
        tokio::task::yield_now().await;
        caller(&places, "modest", &served);
        tokio::task::yield_now().await;
        assert_eq!(places.waiting(), 11);
        drop(first);
        let mut seen = Vec::new();
        for _ in 0..11 {
            seen.push(order.recv().await.unwrap());
        }
        assert_eq!(seen[..3], ["greedy", "modest", "greedy"]);
        assert_eq!((places.waiting(), places.lock().taken), (0, 0));
    }

    #[tokio::test]
    async fn a_full_line_refuses_and_who_has_gone_makes_room() {
        let places = Places::new(1, 2);
        let first = places.take("a").await.unwrap();
        let (served, mut order) = mpsc::unbounded_channel();
        let waiting = [caller(&places, "a", &served), caller(&places, "b", &served)];
        tokio::task::yield_now().await;
        assert!(places.take("c").await.is_err());
        for gone in waiting {
            gone.abort();
            assert!(gone.await.unwrap_err().is_cancelled());
        }
        caller(&places, "c", &served);
        tokio::task::yield_now().await;
        drop(first);
        assert_eq!(order.recv().await, Some("c"));
        assert_eq!(places.lock().taken, 0);
    }

    #[tokio::test]
    async fn a_place_given_to_somebody_who_leaves_at_that_moment_is_not_lost() {
        let places = Places::new(1, 10);
        for _ in 0..1000 {
            let place = places.take("a").await.unwrap();
            let (served, _order) = mpsc::unbounded_channel();
            let waiting = caller(&places, "b", &served);
            tokio::task::yield_now().await;
            drop(place);
            waiting.abort();
            let _ = waiting.await;
        }
        let free = tokio::time::timeout(Duration::from_secs(5), places.take("a")).await;
        assert!(free.unwrap().is_ok());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn never_more_than_there_are_places() {
        let places = Places::new(3, 10_000);
        let most = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let mut callers = tokio::task::JoinSet::new();
        for n in 0..2000 {
            let (places, most) = (Arc::clone(&places), Arc::clone(&most));
            callers.spawn(async move {
                let access = ["a", "b", "c"][n % 3];
                let _place = places.take(access).await.unwrap();
                most.fetch_max(places.lock().taken, std::sync::atomic::Ordering::SeqCst);
                tokio::task::yield_now().await;
            });
        }
        callers.join_all().await;
        assert_eq!(most.load(std::sync::atomic::Ordering::SeqCst), 3);
        assert_eq!(places.lock().taken, 0);
    }
}
