//! Tests of the schedule with receivers that fail in different ways, over simulated days that take milliseconds.

use std::collections::BTreeSet;
use std::time::Duration;

use store::WebhookSettings;

use super::*;
use crate::outcome::{Failure, FailureScope};
use crate::pauses::{EVENT_AGE, GONE_APART, HOUR, MINUTE, SECOND};

const EVENT: Outcome = Outcome::Failed(Failure {
    of: FailureScope::Event,
    retry_after: None,
});
const RECEIVER: Outcome = Outcome::Failed(Failure {
    of: FailureScope::Receiver,
    retry_after: None,
});

pub(crate) fn webhook() -> Webhook {
    Webhook {
        id: "whk_1".to_owned(),
        version: 1,
        client_id: "cga_a".to_owned(),
        settings: WebhookSettings::default(),
        secrets: Vec::new(),
        progress: WebhookProgress {
            state: WebhookState::Active,
            cause: String::new(),
            state_at: 0,
            position: 0,
            failing_since: None,
            failures: 0,
            next_at: 0,
            gone_at: None,
            lost: 0,
        },
        is_unreadable: false,
    }
}

/// A receiver and the schedule that serves it. Each attempt takes 10 ms.
struct Receiver {
    schedule: Schedule,
    now: i64,
    /// The attempts: start time, position of the event, and whether it got through.
    attempts: Vec<(i64, u64, bool)>,
    seed: u64,
}

impl Receiver {
    fn new() -> Receiver {
        Receiver {
            schedule: Schedule::new(&webhook(), Vec::new()),
            now: 1_000_000,
            attempts: Vec::new(),
            seed: 7,
        }
    }

    /// Adds the events at these positions. The chat is the position modulo ten.
    fn add(&mut self, positions: impl IntoIterator<Item = u64>) {
        for position in positions {
            self.schedule
                .add(position, &format!("evt_{position}"), position % 10);
            self.schedule.advance_to(position);
        }
    }

    fn jitter(&mut self) -> f64 {
        self.seed = self
            .seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.seed >> 40) as f64 / (1_u64 << 24) as f64
    }

    /// Advances the time; `answer` returns the outcome of an attempt.
    fn run_until(&mut self, until: i64, mut answer: impl FnMut(i64, u64) -> Outcome) {
        let mut under_way: Vec<(i64, u64)> = Vec::new();
        loop {
            while let Some(position) = self.schedule.next(self.now) {
                self.schedule.begin(position, self.now);
                under_way.push((self.now + 10, position));
            }
            let ends = under_way.iter().map(|(ends, _)| *ends).min();
            let wakes = self.schedule.next_due().map(|at| at.max(self.now + 1));
            let next = [ends, wakes].into_iter().flatten().min();
            match next {
                Some(next) if next < until => self.now = next,
                _ if under_way.is_empty() => break,
                _ => self.now = ends.unwrap(),
            }
            let (ended, rest) = under_way.iter().partition(|(ends, _)| *ends <= self.now);
            under_way = rest;
            let ended: Vec<(i64, u64)> = ended;
            for (ends, position) in ended {
                let outcome = answer(ends - 10, position);
                let is_delivered = outcome == Outcome::Delivered;
                self.attempts.push((ends - 10, position, is_delivered));
                let jitter = self.jitter();
                self.schedule
                    .ended(position, (outcome, "status"), (self.now, jitter));
            }
        }
        self.now = self.now.max(until);
    }

    /// Continues from the stored state, as another process would, or this one after a time in which it did not serve.
    fn restart_from_stored_state(&mut self) {
        let mut kept = webhook();
        kept.progress = self.schedule.progress().clone();
        let rows = self.schedule.pending.values();
        let rows = rows.map(|delivery| (delivery.row.clone(), delivery.chat));
        self.schedule = Schedule::new(&kept, rows.collect());
        self.schedule.serve_from(self.now);
    }

    fn state(&self) -> WebhookState {
        self.schedule.progress().state
    }

    /// Returns the events that got through, in order.
    fn delivered(&self) -> Vec<u64> {
        let delivered = self.attempts.iter().filter(|(.., delivered)| *delivered);
        delivered.map(|(_, position, _)| *position).collect()
    }
}

fn check_order(delivered: &[u64]) {
    for chat in 0..10 {
        let of_chat: Vec<_> = delivered.iter().filter(|p| **p % 10 == chat).collect();
        assert!(of_chat.is_sorted(), "chat {chat}: {of_chat:?}");
    }
}

