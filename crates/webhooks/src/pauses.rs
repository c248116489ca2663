//! The pauses after failures, and the times after which deliveries are given up. All times are in milliseconds.

pub(crate) const SECOND: i64 = 1000;
pub(crate) const MINUTE: i64 = 60 * SECOND;
pub(crate) const HOUR: i64 = 60 * MINUTE;

/// Number of consecutive failures after which a webhook rests.
pub(crate) const FAILURES_MAX: u32 = 5;

/// Pauses of a resting webhook before its first attempts.
pub(crate) const FIRST_PAUSES: [i64; 3] = [5 * SECOND, 15 * SECOND, 30 * SECOND];

/// The next pauses, each with the time since the first failure up to which it is used. A receiver that was away for an hour is
/// found within 72 s.
pub(crate) const PAUSES: [(i64, i64); 2] = [(HOUR, MINUTE), (6 * HOUR, 5 * MINUTE)];
pub(crate) const LAST_PAUSE: i64 = 15 * MINUTE;

/// The time for which a receiver may fail before nothing is sent any more. The example of Standard Webhooks takes 75 h 35 min.
pub(crate) const GIVE_UP: i64 = 76 * HOUR;

/// Pauses after the first failures of an event while other events get through. The last pause also follows all later failures.
pub(crate) const EVENT_PAUSES: [i64; 4] = [5 * SECOND, 30 * SECOND, 5 * MINUTE, 30 * MINUTE];

/// An event is given up after at least this number of attempts and this time.
pub(crate) const EVENT_ATTEMPTS_MAX: u32 = 5;
pub(crate) const EVENT_AGE: i64 = 35 * MINUTE;

/// A receiver counts as gone after it has answered 410 twice, at least this far apart.
pub(crate) const GONE_APART: i64 = MINUTE;

/// Maximum pause that a receiver can request.
pub(crate) const RETRY_AFTER_MAX: i64 = HOUR;

/// The maximum additional delay of an attempt, as a fraction of the pause. The delay is random, so that receivers that fail
/// together are not all retried at the same time.
pub(crate) const JITTER: f64 = 0.2;

/// Returns the pause after this number of failures of an event, counted from 1.
pub(crate) fn of_event(failures: u32) -> i64 {
    let at = (failures as usize).clamp(1, EVENT_PAUSES.len());
    EVENT_PAUSES[at - 1]
}

/// Returns the pause of a resting webhook, after this number of attempts during the rest and this time since the first failure.
pub(crate) fn of_rest(probes: u32, failing: i64) -> i64 {
    if let Some(pause) = FIRST_PAUSES.get(probes as usize) {
        return *pause;
    }
    let mut pauses = PAUSES.iter();
    let pause = pauses.find(|(until, _)| failing < *until);
    pause.map_or(LAST_PAUSE, |(_, pause)| *pause)
}

/// Returns the pause, lengthened by up to a fifth and never shortened.
pub(crate) fn later(pause: i64, jitter: f64) -> i64 {
    pause + (pause as f64 * JITTER * jitter.clamp(0.0, 1.0)) as i64
}
