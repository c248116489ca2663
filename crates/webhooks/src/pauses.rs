//! How long is waited after failures, and when something is given up. Times are milliseconds.

pub(crate) const SECOND: i64 = 1000;
pub(crate) const MINUTE: i64 = 60 * SECOND;
pub(crate) const HOUR: i64 = 60 * MINUTE;

/// Failures in a row after which a webhook rests.
pub(crate) const FAILURES_MAX: u32 = 5;

/// Pauses of a resting webhook before its first attempts.
pub(crate) const FIRST_PAUSES: [i64; 3] = [5 * SECOND, 15 * SECOND, 30 * SECOND];

/// Pauses after those, and until how long after the first failure each is kept: whoever was away for an hour is found within 72 s.
pub(crate) const PAUSES: [(i64, i64); 2] = [(HOUR, MINUTE), (6 * HOUR, 5 * MINUTE)];
pub(crate) const LAST_PAUSE: i64 = 15 * MINUTE;

/// How long a receiver may fail before nothing is sent any more: the example of Standard Webhooks takes 75 h 35 min.
pub(crate) const GIVE_UP: i64 = 76 * HOUR;

/// Pauses after the first failures of an event while others get through, and after all later ones.
pub(crate) const EVENT_PAUSES: [i64; 4] = [5 * SECOND, 30 * SECOND, 5 * MINUTE, 30 * MINUTE];

/// When an event is given up: after as many attempts over as long a time.
pub(crate) const EVENT_ATTEMPTS_MAX: u32 = 5;
pub(crate) const EVENT_AGE: i64 = 35 * MINUTE;

/// A receiver that says it is gone has to say it twice, so long apart.
pub(crate) const GONE_APART: i64 = MINUTE;

/// Longest pause that a receiver can ask for.
pub(crate) const RETRY_AFTER_MAX: i64 = HOUR;

/// How much later than asked an attempt may come, as a part of the pause: receivers that fall together are not asked together.
pub(crate) const JITTER: f64 = 0.2;

/// The pause after so many failures of an event, from 1 on.
pub(crate) fn of_event(failures: u32) -> i64 {
    let at = (failures as usize).clamp(1, EVENT_PAUSES.len());
    EVENT_PAUSES[at - 1]
}

/// The pause of a webhook that rests, after so many attempts in its rest and so long since the first failure.
pub(crate) fn of_rest(probes: u32, failing: i64) -> i64 {
    if let Some(pause) = FIRST_PAUSES.get(probes as usize) {
        return *pause;
    }
    let mut pauses = PAUSES.iter();
    let pause = pauses.find(|(until, _)| failing < *until);
    pause.map_or(LAST_PAUSE, |(_, pause)| *pause)
}

/// A pause, up to a fifth longer and never shorter.
pub(crate) fn later(pause: i64, jitter: f64) -> i64 {
    pause + (pause as f64 * JITTER * jitter.clamp(0.0, 1.0)) as i64
}