#[test]
fn each_chat_is_delivered_in_order_and_chats_concurrently() {
    let mut receiver = Receiver::new();
    receiver.add(1..=100);
    let began = receiver.now;
    receiver.run_until(began + MINUTE, |_, _| Outcome::Delivered);
    check_order(&receiver.delivered());
    assert_eq!(receiver.delivered().len(), 100);
    // Four concurrent attempts: 25 times ten milliseconds.
    assert_eq!(receiver.attempts.last().unwrap().0, began + 240);
    assert_eq!(receiver.schedule.unsettled(), (0, None));
    // A delivery that was never written need not be settled.
    let changes = receiver.schedule.take_changes().unwrap();
    assert_eq!(changes, Changes::default());
    assert_eq!(receiver.schedule.take_changes(), None);
}

#[test]
fn an_hour_outage_costs_at_most_70_probes_and_is_over_within_72_seconds() {
    for seed in 0..50 {
        let mut receiver = Receiver::new();
        receiver.seed = seed;
        receiver.add(1..=UNSETTLED_MAX as u64);
        assert_eq!(receiver.schedule.room(), 0);
        let back = receiver.now + HOUR;
        receiver.run_until(back, |_, _| RECEIVER);
        let probes = receiver.attempts.len();
        assert!((40..=70).contains(&probes), "{probes}");
        assert_eq!(receiver.state(), WebhookState::Resting);
        receiver.run_until(back + HOUR, |_, _| Outcome::Delivered);
        let first = receiver.attempts.iter().find(|(.., delivered)| *delivered);
        let first = first.unwrap().0 - back;
        assert!(first <= 72 * SECOND, "{first} ms");
        // Slow start: the successful probe, then one, two and four concurrent attempts.
        let after: Vec<_> = receiver.attempts[probes..]
            .iter()
            .map(|(at, ..)| at - back - first)
            .collect();
        assert_eq!(after[..7], [0, 10, 20, 20, 30, 30, 30]);
        check_order(&receiver.delivered());
        let all: BTreeSet<_> = receiver.delivered().into_iter().collect();
        assert_eq!(
            (all.len(), receiver.delivered().len()),
            (UNSETTLED_MAX, UNSETTLED_MAX)
        );
        assert!(receiver.schedule.dead.is_empty());
    }
}

#[test]
fn a_receiver_that_fails_for_76_hours_is_disabled_and_not_retried() {
    let mut receiver = Receiver::new();
    receiver.add(1..=20);
    let began = receiver.now;
    receiver.run_until(began + 75 * HOUR, |_, _| EVENT);
    assert_eq!(receiver.state(), WebhookState::Resting);
    receiver.run_until(began + 200 * HOUR, |_, _| EVENT);
    assert_eq!(receiver.state(), WebhookState::Disabled);
    let last = receiver.attempts.last().unwrap().0 - began;
    assert!((76 * HOUR..77 * HOUR).contains(&last), "{last}");
    assert!(receiver.attempts.len() < 450, "{}", receiver.attempts.len());
    // No event is given up because the receiver was away.
    assert_eq!(receiver.schedule.unsettled().0, 20);
}

#[test]
fn an_undeliverable_event_is_given_up_and_its_chat_continues() {
    let mut receiver = Receiver::new();
    receiver.add(1..=30);
    let began = receiver.now;
    let poison = |_, position| {
        if position == 3 {
            EVENT
        } else {
            Outcome::Delivered
        }
    };
    let mut next = 31;
    // A new event arrives every minute.
    for minute in 1..=120 {
        receiver.run_until(began + minute * MINUTE, poison);
        receiver.add([next]);
        next += if next % 10 == 2 { 2 } else { 1 };
    }
    let dead: Vec<_> = receiver
        .schedule
        .dead
        .iter()
        .map(|row| row.position)
        .collect();
    assert_eq!(dead, [3]);
    let tries: Vec<_> = receiver
        .attempts
        .iter()
        .filter(|(_, p, _)| *p == 3)
        .map(|(at, ..)| at - began)
        .collect();
    assert_eq!(tries.len(), 5, "{tries:?}");
    assert!(
        tries[4] >= EVENT_AGE && tries[4] <= EVENT_AGE * 13 / 10,
        "{tries:?}"
    );
    let of_chat: Vec<_> = receiver
        .delivered()
        .into_iter()
        .filter(|p| p % 10 == 3)
        .collect();
    assert_eq!(of_chat, [13, 23]);
    assert_eq!(receiver.state(), WebhookState::Active);
    check_order(&receiver.delivered());
}

#[test]
fn new_events_are_delivered_while_only_an_undeliverable_one_remains() {
    let mut receiver = Receiver::new();
    receiver.add([3]);
    let began = receiver.now;
    let poison = |_, position| {
        if position == 3 {
            EVENT
        } else {
            Outcome::Delivered
        }
    };
    receiver.run_until(began + HOUR, poison);
    assert_eq!(receiver.state(), WebhookState::Resting);
    receiver.add([4]);
    receiver.run_until(began + HOUR + 72 * SECOND, poison);
    assert_eq!(receiver.delivered(), [4]);
    receiver.run_until(began + 3 * HOUR, poison);
    let dead: Vec<_> = receiver
        .schedule
        .dead
        .iter()
        .map(|row| row.position)
        .collect();
    assert_eq!(dead, [3]);
}

