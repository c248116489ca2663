//! What every engine guarantees for events.

mod erasure;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::timeout;

use crate::memory::COUNT_HOLDS;
use crate::test_engine::{TestEngine, on_every_engine};
use crate::{
    ChatMemory, EventChannel, EventKind, EventRetention, Floor, Journal, JournalRow, NewEvent,
    ObservedChannel, ObservedChat, ObservedMessage, OpenResult, Position, Settlement, Store, Tip,
};

on_every_engine!(
    an_event_is_stored_once_and_events_are_read_in_position_order,
    chat_memory_survives_a_restart,
    the_event_log_is_trimmed_by_age_and_size_and_reports_the_position,
    a_page_read_during_trimming_has_each_event_or_reports_it_as_trimmed,
    events_of_unknown_kinds_are_skipped,
    interests_survive_a_restart_until_they_expire,
    a_refused_observation_takes_no_other_one_with_it,
);

const NOW_MS: i64 = 1_700_000_000_000;

/// Maximum time to wait for a result.
const PATIENCE: Duration = Duration::from_secs(60);

fn channel() -> EventChannel {
    EventChannel {
        account: "host".to_owned(),
        platform: "whatsapp".to_owned(),
        platformid: "100".to_owned(),
    }
}

fn event(id: &str, kind: EventKind, row: &str) -> NewEvent {
    NewEvent {
        id: format!("evt_{id}"),
        kind,
        gap: id.starts_with('g'),
        late: false,
        row: Some(row.to_owned()),
    }
}

fn message(id: &str, status: &str) -> ObservedMessage {
    let kind = if status == "received" {
        EventKind::MessageReceived
    } else {
        EventKind::MessageStatus
    };
    ObservedMessage {
        id: id.to_owned(),
        status: status.to_owned(),
        datetime: Some("2026-01-01".to_owned()),
        event: event(&format!("{id}_{status}"), kind, "{}"),
    }
}

fn observation(chat: ObservedChat) -> ObservedChannel {
    ObservedChannel {
        channel: channel(),
        newest: Some("2026-01-02".to_owned()),
        stalled_at: None,
        chats: vec![chat],
        event: None,
    }
}

/// Makes an observation with the event, of this id, that its channel has stalled.
pub(crate) fn stalled(id: &str) -> ObservedChannel {
    ObservedChannel {
        channel: channel(),
        newest: None,
        stalled_at: None,
        chats: Vec::new(),
        event: Some(event(id, EventKind::ChannelStalled, "{}")),
    }
}

/// The destination of the chat.
pub(crate) const DESTINATION: &str = "34600000000";

/// Records a received message of the chat. Returns the ids of the events.
pub(crate) async fn recorded(store: &Store, id: &str) -> Vec<String> {
    record(store, chat(vec![message(id, "received")])).await
}

fn chat(messages: Vec<ObservedMessage>) -> ObservedChat {
    ObservedChat {
        destination: DESTINATION.to_owned(),
        messages,
        ..ObservedChat::default()
    }
}

async fn record(store: &Store, chat: ObservedChat) -> Vec<String> {
    let recorded = store.record_observed(vec![observation(chat)], NOW_MS).await;
    let events = recorded.unwrap().into_iter();
    events.map(|event| event.id).collect()
}

/// Returns whether the chat is known by its destination.
async fn is_listed(store: &Store) -> bool {
    let memory = store.channel_memory(&channel()).await.unwrap().unwrap();
    memory.tips.contains_key("34600000000")
}

/// Returns the memory of the chat and of these messages.
async fn memory(store: &Store, ids: &[&str]) -> Option<ChatMemory> {
    let ids = ids.iter().map(|id| (*id).to_owned()).collect();
    let wanted = vec![("34600000000".to_owned(), ids)];
    let memories = store.chat_memories(&channel(), wanted).await;
    memories.unwrap().pop().unwrap()
}

async fn ids(store: &Store, after: Position) -> Vec<String> {
    let page = store.events_after(after, 100, usize::MAX).await.unwrap();
    page.events.iter().map(|event| event.id.clone()).collect()
}

