//! Simulates many replicas over one database in simulated time. The records of a replica and its lease are the real ones
//! ([`SendTracker`], [`ReplicaLease`], [`RowIds`]). The statements follow `opens.rs`, `closes.rs`, `sweep.rs` and `heartbeat.rs`. A
//! seed decides what happens: replicas are killed and paused, connections break before and after a commit, commits appear a minute
//! after their connection has ended, and a standby takes over.

#[path = "../../../../../../tests/harness/chance.rs"]
mod chance;
mod database;
mod oracle;
mod replica;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::{Duration, Instant};

use chance::SplitMix64;
use database::{BrokenRule, Database, Reply, Statement, Word};
use oracle::Attempt;
use replica::Replica;

/// Duration of the trouble, in milliseconds.
const TROUBLE_MS: u64 = 40_000;

/// Maximum time between the loss of a connection and the appearance of its commit.
const LATE_MS: u64 = 60_000;

/// Time from the last late commit until no send may be under way.
const SETTLED_MS: u64 = 15_000;

/// The longest pause. It is longer than the row of a replica stays after the end of its lease.
const PAUSE_MS: u64 = 90_000;

/// The longest time that a task waits for its turn.
const TURN_MS: u64 = 5_000;

/// The longest time that the upstream takes.
const OUTCOME_MS: u64 = 20_000;

const END_MS: u64 = TROUBLE_MS + PAUSE_MS + TURN_MS + OUTCOME_MS + SETTLED_MS;

/// Maximum time that a caller waits for its row to be opened.
const WAIT_MAX_MS: u64 = 3_000;

/// Number of calls with each key, at random replicas.
const CALLS_PER_KEY: usize = 3;

/// An event of the simulation.
enum Event {
    /// A caller asks this replica to send with this key.
    Call {
        replica: usize,
        key: usize,
    },
    /// The caller of this attempt stops waiting.
    GivesUp {
        attempt: usize,
    },
    /// A statement is committed.
    Commits {
        statement: usize,
    },
    /// The reply to a statement arrives, or its connection breaks.
    Replies {
        asked: InFlightStatement,
        reply: Option<Reply>,
    },
    /// The upstream's outcome of an attempt arrives.
    Outcome {
        asker: ProcessId,
        attempt: usize,
        word: Word,
    },
    /// A job of a replica is due.
    Job {
        asker: ProcessId,
        job: Job,
    },
    Dies {
        replica: usize,
    },
    Starts {
        replica: usize,
    },
    Pauses {
        replica: usize,
    },
    FailsOver,
}

/// A process: its replica, and its number among the replica's processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ProcessId {
    replica: usize,
    process: u64,
}

#[derive(Clone, Copy, Debug)]
enum Job {
    Beat,
    Reap,
    Sweep,
}

/// A statement on its way.
struct InFlightStatement {
    asker: ProcessId,
    statement: Statement,
    asked_at: u64,
    /// The attempt that the statement belongs to.
    attempt: Option<usize>,
}

/// The simulated world.
struct Simulation {
    chance: SplitMix64,
    broken: BrokenRule,
    began: Instant,
    now: u64,
    events: BinaryHeap<Reverse<(u64, usize)>>,
    /// The events, by their numbers.
    due: Vec<Option<Event>>,
    database: Database,
    /// Statements on their way, each with a flag that is true if its reply is lost.
    statements: Vec<Option<(InFlightStatement, bool)>>,
    replicas: Vec<Replica>,
    attempts: Vec<Attempt>,
    /// The attempt of each row.
    rows: HashMap<i64, usize>,
    /// The first time at which a caller learned that the message of a key was sent.
    sent_at: Vec<Option<u64>>,
    delivered: Vec<u32>,
}

