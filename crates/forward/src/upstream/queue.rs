//! Places in front of the one upstream account. When all are taken, callers wait in a line of their own access, and the
//! lines take turns: however many calls one access makes, another waits for one of them at most. How many places there are
//! follows what the upstream takes (`limit.rs`), and how many may wait whether the line would only ever grow (`rush.rs`).

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::oneshot;

use super::limit::{Ended, Limit};
use super::rush::Rush;

/// The places of one upstream.
pub(super) struct Places {
    waiting_max: usize,
    state: Mutex<State>,
}

struct State {
    limit: Limit,
    rush: Rush,
    taken: usize,
    waiting: usize,
    lines: HashMap<String, VecDeque<oneshot::Sender<()>>>,
    /// The accesses that have a line, in the order of their turns.
    turns: VecDeque<String>,
}

/// One place; given to the next in line when dropped.
pub(super) struct Place {
    places: Arc<Places>,
    /// Calls under way when it was taken, its own included.
    begun_with: usize,
    /// When the call's last attempt ended, if nothing is to come after it.
    ended: Option<Instant>,
}

/// Every place is taken and as many wait as may.
#[derive(Debug)]
pub(super) struct Full;

/// How the places are, for operators.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Occupied {
    /// Places that there are now.
    pub(super) limit: usize,
    pub(super) taken: usize,
    /// Who wait, those who have gone included.
    pub(super) waiting: usize,
}

impl Places {
    /// So many places at most, and room for so many who wait for one.
    pub(super) fn new(places_max: usize, waiting_max: usize) -> Arc<Places> {
        Arc::new(Places {
            waiting_max,
            state: Mutex::new(State {
                limit: Limit::new(places_max),
                rush: Rush::default(),
                taken: 0,
                waiting: 0,
                lines: HashMap::new(),
                turns: VecDeque::new(),
            }),
        })
    }

    /// A place for a call that comes now, if one is free and nobody waits for it.
    pub(super) fn take_free(self: &Arc<Self>, now: Instant) -> Option<Place> {
        let mut state = self.lock();
        state.rush.came(now);
        if state.waiting > 0 || state.taken >= state.limit.places() {
            return None;
        }
        state.taken += 1;
        let begun_with = state.taken;
        drop(state);
        Some(self.place(begun_with))
    }

    /// A place for a call of this access that found none free. Who stops waiting leaves the line.
    pub(super) async fn wait(self: &Arc<Self>, access: &str) -> Result<Place, Full> {
        let (turn, called) = oneshot::channel();
        let mut waiting = Waiting {
            places: self,
            called,
            has_place: false,
        };
        {
            let mut state = self.lock();
            let room = state.rush.room(self.waiting_max);
            if state.waiting >= room {
                // Those who have gone are still counted until their turn comes.
                state.forget_gone();
                if state.waiting >= room && !state.make_room_for(access) {
                    return Err(Full);
                }
            }
            state.line_up(access, turn);
            // One may have come free in between.
            state.hand_on();
        }
        // Who was sent away for another, or because the line is too long, has lost the sender.
        (&mut waiting.called).await.map_err(|_| Full)?;
        waiting.has_place = true;
        let begun_with = self.lock().taken;
        Ok(self.place(begun_with))
    }

    fn place(self: &Arc<Self>, begun_with: usize) -> Place {
        Place {
            places: Arc::clone(self),
            begun_with,
            ended: None,
        }
    }

    /// Takes a place back, for the next who still waits.
    fn take_back(&self, now: Instant) {
        let mut state = self.lock();
        let (places, waiting) = (state.limit.places(), state.waiting);
        if state.rush.went(now, places, waiting) {
            let room = state.rush.room(self.waiting_max);
            while state.waiting > room && state.send_away_one(0) {}
        }
        state.taken -= 1;
        state.hand_on();
    }

