//! Tests of the number of upstream calls that polls need.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use store::{Access, ChangeAuthor, Store};

use super::model::{Datetimes, Ids, Model, Shape};
use super::shapes::config;
use crate::config::EventDepth;
use crate::poll_interval::{PollInterval, PollOutcome};
use crate::service::Events;
use crate::watcher::Watcher;

pub(super) const SHAPE: Shape = Shape {
    unread_clears: false,
    messages_clear: true,
    ids: Ids::Numeric,
    newest_first: false,
    datetimes: Datetimes::Seconds,
};

#[tokio::test]
async fn the_watcher_calls_the_upstream_only_while_an_access_may_listen() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(
        Store::open(&folder.path().join("chatgate.db"))
            .await
            .unwrap(),
    );
    let mut deaf = Access::new("deaf", "deaf", "cga_deaf");
    deaf.methods = vec!["getchats".into()];
    let mut suspended = Access::new("suspended", "suspended", "cga_suspended");
    suspended.active = false;
    let listens = Access::new("listens", "listens", "cga_listens");
    store
        .put_accesses(
            ChangeAuthor::new("test", 1),
            &[deaf, suspended.clone(), with_events(listens)],
        )
        .await
        .unwrap();
    let events = Events::open(&store, config(EventDepth::Unread))
        .await
        .unwrap();
    let model = Arc::new(Model::new(SHAPE));
    events.start_recorder(Arc::<Model>::clone(&model));
    let mut watcher = Watcher::new(Arc::clone(&events), Arc::<Model>::clone(&model));
    for nobody in ["", "cga_deaf", "cga_suspended", "cga_gone"] {
        if !nobody.is_empty() {
            events.interests.touch(nobody);
        }
        watcher.round().await;
        assert_eq!(model.calls.load(Ordering::Relaxed), 0, "{nobody}");
    }
    events.interests.touch("cga_listens");
    watcher.round().await;
    assert_eq!(
        model.calls.load(Ordering::Relaxed),
        1,
        "channels are listed"
    );
    watcher.round().await;
    assert_eq!(model.calls.load(Ordering::Relaxed), 2, "and looked at");
    assert_eq!(events.status().watched, 1);
}

pub(super) fn with_events(mut access: Access) -> Access {
    access.methods = vec!["getevents".into()];
    access
}

#[test]
fn twenty_quiet_channels_cost_about_four_calls_per_second() {
    let bounds = (Duration::from_secs(1), Duration::from_secs(5));
    let minutes = 10_u32;
    let mut calls = minutes; // of the list of channels
    for channel in 0..20_u32 {
        let (mut pace, mut at) = (PollInterval::new(bounds.0), Duration::ZERO);
        let mut look = 0_u32;
        while at < Duration::from_secs(60 * u64::from(minutes)) {
            calls += 1;
            look += 1;
            // The random values are spread evenly.
            let chance = f64::from((look * 37 + channel * 11) % 101) / 100.0;
            at += pace.next_pause(
                (PollOutcome::Quiet, Duration::from_millis(20)),
                bounds,
                false,
                chance,
            );
        }
    }
    let per_second = f64::from(calls) / f64::from(60 * minutes);
    eprintln!("{per_second:.2} calls a second");
    assert!(per_second <= 4.4, "{per_second}");
}
