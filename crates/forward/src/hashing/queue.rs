//! The queue of calls that wait for password hashing. Addresses take turns, so that many calls from one address delay a caller from
//! another address by one step at most. Pure: uses no clock and no thread.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

/// Maximum number of calls that wait at the same time, for all addresses together. Each is a small record.
pub(super) const WAITING_MAX: usize = 1024;

/// Maximum number of calls that wait at the same time for one address. Two cores hash this many in two seconds, so that the calls
/// are answered before they time out.
pub(super) const WAITING_PER_ADDRESS_MAX: usize = 128;

/// Maximum number of remembered addresses that were served recently and have no waiting calls. Only a flood of new addresses comes
/// near it.
const RESTED_MAX: usize = 4096;

/// Callers of a better rank are served first. After this many turns in a row the lower ranks with waiting calls get one turn, so
/// that none of them starves.
const IN_A_ROW_MAX: u32 = 7;

/// The rank of an address, known before its password is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    /// The address was right before.
    Known,
    /// The address is inside the networks of the presented name.
    Inside,
    /// The address is outside of these networks, where usually even the right password is rejected.
    Outside,
}

const RANKS: usize = 3;

/// A request for a permit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HashRequest {
    pub(crate) rank: Rank,
    /// The address in its counted form; for IPv6 the network of 64 bits.
    pub(crate) address: IpAddr,
    /// The key of the presented secret. When it is proven, all calls that wait with the same key need no permit.
    pub(crate) key: u128,
}

/// The unique number of a place in the queue.
pub(super) type Ticket = u64;

struct Waiter<T> {
    ticket: Ticket,
    key: u128,
    value: T,
}

/// The waiting calls of one rank. An address that was not served recently comes before the served ones. It waits for one turn, and
/// not for one turn of every other address (as in RFC 8290, 4.1 and 4.2).
struct RankQueue<T> {
    waiters: HashMap<IpAddr, VecDeque<Waiter<T>>>,
    fresh: VecDeque<IpAddr>,
    served: VecDeque<IpAddr>,
    /// Addresses that were served and have no waiting calls, the longest idle first. So an address that gives up and returns does
    /// not count as new.
    rested: VecDeque<IpAddr>,
    /// Turns in a row while a call of a lower rank waited.
    in_a_row: u32,
}

/// The queue of all ranks.
pub(super) struct HashQueue<T> {
    ranks: [RankQueue<T>; RANKS],
    waiting: usize,
    next: Ticket,
}

impl<T> HashQueue<T> {
    pub(super) fn new() -> HashQueue<T> {
        HashQueue {
            ranks: std::array::from_fn(|_| RankQueue::new()),
            waiting: 0,
            next: 0,
        }
    }

    /// Returns the number of waiting calls.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Adds a call. Returns `None` if the address has its maximum of waiting calls, or if the queue is full and no address has more
    /// of them. In a full queue the last call of the address with the most waiting calls is evicted, the worst rank first.
    pub(super) fn push(&mut self, request: HashRequest, value: T) -> Option<Ticket> {
        let own = self.ranks[request.rank as usize].count(request.address);
        if own >= WAITING_PER_ADDRESS_MAX {
            return None;
        }
        if self.waiting >= WAITING_MAX && !self.evict(request.rank, own) {
            return None;
        }
        let ticket = self.next;
        self.next += 1;
        self.waiting += 1;
        let waiter = Waiter {
            ticket,
            key: request.key,
            value,
        };
        self.ranks[request.rank as usize].push(request.address, waiter);
        Some(ticket)
    }

    /// Takes out the next call.
    pub(super) fn pop(&mut self) -> Option<T> {
        let popped = self.next_rank().and_then(|rank| self.ranks[rank].pop());
        let waiter = popped?;
        self.waiting -= 1;
        self.forget_if_empty();
        Some(waiter.value)
    }

    /// Takes out a call that has given up; `None` if it is no longer in the queue.
    pub(super) fn remove(&mut self, request: HashRequest, ticket: Ticket) -> Option<T> {
        let waiters = self.ranks[request.rank as usize]
            .waiters
            .get_mut(&request.address)?;
        let at = waiters.iter().position(|waiter| waiter.ticket == ticket)?;
        let waiter = waiters.remove(at)?;
        self.waiting -= 1;
        self.forget_if_empty();
        Some(waiter.value)
    }

    /// Takes out all calls that wait with this key.
    pub(super) fn take(&mut self, key: u128) -> Vec<T> {
        let mut taken = Vec::new();
        for waiters in self
            .ranks
            .iter_mut()
            .flat_map(|ring| ring.waiters.values_mut())
        {
            let (same, others) = waiters.drain(..).partition(|waiter| waiter.key == key);
            *waiters = others;
            let same: VecDeque<Waiter<T>> = same;
            taken.extend(same.into_iter().map(|waiter| waiter.value));
        }
        self.waiting -= taken.len();
        self.forget_if_empty();
        taken
    }

