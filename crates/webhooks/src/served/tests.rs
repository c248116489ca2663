//! Tests of the recorded state changes of a webhook whose receiver comes and goes.

use std::time::Duration;
use store::ChangeAuthor;

use super::*;
use crate::outcome::{Failure, FailureScope, Outcome};
use crate::pauses::{GIVE_UP, SECOND};
use crate::schedule::tests::webhook;

/// The receiver requests a pause, so that its webhook rests.
const OVERLOAD: Outcome = Outcome::Failed(Failure {
    of: FailureScope::Overload,
    retry_after: Some(Duration::from_secs(1)),
});

/// A webhook of a stored access, with a receiver whose answers the test chooses.
struct TestWebhook {
    store: Store,
    served: ServedWebhook,
    now: i64,
}

impl TestWebhook {
    async fn new(folder: &tempfile::TempDir) -> TestWebhook {
        let store = Store::open(&folder.path().join("chatgate.db")).await;
        let store = store.unwrap();
        let access = Access::new("a", "a", "cga_a");
        store
            .put_accesses(ChangeAuthor::new("me", 7), &[access])
            .await
            .unwrap();
        let mut schedule = Schedule::new(&webhook(), Vec::new());
        schedule.add(1, "evt_1", 1);
        let served = ServedWebhook {
            webhook: Arc::new(webhook()),
            term: 1,
            is_serving: true,
            schedule,
            attempts: Vec::new(),
            recorded_state: WebhookState::Active,
            recorded_at: None,
            has_unreported_gap: false,
            gap_at: None,
            may_have_more: false,
            committed: 0,
        };
        TestWebhook {
            store,
            served,
            now: 1_000_000,
        }
    }

    /// Ends an attempt with this outcome after a time. Returns the recorded change.
    fn answered(&mut self, after: i64, outcome: Outcome) -> Option<String> {
        self.now += after;
        let how = (self.now, 0.0);
        self.served.schedule.ended(1, (outcome, "status"), how);
        let turn = self.served.record_state(&self.store, self.now)?;
        Some(format!("{} to {}", turn.from, turn.to))
    }
}

#[tokio::test]
async fn a_flapping_receiver_is_recorded_at_most_once_in_ten_minutes() {
    let folder = tempfile::tempdir().unwrap();
    let mut noted = TestWebhook::new(&folder).await;
    let rests = Some("active to resting: status".to_owned());
    assert_eq!(noted.answered(0, OVERLOAD), rests);
    for _ in 0..20 {
        assert_eq!(noted.answered(10 * SECOND, Outcome::Delivered), None);
        assert_eq!(noted.answered(10 * SECOND, OVERLOAD), None);
    }
    assert_eq!(noted.answered(10 * SECOND, Outcome::Delivered), None);
    // The final state is recorded late, even without a further attempt.
    noted.now += RECORD_INTERVAL;
    let turn = noted.served.record_state(&noted.store, noted.now).unwrap();
    assert_eq!((&*turn.from, &*turn.to), ("resting", "active"));
    assert_eq!(noted.answered(SECOND, OVERLOAD), None);
    assert_eq!(noted.answered(RECORD_INTERVAL, OVERLOAD), rests);
}

#[tokio::test]
async fn disabling_a_webhook_is_recorded_immediately() {
    let folder = tempfile::tempdir().unwrap();
    let mut noted = TestWebhook::new(&folder).await;
    assert_eq!(
        noted.answered(0, OVERLOAD).as_deref(),
        Some("active to resting: status")
    );
    noted.served.recorded_at = Some(noted.now + GIVE_UP);
    let disabled = noted.answered(GIVE_UP, OVERLOAD);
    assert_eq!(disabled.as_deref(), Some("resting to disabled: failing"));
}
