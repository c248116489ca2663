//! When to look at a channel again: soon while something happens, ever later while nothing does.

use std::time::Duration;

/// A look may take so much of the time: after one that took long the next one waits, so that a long list can't eat the account.
const SHARE_OF_TIME: u32 = 20;

/// How a look went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LookOutcome {
    /// Something had changed.
    Changed,
    /// Nothing had.
    Quiet,
    /// The upstream did not say.
    Failed,
}

/// The pauses between looks at one channel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LookPace {
    pause: Duration,
}

impl LookPace {
    /// As after something happened.
    pub(crate) fn new(least: Duration) -> LookPace {
        LookPace { pause: least }
    }

    /// The time from the beginning of a look that took so long to that of the next. `least` and `most` are bounds, `stands_back`
    /// says that callers wait for the upstream, and `chance`, from 0 to 1, keeps channels from being looked at all at once.
    pub(crate) fn after(
        &mut self,
        (outcome, took): (LookOutcome, Duration),
        (least, most): (Duration, Duration),
        stands_back: bool,
        chance: f64,
    ) -> Duration {
        self.pause = match outcome {
            LookOutcome::Changed => least,
            LookOutcome::Quiet => (self.pause.max(least) * 3 / 2).min(most),
            LookOutcome::Failed => most,
        };
        let pause = if stands_back { most } else { self.pause };
        let pause = pause.mul_f64(0.9 + 0.2 * chance.clamp(0.0, 1.0));
        match outcome {
            LookOutcome::Failed => pause,
            LookOutcome::Changed | LookOutcome::Quiet => pause.max(took * SHARE_OF_TIME),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_come_soon_while_something_happens_and_stand_back_for_callers() {
        let s = Duration::from_secs_f64;
        let bounds = (s(1.0), s(5.0));
        let mut pace = LookPace::new(s(1.0));
        let mut after = |outcome, took, stands_back| {
            pace.after((outcome, s(took)), bounds, stands_back, 0.5)
                .as_secs_f64()
        };
        let quiet = [1.5, 2.25, 3.375, 5.0, 5.0];
        assert_eq!(quiet.map(|_| after(LookOutcome::Quiet, 0.0, false)), quiet);
        assert_eq!(after(LookOutcome::Changed, 0.0, false), 1.0);
        assert_eq!(after(LookOutcome::Changed, 0.0, true), 5.0);
        assert_eq!(after(LookOutcome::Changed, 0.5, false), 10.0);
        assert_eq!(after(LookOutcome::Failed, 15.0, false), 5.0);
        let mut chances = [0.0, 1.0].into_iter();
        let spread = chances.by_ref().map(|chance| {
            LookPace::new(s(1.0)).after((LookOutcome::Changed, s(0.0)), bounds, false, chance)
        });
        assert_eq!(spread.collect::<Vec<_>>(), [s(0.9), s(1.1)]);
    }
}