async fn an_event_is_stored_once_and_events_are_read_in_position_order(engine: TestEngine) {
    let store = engine.open().await;
    let received = |id| message(id, "received");
    let new = record(&store, chat(vec![received("gap"), received("b")])).await;
    assert_eq!(new, ["evt_gap_received", "evt_b_received"]);
    // Known messages make no event, not even with another event id; another status makes one event.
    let again = vec![
        received("b"),
        received("c"),
        message("b", "read"),
        message("b", "read"),
    ];
    assert_eq!(
        record(&store, chat(again)).await,
        ["evt_c_received", "evt_b_read"]
    );
    store.close().await;

    let store = engine.open().await;
    let mut changed = chat(vec![]);
    changed.changed = Some(event("changed", EventKind::ChatChanged, "{}"));
    assert_eq!(record(&store, changed.clone()).await.len(), 1);
    assert_eq!(record(&store, changed).await.len(), 0);
    let all = [
        "evt_gap_received",
        "evt_b_received",
        "evt_c_received",
        "evt_b_read",
        "evt_changed",
    ];
    let page = store
        .events_after(Position::ZERO, 2, usize::MAX)
        .await
        .unwrap();
    assert_eq!((page.events.len(), page.more), (2, true));
    let second = page.read_up_to(Position::ZERO);
    assert_eq!(second, page.events[1].position);
    assert_eq!(page.events[0].destination.as_deref(), Some("34600000000"));
    assert!(page.events[0].gap && !page.events[1].gap);
    assert_eq!(ids(&store, Position::ZERO).await, all);
    assert_eq!(ids(&store, second).await, all[2..]);
    let rest = store.events_after(second, 100, 1).await.unwrap();
    assert!(rest.more && rest.events.len() == 1, "bytes are a bound");
    assert_eq!(ids(&store, page.newest).await, Vec::<String>::new());
}

async fn chat_memory_survives_a_restart(engine: TestEngine) {
    let store = engine.open().await;
    assert_eq!(store.channel_memory(&channel()).await.unwrap(), None);
    let mut seen = chat(vec![message("m", "received")]);
    let tip = Tip {
        id: "m".to_owned(),
        status: "received".to_owned(),
        datetime: Some("2026-01-01".to_owned()),
    };
    seen.tip = Some(tip.clone());
    seen.floor = Floor {
        id: Some("f".to_owned()),
        datetime: Some("2025".to_owned()),
    };
    record(&store, seen.clone()).await;
    // The floor is stored only at the first observation, and an observation without a tip keeps the stored tip.
    record(&store, chat(vec![])).await;
    store.close().await;

    let store = engine.open().await;
    let memory = store.channel_memory(&channel()).await.unwrap().unwrap();
    assert_eq!(memory.newest.as_deref(), Some("2026-01-02"));
    assert_eq!(memory.tips["34600000000"], Some(tip));
    let wanted = vec![
        ("nobody".to_owned(), vec!["m".to_owned()]),
        (seen.destination, vec!["x".to_owned(), "m".to_owned()]),
    ];
    let memories = store.chat_memories(&channel(), wanted).await.unwrap();
    assert_eq!(memories[0], None);
    let known = memories[1].as_ref().unwrap();
    assert_eq!(known.floor, seen.floor);
    assert_eq!(known.known.len(), 1);
    assert_eq!(known.known["m"].status, "received");
}

async fn the_event_log_is_trimmed_by_age_and_size_and_reports_the_position(engine: TestEngine) {
    let store = engine.open().await;
    let rows = (0..40).map(|n| message(&format!("m{n}"), "received"));
    record(&store, chat(rows.collect())).await;
    let all = store
        .events_after(Position::ZERO, 100, usize::MAX)
        .await
        .unwrap();
    let keep = |age, bytes| EventRetention { age, bytes };
    let day = Duration::from_secs(86_400);
    // PostgreSQL trims by its own clock, by which the events are new as well.
    let now_ms = all.newest.time_ms();
    store
        .trim_events(now_ms, &keep(day, 1 << 20))
        .await
        .unwrap();
    assert_eq!(ids(&store, Position::ZERO).await.len(), 40);
    store
        .trim_events(now_ms, &keep(day, 10 * 258))
        .await
        .unwrap();
    let left = store
        .events_after(Position::ZERO, 100, usize::MAX)
        .await
        .unwrap();
    assert_eq!(left.events.len(), 10);
    assert_eq!(left.trimmed, all.events[29].position);
    store
        .trim_events(now_ms + 1000, &keep(Duration::ZERO, 1 << 20))
        .await
        .unwrap();
    let left = store
        .events_after(Position::ZERO, 100, usize::MAX)
        .await
        .unwrap();
    assert_eq!((left.events.len(), left.trimmed), (0, all.newest));
    assert_eq!(left.newest, all.newest);
    // Positions continue after the last one, and known messages stay known.
    let new = record(
        &store,
        chat(vec![message("m7", "received"), message("n", "received")]),
    );
    assert_eq!(new.await, ["evt_n_received"]);
    let last = store
        .events_after(Position::ZERO, 100, usize::MAX)
        .await
        .unwrap();
    assert!(last.newest > all.newest);
}