impl Simulation {
    fn new(seed: u64, replicas: usize, keys: usize, broken: BrokenRule) -> Simulation {
        let mut world = Simulation {
            chance: SplitMix64(seed),
            broken,
            began: Instant::now(),
            now: 0,
            events: BinaryHeap::new(),
            due: Vec::new(),
            database: Database::new(broken),
            statements: Vec::new(),
            replicas: (0..replicas).map(|_| Replica::default()).collect(),
            attempts: Vec::new(),
            rows: HashMap::new(),
            sent_at: vec![None; keys],
            delivered: vec![0; keys],
        };
        for replica in 0..replicas {
            world.at(0, Event::Starts { replica });
        }
        for key in 0..keys {
            // Half of the calls follow soon after the first one, as callers retry when they have received no answer.
            let first = 1000 + world.chance.below(TROUBLE_MS - 1000);
            for _ in 0..CALLS_PER_KEY {
                let replica = world.chance.place(replicas);
                let later = if world.chance.one_in(2) { 100 } else { 20_000 };
                let at = first + world.chance.below(later);
                world.at(at, Event::Call { replica, key });
            }
        }
        for _ in 0..replicas {
            let (at, replica) = (world.chance.below(TROUBLE_MS), world.chance.place(replicas));
            let event = match world.chance.below(3) {
                0 => Event::Pauses { replica },
                _ => Event::Dies { replica },
            };
            world.at(at, event);
        }
        for _ in 0..2 {
            let at = world.chance.below(TROUBLE_MS);
            world.at(at, Event::FailsOver);
        }
        world
    }

    fn at(&mut self, at: u64, event: Event) {
        self.events
            .push(Reverse((at.max(self.now), self.due.len())));
        self.due.push(Some(event));
    }

    fn instant(&self) -> Instant {
        self.began + Duration::from_millis(self.now)
    }

    fn run(&mut self) {
        while let Some(Reverse((at, number))) = self.events.pop() {
            if at > END_MS {
                break;
            }
            self.now = at;
            if let Some(event) = self.due[number].take() {
                self.happens(event);
            }
        }
        self.check_the_end();
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Starts { replica } => self.start(replica),
            Event::Dies { replica } => self.die(replica),
            Event::Pauses { replica } => {
                let longest = if self.chance.one_in(3) {
                    PAUSE_MS
                } else {
                    PAUSE_MS / 3
                };
                let until = self.now + 1000 + self.chance.below(longest);
                self.replicas[replica].paused_until = until;
            }
            Event::FailsOver => self.fail_over(),
            Event::Commits { statement } => self.commit(statement),
            Event::GivesUp { attempt } => {
                let replica = self.attempts[attempt].asker.replica;
                if !self.is_postponed(replica, || Event::GivesUp { attempt }) {
                    self.give_up(attempt);
                }
            }
            Event::Call { replica, key } => {
                if !self.is_postponed(replica, || Event::Call { replica, key }) {
                    self.call(replica, key);
                }
            }
            Event::Replies { asked, reply } => {
                let (asker, until) = (asked.asker, self.pause_of(asked.asker.replica));
                match until {
                    Some(until) => {
                        let after = self.scheduling_delay();
                        self.at(until + after, Event::Replies { asked, reply });
                    }
                    None if self.lives(asker) => self.reply(asked, reply),
                    None => {}
                }
            }
            Event::Outcome {
                asker,
                attempt,
                word,
            } => {
                let again = || Event::Outcome {
                    asker,
                    attempt,
                    word,
                };
                if !self.is_postponed(asker.replica, again) && self.lives(asker) {
                    self.settle(asker, attempt, word);
                }
            }
            Event::Job { asker, job } => {
                let again = || Event::Job { asker, job };
                if !self.is_postponed(asker.replica, again) && self.lives(asker) {
                    self.work(asker, job);
                }
            }
        }
    }

    /// Postpones an event while the replica is paused. The postponed events then happen in any order.
    fn is_postponed(&mut self, replica: usize, event: impl FnOnce() -> Event) -> bool {
        let until = self.pause_of(replica);
        if let Some(until) = until {
            let after = self.scheduling_delay();
            self.at(until + after, event());
        }
        until.is_some()
    }

    /// Returns how long a task waits for its turn when its replica continues. Half of the tasks run on a busy machine.
    fn scheduling_delay(&mut self) -> u64 {
        let longest = if self.chance.one_in(2) { TURN_MS } else { 3 };
        self.chance.below(longest)
    }

    fn pause_of(&self, replica: usize) -> Option<u64> {
        let until = self.replicas[replica].paused_until;
        (until > self.now).then_some(until)
    }

    fn lives(&self, asker: ProcessId) -> bool {
        let replica = &self.replicas[asker.replica];
        replica.process == asker.process && replica.life.is_some()
    }

    /// Sends a statement to the database. One connection in a hundred breaks. Its statement may be committed nevertheless,
    /// immediately or late.
    fn ask(&mut self, asker: ProcessId, statement: Statement, attempt: Option<usize>) {
        let asked = InFlightStatement {
            asker,
            statement,
            asked_at: self.now,
            attempt,
        };
        let is_trouble = self.now < TROUBLE_MS;
        let breaks = is_trouble && self.chance.one_in(100);
        let is_slow = is_trouble && self.chance.one_in(200);
        let takes = 1 + self.chance.below(if is_slow { 8_000 } else { 3 });
        if breaks {
            let lost = InFlightStatement {
                statement: asked.statement.clone(),
                ..asked
            };
            let after = self.chance.below(2000);
            self.at(
                self.now + after,
                Event::Replies {
                    asked: lost,
                    reply: None,
                },
            );
        }
        let comes = !breaks || self.chance.one_in(2);
        if comes {
            let late = breaks && self.chance.one_in(2);
            let takes = if late {
                self.chance.below(LATE_MS)
            } else {
                takes
            };
            self.statements.push(Some((asked, breaks)));
            let statement = self.statements.len() - 1;
            self.at(self.now + takes, Event::Commits { statement });
        }
    }

    fn commit(&mut self, number: usize) {
        let Some((asked, is_lost)) = self.statements[number].take() else {
            return;
        };
        if matches!(asked.statement, Statement::Reap) {
            self.check_reaped(asked.asked_at);
        }
        let reply = self
            .database
            .commit(asked.statement.clone(), asked.asked_at);
        if !is_lost {
            let reply = Some(reply);
            self.at(self.now + 1, Event::Replies { asked, reply });
        }
    }

    /// The standby takes over. It has all acknowledged statements and some of the statements on their way, which get no reply.
    fn fail_over(&mut self) {
        for number in 0..self.statements.len() {
            let Some((asked, is_lost)) = self.statements[number].take() else {
                continue;
            };
            if self.chance.one_in(2) {
                self.database
                    .commit(asked.statement.clone(), asked.asked_at);
            }
            if !is_lost {
                self.at(self.now + 1, Event::Replies { asked, reply: None });
            }
        }
    }
}

