//! Decides when to poll a channel again: soon during activity, and increasingly later without it.

use std::time::Duration;

/// The pause after a poll is at least this many times the duration of the poll, so that long lists do not use up the account.
const POLL_TIME_SHARE: u32 = 20;

/// The outcome of a poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PollOutcome {
    /// The channel had changes.
    Changed,
    /// The channel had no changes.
    Quiet,
    /// The upstream did not answer, or the answer could not be used.
    Failed,
}

/// The pauses between polls of one channel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PollInterval {
    pause: Duration,
}

impl PollInterval {
    /// Creates the pace of an active channel.
    pub(crate) fn new(least: Duration) -> PollInterval {
        PollInterval { pause: least }
    }

    /// Returns the time from the beginning of the last poll to the beginning of the next. `least` and `most` are limits.
    /// `stands_back` means that callers wait for the upstream. `chance`, from 0 to 1, spreads the polls of different channels.
    pub(crate) fn next_pause(
        &mut self,
        (outcome, took): (PollOutcome, Duration),
        (least, most): (Duration, Duration),
        stands_back: bool,
        chance: f64,
    ) -> Duration {
        self.pause = match outcome {
            PollOutcome::Changed => least,
            PollOutcome::Quiet => (self.pause.max(least) * 3 / 2).min(most),
            PollOutcome::Failed => most,
        };
        let pause = if stands_back { most } else { self.pause };
        let pause = pause.mul_f64(0.9 + 0.2 * chance.clamp(0.0, 1.0));
        match outcome {
            PollOutcome::Failed => pause,
            PollOutcome::Changed | PollOutcome::Quiet => pause.max(took * POLL_TIME_SHARE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polls_follow_soon_after_changes_and_back_off_when_quiet_or_busy() {
        let s = Duration::from_secs_f64;
        let bounds = (s(1.0), s(5.0));
        let mut pace = PollInterval::new(s(1.0));
        let mut after = |outcome, took, stands_back| {
            pace.next_pause((outcome, s(took)), bounds, stands_back, 0.5)
                .as_secs_f64()
        };
        let quiet = [1.5, 2.25, 3.375, 5.0, 5.0];
        assert_eq!(quiet.map(|_| after(PollOutcome::Quiet, 0.0, false)), quiet);
        assert_eq!(after(PollOutcome::Changed, 0.0, false), 1.0);
        assert_eq!(after(PollOutcome::Changed, 0.0, true), 5.0);
        assert_eq!(after(PollOutcome::Changed, 0.5, false), 10.0);
        assert_eq!(after(PollOutcome::Failed, 15.0, false), 5.0);
        let mut chances = [0.0, 1.0].into_iter();
        let spread = chances.by_ref().map(|chance| {
            PollInterval::new(s(1.0)).next_pause(
                (PollOutcome::Changed, s(0.0)),
                bounds,
                false,
                chance,
            )
        });
        assert_eq!(spread.collect::<Vec<_>>(), [s(0.9), s(1.1)]);
    }
}