    /// How the places are.
    pub(super) fn occupied(&self) -> Occupied {
        let state = self.lock();
        Occupied {
            limit: state.limit.places(),
            taken: state.taken,
            waiting: state.waiting,
        }
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

    /// Gives free places to those who wait.
    fn hand_on(&mut self) {
        while self.taken < self.limit.places() {
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
        self.send_away_one(mine + 1)
    }

    /// Sends away the last of the longest line, if more than so many are in it.
    fn send_away_one(&mut self, kept: usize) -> bool {
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

impl Place {
    /// An attempt of the call has begun and ended then, with an answer that can be used or without.
    pub(super) fn asked(
        &mut self,
        operation: &'static str,
        (began, ended): (Instant, Instant),
        is_well: bool,
    ) {
        let mut state = self.places.lock();
        let told = Ended {
            operation,
            took: ended - began,
            is_well,
            begun_with: self.begun_with,
            under_way: state.taken,
            somebody_waits: state.waiting > 0,
        };
        state.limit.ended(told, ended);
        self.ended = Some(ended);
    }

    /// The call is to be made again, so that its end is still to come.
    pub(super) fn goes_on(&mut self) {
        self.ended = None;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let ended = self.ended.unwrap_or_else(Instant::now);
        self.places.take_back(ended);
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
            self.places.take_back(Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::mpsc;
    use tokio::time::MissedTickBehavior;

    use super::*;

    impl Places {
        /// A place, at once or in its turn.
        async fn take(self: &Arc<Self>, access: &str) -> Result<Place, Full> {
            match self.take_free(Instant::now()) {
                Some(place) => Ok(place),
                None => self.wait(access).await,
            }
        }
    }

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

    /// Nobody has a place and nobody waits.
    fn free(limit: usize) -> Occupied {
        Occupied {
            limit,
            ..Occupied::default()
        }
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
        assert_eq!(places.occupied().waiting, 11);
        drop(first);
        let mut seen = Vec::new();
        for _ in 0..11 {
            seen.push(order.recv().await.unwrap());
        }
        assert_eq!(seen[..3], ["greedy", "modest", "greedy"]);
        assert_eq!(places.occupied(), free(1));
    }

    #[tokio::test]
    async fn a_full_line_refuses_and_who_has_gone_makes_room() {
        let places = Places::new(1, 2);
        let first = places.take("a").await.unwrap();
        let (served, mut order) = mpsc::unbounded_channel();
        let waiting = [caller(&places, "a", &served), caller(&places, "b", &served)];
        tokio::task::yield_now().await;
        assert!(places.take("b").await.is_err());
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
    async fn a_full_line_yields_its_last_to_an_access_with_fewer_in_it() {
        let places = Places::new(1, 4);
        let first = places.take("greedy").await.unwrap();
        let (served, mut order) = mpsc::unbounded_channel();
        let greedy: Vec<_> = (0..4).map(|_| caller(&places, "greedy", &served)).collect();
        tokio::task::yield_now().await;
        for _ in 0..2 {
            caller(&places, "modest", &served);
        }
        tokio::task::yield_now().await;
        assert!(places.take("modest").await.is_err());
        assert!(places.take("greedy").await.is_err());
        assert_eq!(places.occupied().waiting, 4);
        drop(first);
        for access in ["greedy", "modest", "greedy", "modest"] {
            assert_eq!(order.recv().await, Some(access));
        }
        for sent_away in greedy {
            sent_away.await.unwrap();
        }
        assert_eq!(places.occupied(), free(1));
    }

    #[tokio::test]
    async fn in_a_rush_few_wait_and_all_others_are_told_at_once() {
        let places = Places::new(2, 1000);
        let mut callers = tokio::task::JoinSet::new();
        let mut pause = tokio::time::interval(Duration::from_millis(2));
        // On a machine that stalls, what was missed would come all at once.
        pause.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut longest = 0;
        for round in 0..500 {
            pause.tick().await;
            for _ in 0..6 {
                let places = Arc::clone(&places);
                callers.spawn(async move {
                    let Ok(_place) = places.take("a").await else {
                        return false;
                    };
                    tokio::time::sleep(Duration::from_millis(2)).await;
                    true
                });
            }
            if round > 300 {
                longest = longest.max(places.occupied().waiting);
            }
        }
        // Two thirds of them too many, which would be a line of hundreds.
        assert!(longest < 100, "{longest}");
        let ended = callers.join_all().await;
        let served = ended.iter().filter(|is_served| **is_served).count();
        assert!((300..1500).contains(&served), "{served}");
        assert_eq!(places.occupied(), free(2));
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