    /// Returns the best rank with waiting calls, or a lower one if its turn has come.
    fn next_rank(&mut self) -> Option<usize> {
        let lowest = (0..RANKS).rfind(|rank| self.ranks[*rank].has_waiters())?;
        for rank in 0..lowest {
            if !self.ranks[rank].has_waiters() {
                continue;
            }
            let in_a_row = &mut self.ranks[rank].in_a_row;
            if *in_a_row < IN_A_ROW_MAX {
                *in_a_row += 1;
                return Some(rank);
            }
            *in_a_row = 0;
        }
        Some(lowest)
    }

    /// Evicts a call to make room for a call of this rank whose address has `own` calls waiting. Returns whether a call was
    /// evicted.
    fn evict(&mut self, rank: Rank, own: usize) -> bool {
        for worst in (rank as usize..RANKS).rev() {
            // In the same rank only an address with more calls than the newcomer would have.
            let least = if worst == rank as usize { own + 2 } else { 1 };
            if self.ranks[worst].drop_of_longest(least).is_some() {
                self.waiting -= 1;
                return true;
            }
        }
        false
    }

    /// Forgets which addresses were served when no call waits.
    fn forget_if_empty(&mut self) {
        if self.waiting == 0 {
            self.ranks = std::array::from_fn(|_| RankQueue::new());
        }
    }
}

impl<T> RankQueue<T> {
    fn new() -> RankQueue<T> {
        RankQueue {
            waiters: HashMap::new(),
            fresh: VecDeque::new(),
            served: VecDeque::new(),
            rested: VecDeque::new(),
            in_a_row: 0,
        }
    }

    fn count(&self, address: IpAddr) -> usize {
        self.waiters.get(&address).map_or(0, VecDeque::len)
    }

    fn has_waiters(&self) -> bool {
        self.waiters.values().any(|waiters| !waiters.is_empty())
    }

    fn push(&mut self, address: IpAddr, waiter: Waiter<T>) {
        // An address in one of the two lists stays there, even without waiting calls.
        let waiters = match self.waiters.entry(address) {
            Entry::Occupied(waiters) => {
                let waiters = waiters.into_mut();
                if waiters.is_empty()
                    && let Some(at) = self.rested.iter().position(|rested| *rested == address)
                {
                    self.rested.remove(at);
                    self.served.push_back(address);
                }
                waiters
            }
            Entry::Vacant(place) => {
                self.fresh.push_back(address);
                place.insert(VecDeque::new())
            }
        };
        waiters.push_back(waiter);
    }

    fn pop(&mut self) -> Option<Waiter<T>> {
        while let Some(address) = self.fresh.pop_front() {
            if let Some(waiter) = self.first_of(address) {
                self.served.push_back(address);
                self.rest_idle();
                return Some(waiter);
            }
            // All its calls have given up before its first turn.
            self.waiters.remove(&address);
        }
        while let Some(address) = self.served.pop_front() {
            if let Some(waiter) = self.first_of(address) {
                self.served.push_back(address);
                return Some(waiter);
            }
            self.rest(address);
        }
        None
    }

    /// Keeps the list of served addresses short if only new addresses are served. At most half of its addresses have waiting calls.
    fn rest_idle(&mut self) {
        if self.served.len() <= 2 * WAITING_MAX {
            return;
        }
        for address in std::mem::take(&mut self.served) {
            if self.count(address) > 0 {
                self.served.push_back(address);
            } else {
                self.rest(address);
            }
        }
    }

    fn rest(&mut self, address: IpAddr) {
        self.rested.push_back(address);
        if self.rested.len() > RESTED_MAX
            && let Some(oldest) = self.rested.pop_front()
        {
            self.waiters.remove(&oldest);
        }
    }

    fn first_of(&mut self, address: IpAddr) -> Option<Waiter<T>> {
        self.waiters.get_mut(&address)?.pop_front()
    }

