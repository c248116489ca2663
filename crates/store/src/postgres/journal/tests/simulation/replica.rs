//! A simulated replica: its handling of calls, replies and jobs.

use std::time::{Duration, Instant};

use super::database::{BrokenRule, LEASE_MS, Reply, Statement, Word};
use super::oracle::Attempt;
use super::{Event, InFlightStatement, Job, ProcessId, Simulation};
use crate::postgres::ids::{ReplicaId, RowIds};
use crate::postgres::journal::send_tracker::SendTracker;
use crate::postgres::lease::{ClockReading, ReplicaLease};

/// Pauses between two rounds of the jobs, as in `heartbeat.rs` and `sweep.rs`, in milliseconds.
const BEAT_MS: u64 = 1000;
const REAP_MS: u64 = 2000;
const SWEEP_MS: u64 = 10_000;

/// Pause before a close is retried.
const RETRY_MS: u64 = 1000;

/// A replica: its consecutive processes.
#[derive(Default)]
pub(super) struct Replica {
    pub(super) process: u64,
    pub(super) paused_until: u64,
    pub(super) life: Option<ProcessRun>,
}

/// A running process.
pub(super) struct ProcessRun {
    ids: RowIds,
    lease: ReplicaLease,
    tracker: SendTracker,
    is_registered: bool,
    /// True while a heartbeat is under way. The next heartbeat waits for its reply.
    is_beating: bool,
}

impl Simulation {
    /// Starts a process, which requests its own row.
    pub(super) fn start(&mut self, replica: usize) {
        let (began, length) = (self.instant(), Duration::from_millis(LEASE_MS));
        let place = &mut self.replicas[replica];
        place.process += 1;
        place.paused_until = 0;
        let slot = i64::try_from(replica).unwrap();
        place.life = Some(ProcessRun {
            ids: RowIds::of(ReplicaId { id: 0, slot }),
            lease: ReplicaLease::new(length, began),
            tracker: SendTracker::default(),
            is_registered: false,
            is_beating: true,
        });
        let process = place.process;
        let asker = ProcessId { replica, process };
        self.ask(asker, Statement::Register, None);
        for (job, pause) in [
            (Job::Beat, BEAT_MS),
            (Job::Reap, REAP_MS),
            (Job::Sweep, SWEEP_MS),
        ] {
            let first = self.now + 1 + self.chance.below(pause);
            self.at(first, Event::Job { asker, job });
        }
    }

    pub(super) fn die(&mut self, replica: usize) {
        self.replicas[replica].life = None;
        let again = self.now + 200 + self.chance.below(5000);
        self.at(again, Event::Starts { replica });
    }

    /// Returns whether a process may send, by its own clock, what this life has requested at this time.
    pub(super) fn has_lease(&self, asker: ProcessId, (owner, since): (i64, Instant)) -> bool {
        let life = self.lifetime(asker);
        life.ids.replica().id == owner && life.lease.is_valid_since(since, self.instant())
    }

    fn lifetime(&self, asker: ProcessId) -> &ProcessRun {
        self.replicas[asker.replica].life.as_ref().unwrap()
    }

    pub(super) fn call(&mut self, replica: usize, key: usize) {
        let process = self.replicas[replica].process;
        let asker = ProcessId { replica, process };
        let Some(life) = self.replicas[replica].life.as_ref() else {
            return;
        };
        if !life.is_registered {
            return;
        }
        let now_ms = 1_700_000_000_000 + i64::try_from(self.now).unwrap();
        let (id, owner) = (life.ids.next(now_ms), life.ids.replica().id);
        life.tracker.begin(id);
        self.rows.insert(id, self.attempts.len());
        self.attempts.push(Attempt {
            asker,
            owner,
            since: self.instant(),
            key,
            id,
            has_begun: false,
            answer: None,
            is_first_hand: false,
            delivered: false,
        });
        let attempt = self.attempts.len() - 1;
        self.at(self.now + super::WAIT_MAX_MS, Event::GivesUp { attempt });
        // The worst time for a pause: when the replica continues, others may have closed its row.
        if self.now < super::TROUBLE_MS && self.chance.one_in(100) {
            self.at(self.now, Event::Pauses { replica });
        }
        self.ask(asker, Statement::Open { owner, id, key }, Some(attempt));
    }

    /// Runs a job that is due.
    pub(super) fn work(&mut self, asker: ProcessId, job: Job) {
        let life = self.lifetime(asker);
        let owner = life.ids.replica().id;
        let (statement, pause) = match job {
            Job::Sweep if self.broken == BrokenRule::NoSweep => return,
            Job::Beat if life.is_beating => {
                return self.at(self.now + BEAT_MS, Event::Job { asker, job });
            }
            Job::Beat if !life.is_registered => (Statement::Register, BEAT_MS),
            Job::Beat => (Statement::Beat(owner), BEAT_MS),
            Job::Reap => (Statement::Reap, REAP_MS),
            Job::Sweep => {
                let abandoned = life.tracker.abandoned(self.instant());
                if !abandoned.is_empty() {
                    self.ask(asker, Statement::Withdraw(abandoned), None);
                }
                (Statement::Own(owner), SWEEP_MS)
            }
        };
        if matches!(job, Job::Beat) {
            self.set_heartbeat_running(asker, true);
        }
        self.ask(asker, statement, None);
        self.at(self.now + pause, Event::Job { asker, job });
    }

