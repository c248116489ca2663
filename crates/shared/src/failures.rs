//! Decides when a failing server counts as away. The clock is passed in.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The number of failures within [`WINDOW`] that are not a coincidence.
const FAILURES: usize = 3;

/// The period within which failures are counted together.
const WINDOW: Duration = Duration::from_secs(1);

/// The recent failures of one connection.
#[derive(Debug, Default)]
pub(crate) struct FailureWindow(VecDeque<Instant>);

impl FailureWindow {
    /// Records a failure, and returns whether the server counts as away now.
    pub(crate) fn note(&mut self, now: Instant) -> bool {
        self.0.push_back(now);
        while self
            .0
            .front()
            .is_some_and(|first| now.duration_since(*first) > WINDOW)
        {
            self.0.pop_front();
        }
        self.0.len() >= FAILURES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_three_failures_within_a_second_are_an_outage() {
        let (began, mut window) = (Instant::now(), FailureWindow::default());
        let mut fails_at = |ms| window.note(began + Duration::from_millis(ms));
        assert!(!fails_at(0) && !fails_at(600) && !fails_at(1200) && !fails_at(1700));
        assert!(fails_at(1900));
    }
}