    fn drop_of_longest(&mut self, least: usize) -> Option<Waiter<T>> {
        let longest = self
            .waiters
            .values_mut()
            .max_by_key(|waiters| waiters.len());
        longest.filter(|waiters| waiters.len() >= least)?.pop_back()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(rank: Rank, host: u16) -> HashRequest {
        let [high, low] = host.to_be_bytes();
        HashRequest {
            rank,
            address: IpAddr::from([10, 0, high, low]),
            key: 0,
        }
    }

    fn push(queue: &mut HashQueue<u16>, rank: Rank, host: u16) -> bool {
        queue.push(request(rank, host), host).is_some()
    }

    #[test]
    fn addresses_take_turns_for_hashing_and_a_new_address_is_served_next() {
        let mut queue = HashQueue::new();
        for host in 1..=45 {
            for _ in 0..3 {
                assert!(push(&mut queue, Rank::Inside, host));
            }
        }
        // Every address has had its first turn, and addresses take turns from now on.
        let first: Vec<_> = (0..45).filter_map(|_| queue.pop()).collect();
        assert_eq!(first, (1..=45).collect::<Vec<_>>());
        assert_eq!([queue.pop(), queue.pop()], [Some(1), Some(2)]);
        assert!(push(&mut queue, Rank::Inside, 100));
        assert_eq!([queue.pop(), queue.pop()], [Some(100), Some(3)]);
        // An address that returns immediately does not count as new, so its place is behind the waiting ones.
        assert!(push(&mut queue, Rank::Inside, 100));
        let next: Vec<_> = (0..46).filter_map(|_| queue.pop()).collect();
        assert_eq!(next.iter().position(|host| *host == 100), Some(44));
    }

    #[test]
    fn the_best_rank_is_served_first_and_lower_ranks_get_regular_turns() {
        let mut queue = HashQueue::new();
        for _ in 0..100 {
            assert!(push(&mut queue, Rank::Outside, 3));
            assert!(push(&mut queue, Rank::Inside, 2));
            assert!(push(&mut queue, Rank::Known, 1));
        }
        let turns: Vec<_> = (0..64).filter_map(|_| queue.pop()).collect();
        let count = |host| turns.iter().filter(|turn| **turn == host).count();
        assert_eq!((count(1), count(2), count(3)), (56, 7, 1));
        while queue.ranks[0].has_waiters() {
            queue.pop();
        }
        let turns: Vec<_> = (0..16).filter_map(|_| queue.pop()).collect();
        assert_eq!(turns.iter().filter(|turn| **turn == 3).count(), 2);
    }

    #[test]
    fn a_full_hash_queue_evicts_calls_of_busy_addresses_and_of_worse_ranks() {
        let mut queue = HashQueue::new();
        for host in 0..8 {
            for _ in 0..WAITING_PER_ADDRESS_MAX {
                assert!(push(&mut queue, Rank::Inside, host));
            }
            assert!(!push(&mut queue, Rank::Inside, host), "one address alone");
        }
        assert_eq!(queue.waiting, WAITING_MAX);
        for host in 100..400 {
            assert!(push(&mut queue, Rank::Inside, host));
        }
        assert!(!push(&mut queue, Rank::Outside, 500), "worse than all");
        let mut queue = HashQueue::new();
        for host in 0..1024 {
            assert!(push(&mut queue, Rank::Inside, host));
        }
        assert!(!push(&mut queue, Rank::Inside, 2000), "nobody has more");
        assert!(push(&mut queue, Rank::Known, 2000));
        assert_eq!(queue.waiting, WAITING_MAX);
        assert_eq!(queue.pop(), Some(2000));
    }

    #[test]
    fn cancelled_and_proven_calls_leave_the_hash_queue_and_its_memory_is_bounded() {
        let mut queue = HashQueue::new();
        let (one, two) = (request(Rank::Inside, 1), request(Rank::Inside, 2));
        let first = queue.push(one, 1).unwrap();
        queue.push(HashRequest { key: 7, ..one }, 11).unwrap();
        queue.push(HashRequest { key: 7, ..two }, 12).unwrap();
        assert_eq!(queue.remove(one, first), Some(1));
        assert_eq!(queue.remove(one, first), None);
        let mut proven = queue.take(7);
        proven.sort_unstable();
        assert_eq!(
            (proven, queue.pop(), queue.waiting),
            (vec![11, 12], None, 0)
        );
        assert!(queue.ranks.iter().all(|ring| ring.waiters.is_empty()));
        for host in 0..60_000 {
            push(&mut queue, Rank::Inside, 60_001);
            push(&mut queue, Rank::Inside, host);
            queue.pop();
        }
        let remembered = queue.ranks[1].waiters.len();
        assert!(
            remembered <= RESTED_MAX + 3 * WAITING_MAX + 1,
            "{remembered}"
        );
    }

    #[test]
    fn an_address_that_gives_up_and_returns_is_not_treated_as_new() {
        let mut queue = HashQueue::new();
        for host in 1..=3 {
            assert!(push(&mut queue, Rank::Inside, host));
        }
        let second = queue.push(request(Rank::Inside, 1), 1).unwrap();
        for host in 2..=3 {
            assert!(push(&mut queue, Rank::Inside, host));
        }
        let first: Vec<_> = (0..3).filter_map(|_| queue.pop()).collect();
        assert_eq!(first, [1, 2, 3]);
        assert_eq!(queue.remove(request(Rank::Inside, 1), second), Some(1));
        assert_eq!(queue.pop(), Some(2));
        assert!(push(&mut queue, Rank::Inside, 1));
        assert!(push(&mut queue, Rank::Inside, 9));
        let next: Vec<_> = (0..3).filter_map(|_| queue.pop()).collect();
        assert_eq!(next, [9, 3, 1]);
    }
}
