//! Tests that observed answers become events, and that readers are notified of stalled channels.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use adapter::{Request, Response};
use forward::CallObserver;
use store::{Access, ChangeAuthor, EventKind, Position, Store};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::model::{CHANNEL, Model, chat_name};
use super::nobody::{SHAPE, with_events};
use super::shapes::config;
use crate::config::EventDepth;
use crate::observation_queue::Observation;
use crate::service::Events;
use crate::upstream::request;
use crate::watcher::Watcher;

/// Maximum time to wait for a result.
const DEADLINE: Duration = Duration::from_secs(20);

/// The events of a gateway with one listener, and a channel that has been polled.
struct Listened {
    events: Arc<Events>,
    model: Arc<Model>,
    watcher: Watcher,
    _folder: tempfile::TempDir,
}

async fn listened() -> Listened {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("chatgate.db")).await;
    let store = Arc::new(store.unwrap());
    let access = with_events(Access::new("listens", "listens", "cga_listens"));
    store
        .put_accesses(ChangeAuthor::new("test", 1), &[access])
        .await
        .unwrap();
    let events = Events::open(&store, config(EventDepth::Hint))
        .await
        .unwrap();
    let model = Arc::new(Model::new(SHAPE));
    model.add(0, false);
    events.start_recorder(Arc::<Model>::clone(&model));
    let mut watcher = Watcher::new(Arc::clone(&events), Arc::<Model>::clone(&model));
    events.interests.touch("cga_listens");
    // The first round lists the channels, the second polls them.
    watcher.round().await;
    watcher.round().await;
    Listened {
        events,
        model,
        watcher,
        _folder: folder,
    }
}

async fn kinds(events: &Events) -> Vec<EventKind> {
    let page = events.reader.page(Position::ZERO, 100).await.unwrap();
    page.events.iter().map(|event| event.kind).collect()
}

#[tokio::test]
async fn an_observed_list_is_stored_once_and_only_for_channels_with_listeners() {
    let Listened {
        events,
        model,
        mut watcher,
        _folder,
    } = listened().await;
    model.add(0, false);
    let (destination, [platform, platformid]) = (chat_name(0), CHANNEL);
    let mut values = [
        ("platform", platform),
        ("platformid", platformid),
        ("destination", &destination),
    ];
    let asked = request("getunreadmessages", &values).unwrap();
    let response = model.answer(&asked).unwrap();
    events.observe(&asked, &response).unwrap().await.unwrap();
    assert_eq!(kinds(&events).await, [EventKind::MessageReceived]);
    // The same list again causes no event; the poll reports that the chat has changed.
    events.observe(&asked, &response).unwrap().await.unwrap();
    watcher.age(Duration::ZERO);
    watcher.round().await;
    let both = [EventKind::MessageReceived, EventKind::ChatChanged];
    assert_eq!(kinds(&events).await, both);
    // Nothing is stored for a channel without listeners.
    values[1].1 = "101";
    let asked = request("getunreadmessages", &values).unwrap();
    assert!(events.observe(&asked, &response).is_none());
}

#[tokio::test]
async fn an_unreachable_channel_is_reported_as_stalled_and_then_as_resumed() {
    let Listened {
        events,
        model,
        mut watcher,
        _folder,
    } = listened().await;
    let mut newest = events.hub.subscribe();
    model.is_down.store(true, Ordering::Relaxed);
    watcher.age(Duration::from_secs(59));
    watcher.round().await;
    assert_eq!((kinds(&events).await, events.status().stalled), (vec![], 0));
    watcher.age(Duration::from_secs(1));
    watcher.round().await;
    newest.changed().await.unwrap();
    assert_eq!(kinds(&events).await, [EventKind::ChannelStalled]);
    assert_eq!(events.status().stalled, 1);
    model.is_down.store(false, Ordering::Relaxed);
    watcher.age(Duration::ZERO);
    watcher.round().await;
    newest.changed().await.unwrap();
    let both = [EventKind::ChannelStalled, EventKind::ChannelResumed];
    assert_eq!(kinds(&events).await, both);
}

#[tokio::test]
async fn polling_continues_after_a_poll_panics() {
    let Listened {
        events,
        model,
        mut watcher,
        _folder,
    } = listened().await;
    model.panics_once.store(true, Ordering::Relaxed);
    watcher.age(Duration::ZERO);
    watcher.round().await;
    model.add(0, false);
    watcher.age(Duration::ZERO);
    watcher.round().await;
    assert_eq!(kinds(&events).await, [EventKind::ChatChanged]);
}

#[tokio::test]
async fn the_watcher_task_continues_after_a_panic() {
    let Listened {
        events,
        model,
        watcher,
        _folder,
    } = listened().await;
    let mut newest = events.hub.subscribe();
    model.panics_at_end.store(true, Ordering::Relaxed);
    let (_heard, hears) = mpsc::channel(1);
    let polling = tokio::spawn(watcher.run(hears));
    timeout(DEADLINE, model.panicked.notified()).await.unwrap();
    model.add(0, false);
    timeout(DEADLINE, newest.changed()).await.unwrap().unwrap();
    assert_eq!(kinds(&events).await, [EventKind::ChatChanged]);
    polling.abort();
}

#[tokio::test]
async fn an_observation_that_panics_takes_no_other_of_its_batch_with_it() {
    let Listened {
        events,
        model,
        watcher: _,
        _folder,
    } = listened().await;
    model.add(0, false);
    let (asked, response) = unread_answer(&model);
    // All are queued before the recorder runs, so they are in one batch.
    let before = events.recorder.queue(Observation::Defect).unwrap();
    let kept = events.observe(&asked, &response).unwrap();
    let after = events.recorder.queue(Observation::Defect).unwrap();
    assert!(before.await.is_err() && after.await.is_err());
    kept.await.unwrap();
    assert_eq!(kinds(&events).await, [EventKind::MessageReceived]);
    assert_eq!(events.status().unstored_lists, 0);
}

#[tokio::test]
async fn lists_that_an_unavailable_store_has_not_stored_are_counted() {
    let Listened {
        events,
        model,
        watcher: _,
        _folder,
    } = listened().await;
    model.add(0, false);
    let (asked, response) = unread_answer(&model);
    events.store.close().await;
    let lost = [(); 3].map(|()| events.observe(&asked, &response).unwrap());
    for lost in lost {
        assert!(lost.await.is_err());
    }
    assert_eq!(events.status().unstored_lists, 3);
}

/// Returns a call for the unread messages of the first chat, and the model's answer.
fn unread_answer(model: &Model) -> (Request, Response) {
    let (destination, [platform, platformid]) = (chat_name(0), CHANNEL);
    let values = [
        ("platform", platform),
        ("platformid", platformid),
        ("destination", &destination),
    ];
    let asked = request("getunreadmessages", &values).unwrap();
    let response = model.answer(&asked).unwrap();
    (asked, response)
}