impl SplitMix64 {
    /// Returns a random index into a list of this length.
    fn place(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap()
    }
}

/// Runs one seed. Returns whether all checks hold.
fn holds(seed: u64, replicas: usize, broken: BrokenRule) -> bool {
    let world = move || Simulation::new(seed, replicas, 4 * replicas, broken).run();
    std::panic::catch_unwind(world).is_ok()
}

/// Reads a number from the environment. The release check runs more seeds, or begins with another one: `CHATGATE_LOAD=full`,
/// `CHATGATE_SEED`.
fn number(name: &str, otherwise: u64) -> u64 {
    let set = std::env::var_os(name).and_then(|text| text.into_string().ok());
    set.and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

#[test]
#[expect(clippy::print_stdout, reason = "it prints its figures")]
fn simulated_replicas_send_nothing_twice_and_leave_nothing_in_progress() {
    let is_full = std::env::var_os("CHATGATE_LOAD").is_some_and(|load| load == "full");
    let seeds = if is_full { 1000 } else { 10 };
    let (first, began) = (number("CHATGATE_SEED", 1), Instant::now());
    for seed in first..first + seeds {
        // A panic reports the check that failed, and the seed repeats it.
        println!("seed {seed}");
        Simulation::new(seed, 128, 512, BrokenRule::Nothing).run();
    }
    println!(
        "simulation: {seeds} seeds of 128 replicas from {first} on in {:.1?}",
        began.elapsed()
    );
}

#[test]
fn the_simulation_detects_each_broken_rule() {
    for broken in [
        BrokenRule::ReaperFrees,
        BrokenRule::ReaperIgnoresLeases,
        BrokenRule::NoSweep,
        BrokenRule::LeaseUnchecked,
        BrokenRule::TermUnchecked,
    ] {
        let found = (1..=400).find(|seed| !holds(*seed, 32, broken));
        assert!(found.is_some(), "{broken:?} changes nothing");
    }
}