#[test]
fn a_requested_pause_is_respected_up_to_one_hour() {
    for (asked, least, most) in [(0, 5, 6), (120, 120, 144), (86_400, 3600, 4320)] {
        let mut receiver = Receiver::new();
        receiver.add([1, 2]);
        let began = receiver.now;
        let overload = Outcome::Failed(Failure {
            of: FailureScope::Overload,
            retry_after: Some(Duration::from_secs(asked)),
        });
        let mut said = 0;
        receiver.run_until(began + 2 * HOUR, |_, _| {
            said += 1;
            if said <= 2 {
                overload
            } else {
                Outcome::Delivered
            }
        });
        let pause = (receiver.attempts[2].0 - began) / SECOND;
        assert!((least..=most).contains(&pause), "{asked}: {pause}");
        assert_eq!(receiver.delivered().len(), 2);
    }
}

#[test]
fn time_without_attempts_does_not_count_as_failing() {
    for (events, failing) in [(1, SECOND), (20, HOUR)] {
        let mut receiver = Receiver::new();
        receiver.add(1..=events);
        receiver.run_until(receiver.now + failing, |_, _| EVENT);
        receiver.now += 100 * HOUR;
        receiver.restart_from_stored_state();
        receiver.run_until(receiver.now + 74 * HOUR, |_, _| EVENT);
        assert_eq!(receiver.state(), WebhookState::Resting);
        // Several processes in succession try all the time, until the receiver has failed for long enough.
        for _ in 0..5 {
            receiver.restart_from_stored_state();
            receiver.run_until(receiver.now + HOUR, |_, _| EVENT);
        }
        assert_eq!(receiver.state(), WebhookState::Disabled);
    }
}

#[test]
fn a_receiver_is_disabled_after_two_gone_answers_a_minute_apart() {
    let mut receiver = Receiver::new();
    receiver.add([1]);
    let began = receiver.now;
    receiver.run_until(began + HOUR, |_, _| Outcome::Gone);
    assert_eq!(receiver.state(), WebhookState::Disabled);
    assert_eq!(receiver.schedule.progress().cause, "gone");
    assert_eq!(receiver.attempts.len(), 2);
    assert!(receiver.attempts[1].0 - began >= GONE_APART);
    let mut receiver = Receiver::new();
    receiver.add([1]);
    let mut said = 0;
    receiver.run_until(began + HOUR, |_, _| {
        said += 1;
        if said == 1 {
            Outcome::Gone
        } else {
            Outcome::Delivered
        }
    });
    assert_eq!(
        (receiver.state(), receiver.delivered()),
        (WebhookState::Active, vec![1])
    );
}

#[test]
fn a_paused_webhook_begins_no_delivery_and_settles_those_in_progress() {
    let mut receiver = Receiver::new();
    receiver.add([1, 2]);
    let now = receiver.now;
    assert_eq!(receiver.schedule.next(now), Some(1));
    receiver.schedule.begin(1, now);
    let changes = receiver.schedule.take_changes().unwrap();
    assert_eq!(changes.deliveries.len(), 2);
    let mut paused = webhook();
    paused.progress.state = WebhookState::Paused;
    let rows = changes
        .deliveries
        .into_iter()
        .map(|row| (row.clone(), row.position))
        .collect();
    let mut schedule = Schedule::new(&paused, rows);
    schedule.inherit(&receiver.schedule);
    assert_eq!((schedule.next(now), schedule.next_due()), (None, None));
    schedule.ended(1, (Outcome::Delivered, "ok"), (now, 0.0));
    assert_eq!(schedule.progress().state, WebhookState::Paused);
    let changes = schedule.take_changes().unwrap();
    assert_eq!(changes.settled, [1]);
    schedule.put_back(changes);
    assert_eq!(schedule.take_changes().unwrap().settled, [1]);
}

/// Whatever fails, no event is sent again after it got through, and each chat keeps its order.
#[test]
fn randomly_failing_receivers_get_every_event_once_and_in_order() {
    for seed in 1..40 {
        let mut receiver = Receiver::new();
        receiver.seed = seed;
        receiver.add(1..=200);
        let mut random = seed;
        let began = receiver.now;
        receiver.run_until(began + 20 * HOUR, |_, _| {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(9);
            match (random >> 33) % 10 {
                0 => EVENT,
                1 => RECEIVER,
                _ => Outcome::Delivered,
            }
        });
        check_order(&receiver.delivered());
        // An event that happens to fail five times within half an hour is correctly given up.
        let dead = &receiver.schedule.dead;
        let all: BTreeSet<_> = receiver.delivered().into_iter().collect();
        assert_eq!(
            (all.len(), receiver.delivered().len()),
            (200 - dead.len(), 200 - dead.len()),
            "seed {seed}"
        );
    }
}
