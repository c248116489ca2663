//! Whether more calls come than the upstream takes, and how many may wait then. A line that is long because many came at
//! once is worked off; one that grows all the time makes everybody late and nobody served. The clock is passed in.

use std::time::{Duration, Instant};

/// Shortest window, and fewest calls that end in it: less is chance.
const WINDOW: Duration = Duration::from_millis(50);
const WINDOW_CALLS: u32 = 20;

/// It is a rush when in so many windows, one after the other, a fifth more have come than gone, and so many more in all:
/// callers who each wait for their answer are never more than they are, however they begin.
const WINDOWS: u32 = 3;
const MORE: f64 = 1.2;
const MORE_IN_ALL: u32 = 64;

/// In a rush as many wait as the upstream takes in half the time that a call takes there, so that waiting costs less than
/// being served; and for so long in any case, and so many.
const WAIT_LEAST: Duration = Duration::from_millis(20);
const WAITING_LEAST: usize = 4;

/// What comes and goes in front of one upstream.
#[derive(Default)]
pub(super) struct Rush {
    since: Option<Instant>,
    came: u32,
    went: u32,
    /// Windows in which more came than went, one after the other.
    windows: u32,
    /// How many more.
    more: u32,
    /// How many may wait while it lasts.
    room: Option<usize>,
    /// Since when nobody waits.
    idle: Option<Instant>,
}

impl Rush {
    /// A call wants a place.
    pub(super) fn came(&mut self, now: Instant) {
        if self
            .idle
            .is_some_and(|idle| now.saturating_duration_since(idle) >= WINDOW)
        {
            *self = Rush::default();
        }
        self.came = self.came.saturating_add(1);
    }

    /// A call has given its place back. Says whether a rush has begun.
    pub(super) fn went(&mut self, now: Instant, places: usize, waiting: usize) -> bool {
        self.went += 1;
        if waiting > 0 {
            self.idle = None;
        } else if self.room.is_none() {
            // Whoever comes finds a place.
            *self = Rush::default();
            return false;
        } else {
            self.idle.get_or_insert(now);
        }
        let since = *self.since.get_or_insert(now);
        let lasted = now.saturating_duration_since(since);
        if lasted < WINDOW || self.went < WINDOW_CALLS {
            return false;
        }
        let is_more = f64::from(self.came) > f64::from(self.went) * MORE;
        if is_more {
            self.windows = self.windows.saturating_add(1);
            self.more = self.more.saturating_add(self.came - self.went);
        } else {
            (self.windows, self.more) = (0, 0);
        }
        let was_rush = self.room.is_some();
        let is_rush = self.windows >= WINDOWS && self.more >= MORE_IN_ALL;
        self.room = is_rush.then(|| {
            let meanwhile = f64::from(self.went) * WAIT_LEAST.as_secs_f64() / lasted.as_secs_f64();
            (places / 2).max(meanwhile as usize).max(WAITING_LEAST)
        });
        (self.since, self.came, self.went) = (Some(now), 0, 0);
        !was_rush && self.room.is_some()
    }

    /// How many may wait, of so many at most.
    pub(super) fn room(&self, waiting_max: usize) -> usize {
        self.room.map_or(waiting_max, |room| room.min(waiting_max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A second of the upstream's: a call ends each millisecond, and so many come.
    fn second(rush: &mut Rush, now: &mut Instant, come_each_ms: f64) {
        let mut due = 0.0;
        for _ in 0..1000 {
            *now += Duration::from_millis(1);
            due += come_each_ms;
            while due >= 1.0 {
                due -= 1.0;
                rush.came(*now);
            }
            rush.went(*now, 10, 50);
        }
    }

    #[test]
    fn a_line_that_grows_all_the_time_is_kept_short_until_it_does_no_more() {
        let (mut rush, mut now) = (Rush::default(), Instant::now());
        second(&mut rush, &mut now, 3.0);
        // Twenty milliseconds at one a millisecond.
        assert!((19..=21).contains(&rush.room(1024)), "{}", rush.room(1024));
        assert_eq!(rush.room(3), 3);
        second(&mut rush, &mut now, 0.9);
        assert_eq!(rush.room(1024), 1024);
    }

    #[test]
    fn many_at_once_are_no_rush_and_neither_are_callers_who_wait_for_their_answer() {
        let (mut rush, mut now) = (Rush::default(), Instant::now());
        for _ in 0..1000 {
            rush.came(now);
        }
        for _ in 0..5 {
            second(&mut rush, &mut now, 1.0);
            assert_eq!(rush.room(1024), 1024);
        }
        // Sixty of them, beginning one after the other.
        for _ in 0..4 {
            rush = Rush::default();
            for step in 0..100 {
                now += Duration::from_millis(3);
                rush.came(now);
                if step % 5 < 3 {
                    rush.came(now);
                }
                rush.went(now, 10, 50);
            }
            assert_eq!(rush.room(1024), 1024);
        }
    }

    #[test]
    fn when_nobody_waits_it_is_over() {
        let (mut rush, mut now) = (Rush::default(), Instant::now());
        second(&mut rush, &mut now, 3.0);
        rush.went(now, 10, 0);
        rush.came(now + WINDOW / 2);
        assert!(rush.room(1024) < 100);
        rush.came(now + WINDOW);
        assert_eq!(rush.room(1024), 1024);
    }
}
