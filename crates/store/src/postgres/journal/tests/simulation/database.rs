//! The simulated database. Each statement is carried out at the time of its commit but uses the time of its beginning, as in
//! PostgreSQL.

use std::collections::{BTreeMap, HashMap};

/// Length of a lease, in milliseconds.
pub(super) const LEASE_MS: u64 = 10_000;

/// Time that the row of a replica stays after the end of its lease, in milliseconds.
const GONE_MS: u64 = 60_000;

/// The state of a message, in answers to callers and in receipts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    Open,
    Sent,
    Unknown,
    NotSent,
}

/// A rule of the protocol that a test breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BrokenRule {
    Nothing,
    /// The reaper frees the keys of the sends that it closes.
    ReaperFrees,
    /// The reaper closes old rows, whether their replica is alive or not.
    ReaperIgnoresLeases,
    /// A replica looks neither for rows that it requested without getting an answer, nor for its own rows that belong to no send.
    NoSweep,
    /// A replica sends regardless of its lease.
    LeaseUnchecked,
    /// A replica sends by a lease that it regained after the lease had expired, when others may have closed the row.
    TermUnchecked,
}

/// A statement that a replica sends to the database.
#[derive(Clone, Debug)]
pub(super) enum Statement {
    /// Inserts a row for a new life.
    Register,
    /// Renews the lease of this life.
    Beat(i64),
    /// Claims a key and opens a row.
    Open { owner: i64, id: i64, key: usize },
    /// Closes a row and settles its key.
    Close { id: i64, key: usize, word: Word },
    /// Takes back rows that no caller waits for.
    Withdraw(Vec<i64>),
    /// Closes the rows of dead replicas.
    Reap,
    /// Selects the rows of this life.
    Own(i64),
    /// Closes these rows as unknown.
    CloseThese(Vec<i64>),
}

/// The reply to a statement.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    ProcessRun(i64),
    /// True if the row of the life existed.
    Beat(bool),
    Opened,
    /// The key is claimed already, with this state.
    Claimed(Word),
    /// The replica has no lease.
    NoLease,
    Closed,
    Rows(Vec<i64>),
}

struct OpenRow {
    owner: i64,
    at: u64,
    key: usize,
}

/// The tables of the database.
pub(super) struct Database {
    broken: BrokenRule,
    lives: i64,
    leases: HashMap<i64, u64>,
    intents: BTreeMap<i64, OpenRow>,
    /// By key: the row that has claimed the key, and the state of the send.
    pub(super) receipts: HashMap<usize, (i64, Word)>,
    pub(super) journal: HashMap<i64, Word>,
}

impl Database {
    pub(super) fn new(broken: BrokenRule) -> Database {
        Database {
            broken,
            lives: 0,
            leases: HashMap::new(),
            intents: BTreeMap::new(),
            receipts: HashMap::new(),
            journal: HashMap::new(),
        }
    }

    /// Returns whether a row is open.
    pub(super) fn is_open(&self, id: i64) -> bool {
        self.intents.contains_key(&id)
    }

    /// Returns the number of open rows.
    pub(super) fn open(&self) -> usize {
        self.intents.len()
    }

    /// Commits a statement that began at this time.
    pub(super) fn commit(&mut self, statement: Statement, began: u64) -> Reply {
        match statement {
            Statement::Register => {
                self.leases.retain(|_, until| *until + GONE_MS > began);
                self.lives += 1;
                self.leases.insert(self.lives, began + LEASE_MS);
                Reply::ProcessRun(self.lives)
            }
            Statement::Beat(life) => {
                let lease = self.leases.get_mut(&life);
                let renewed = began + LEASE_MS;
                Reply::Beat(lease.map(|until| *until = renewed.max(*until)).is_some())
            }
            Statement::Open { owner, id, key } => self.claim(owner, id, key, began),
            Statement::Close { id, key, word } => {
                self.close(id, key, word);
                Reply::Closed
            }
            Statement::Withdraw(ids) => {
                let gone = ids.into_iter().filter(|id| self.take_back(*id)).collect();
                Reply::Rows(gone)
            }
            Statement::Reap => {
                let ids = self.gone(began);
                self.close_as_unknown(&ids);
                Reply::Closed
            }
            Statement::Own(owner) => {
                let own = self.intents.iter().filter(|(_, row)| row.owner == owner);
                Reply::Rows(own.map(|(id, _)| *id).collect())
            }
            Statement::CloseThese(ids) => {
                self.close_as_unknown(&ids);
                Reply::Closed
            }
        }
    }

    fn claim(&mut self, owner: i64, id: i64, key: usize, began: u64) -> Reply {
        if !self.has_lease(owner, began) {
            return Reply::NoLease;
        }
        if let Some((_, word)) = self.receipts.get(&key) {
            return Reply::Claimed(*word);
        }
        self.receipts.insert(key, (id, Word::Open));
        let at = began;
        self.intents.insert(id, OpenRow { owner, at, key });
        Reply::Opened
    }

    fn close(&mut self, id: i64, key: usize, word: Word) {
        let is_mine = self.intents.remove(&id).is_some();
        if let Some((row, state)) = self.receipts.get_mut(&key)
            && *row == id
        {
            if word == Word::NotSent {
                if is_mine {
                    self.receipts.remove(&key);
                }
            } else if *state == Word::Open || word == Word::Sent {
                *state = word;
            }
        }
        if is_mine || word == Word::Sent {
            self.journal.insert(id, word);
        }
    }

    fn take_back(&mut self, id: i64) -> bool {
        let Some(row) = self.intents.remove(&id) else {
            return false;
        };
        self.free(id, row.key);
        true
    }

    fn free(&mut self, id: i64, key: usize) {
        if self.receipts.get(&key).is_some_and(|(row, _)| *row == id) {
            self.receipts.remove(&key);
        }
    }

    fn has_lease(&self, life: i64, now: u64) -> bool {
        self.leases.get(&life).is_some_and(|until| *until > now)
    }

    /// Returns the rows of dead replicas.
    pub(super) fn gone(&self, now: u64) -> Vec<i64> {
        let ignores_leases = self.broken == BrokenRule::ReaperIgnoresLeases;
        let is_gone = |row: &OpenRow| {
            row.at + LEASE_MS < now && (ignores_leases || !self.has_lease(row.owner, now))
        };
        let gone = self.intents.iter().filter(|(_, row)| is_gone(row));
        gone.map(|(id, _)| *id).collect()
    }

    fn close_as_unknown(&mut self, ids: &[i64]) {
        for id in ids {
            let Some(row) = self.intents.remove(id) else {
                continue;
            };
            self.journal.insert(*id, Word::Unknown);
            if self.broken == BrokenRule::ReaperFrees {
                self.free(*id, row.key);
            } else if let Some((claimed_by, state)) = self.receipts.get_mut(&row.key)
                && claimed_by == id
                && *state == Word::Open
            {
                *state = Word::Unknown;
            }
        }
    }
}