async fn a_page_read_during_trimming_has_each_event_or_reports_it_as_trimmed(engine: TestEngine) {
    const EVENTS: u64 = 400;
    let store = Arc::new(engine.open().await);
    let rows = (0..EVENTS).map(|n| message(&format!("m{n}"), "received"));
    record(&store, chat(rows.collect())).await;
    let read = async |store: &Store| {
        let page = store.events_after(Position::ZERO, 1, usize::MAX).await;
        let page = page.unwrap();
        let first = page.events.first().map(|event| event.position);
        (page.trimmed, first, page.newest.time_ms())
    };
    let (_, oldest, now_ms) = read(&store).await;
    let oldest = oldest.unwrap();
    let trimming = Arc::clone(&store);
    let trimming = tokio::spawn(async move {
        for left in (1..EVENTS).rev() {
            let keep = EventRetention {
                age: Duration::from_secs(86_400),
                bytes: left * 258,
            };
            trimming.trim_events(now_ms, &keep).await.unwrap();
        }
    });
    while !trimming.is_finished() {
        let (trimmed, first, _) = read(&store).await;
        // Positions of one commit are consecutive.
        assert_eq!(first, Some(trimmed.next().max(oldest)));
    }
    trimming.await.unwrap();
    assert!(read(&store).await.0 > oldest);
}

async fn events_of_unknown_kinds_are_skipped(engine: TestEngine) {
    let store = engine.open().await;
    let rows = (0..20).map(|n| message(&format!("m{n}"), "received"));
    record(&store, chat(rows.collect())).await;
    let renamed = "('evt_m17_received', 'evt_m19_received')";
    engine
        .execute(&format!(
            "UPDATE events SET kind = 'of tomorrow' WHERE id NOT IN {renamed}"
        ))
        .await;
    let (mut after, mut heard) = (Position::ZERO, Vec::new());
    loop {
        let page = store.events_after(after, 3, usize::MAX).await.unwrap();
        heard.extend(page.events.iter().map(|event| event.id.clone()));
        after = page.read_up_to(after);
        if !page.more {
            break;
        }
    }
    assert_eq!(heard, ["evt_m17_received", "evt_m19_received"]);
}

async fn interests_survive_a_restart_until_they_expire(engine: TestEngine) {
    let store = engine.open().await;
    let of = |name: &str, until| (name.to_owned(), until);
    store
        .note_interests(&[of("a", 10), of("b", 20)])
        .await
        .unwrap();
    store.note_interests(&[of("b", 15)]).await.unwrap();
    store.close().await;
    let store = engine.open().await;
    assert_eq!(store.interests(10).await.unwrap(), [of("b", 20)]);
}

async fn a_refused_observation_takes_no_other_one_with_it(engine: TestEngine) {
    let store = engine.open().await;
    let refuse = match &engine {
        TestEngine::Sqlite(_) => {
            "CREATE TRIGGER refuse BEFORE INSERT ON events WHEN NEW.id = 'evt_b_received' BEGIN SELECT RAISE(ABORT, 'refused'); END"
        }
        TestEngine::Postgres(_) => "ALTER TABLE events ADD CHECK (id <> 'evt_b_received')",
    };
    engine.execute(refuse).await;
    let of = |id| observation(chat(vec![message(id, "received")]));
    let batch = store
        .record_batch(vec![of("a"), of("b"), of("c")], NOW_MS)
        .await;
    assert_eq!(batch.is_stored, [true, false, true]);
    assert!(batch.error.unwrap().is_row_fault());
    let stored: Vec<_> = batch.events.iter().map(|event| event.id.clone()).collect();
    assert_eq!(stored, ["evt_a_received", "evt_c_received"]);
    assert_eq!(ids(&store, Position::ZERO).await, stored);
    // Another failure concerns all observations.
    engine.read_only(&store, true).await;
    let batch = store.record_batch(vec![of("d"), of("e")], NOW_MS).await;
    assert_eq!(batch.is_stored, [false, false]);
    assert!(!batch.error.unwrap().is_row_fault());
}