    /// Closes the row of an attempt whose outcome is known.
    pub(super) fn settle(&mut self, asker: ProcessId, attempt: usize, word: Word) {
        let Attempt { key, id, .. } = self.attempts[attempt];
        self.ask(asker, Statement::Close { id, key, word }, Some(attempt));
    }

    /// Handles a reply, or the loss of its connection.
    pub(super) fn reply(&mut self, asked: InFlightStatement, reply: Option<Reply>) {
        let InFlightStatement {
            asker,
            statement,
            asked_at,
            attempt,
        } = asked;
        if matches!(statement, Statement::Register | Statement::Beat(_)) {
            self.set_heartbeat_running(asker, false);
        }
        match (statement, reply) {
            (Statement::Register, Some(Reply::ProcessRun(owner))) => {
                self.begin(asker, owner, asked_at)
            }
            (Statement::Beat(_), Some(Reply::Beat(true))) => self.renew(asker, asked_at),
            (Statement::Beat(_), Some(_)) => {
                self.set_heartbeat_running(asker, true);
                self.ask(asker, Statement::Register, None);
            }
            (Statement::Open { id, .. }, reply) => {
                self.opened(asker, (attempt, id), (reply.as_ref(), asked_at))
            }
            (Statement::Close { id, word, .. }, Some(_)) => {
                self.lifetime(asker).tracker.end(id);
                if let Some(attempt) = attempt {
                    self.answer(attempt, (word, asked_at), true);
                }
            }
            // Retried forever. If the statement was carried out already, the retry does nothing.
            (Statement::Close { word, .. }, None) => {
                if let Some(attempt) = attempt {
                    let again = self.now + RETRY_MS;
                    self.at(
                        again,
                        Event::Outcome {
                            asker,
                            attempt,
                            word,
                        },
                    );
                }
            }
            (Statement::Withdraw(_), Some(Reply::Rows(found))) => {
                self.lifetime(asker).tracker.found(&found);
            }
            (Statement::Own(_), Some(Reply::Rows(own))) => {
                let unknown = self.lifetime(asker).tracker.unknown(own);
                if !unknown.is_empty() {
                    self.ask(asker, Statement::CloseThese(unknown), None);
                }
            }
            _ => {}
        }
    }

    fn begin(&mut self, asker: ProcessId, owner: i64, asked_at: u64) {
        let slot = i64::try_from(asker.replica).unwrap();
        let now = self.instant();
        let life = self.replicas[asker.replica].life.as_mut().unwrap();
        life.lease.expire(Duration::ZERO, now);
        life.ids.begin(ReplicaId { id: owner, slot });
        life.is_registered = true;
        self.renew(asker, asked_at);
    }

    fn set_heartbeat_running(&mut self, asker: ProcessId, is_beating: bool) {
        let life = self.replicas[asker.replica].life.as_mut().unwrap();
        life.is_beating = is_beating;
    }

    fn renew(&mut self, asker: ProcessId, asked_at: u64) {
        let asked_at = self.began + Duration::from_millis(asked_at);
        let now = self.instant();
        let lease = &self.lifetime(asker).lease;
        let clock = ClockReading {
            asked_ms: 0,
            database_ms: 0,
            received_ms: 0,
        };
        lease.renew((asked_at, now), clock);
        lease.set_current((asked_at, now));
    }

    /// Handles the reply to the opening of a row.
    fn opened(
        &mut self,
        asker: ProcessId,
        (attempt, id): (Option<usize>, i64),
        (reply, asked_at): (Option<&Reply>, u64),
    ) {
        let attempt = attempt.unwrap();
        let (now, broken) = (self.instant(), self.broken);
        let life = self.lifetime(asker);
        let is_good = match broken {
            BrokenRule::LeaseUnchecked => true,
            BrokenRule::TermUnchecked => life.lease.is_valid(now),
            _ => life.lease.is_valid_since(self.attempts[attempt].since, now),
        };
        match reply {
            Some(Reply::Claimed(word)) => {
                life.tracker.end(id);
                self.answer(attempt, (*word, asked_at), false);
            }
            Some(Reply::Opened) if self.attempts[attempt].answer.is_none() && is_good => {
                let (word, at) = self.deliver(attempt);
                self.at(
                    at,
                    Event::Outcome {
                        asker,
                        attempt,
                        word,
                    },
                );
            }
            // No caller waits, or nothing may be sent, so the row is taken back.
            Some(Reply::Opened) => {
                self.settle(asker, attempt, Word::NotSent);
            }
            _ => {
                life.tracker.abandon(id, now);
                self.answer(attempt, (Word::NotSent, asked_at), true);
            }
        }
    }
}
