//! Erasures of the events of a destination.

use super::*;

on_every_engine!(
    erasing_a_destination_deletes_its_events,
    events_that_arrive_during_an_erasure_are_erased,
    an_erased_chat_is_known_by_hashes_only,
    an_erased_chat_is_stored_again_only_with_a_new_event,
    erased_messages_that_are_forgotten_stay_history,
);

/// Erases the chat.
async fn erase(store: &Arc<Store>) {
    let journal = Journal::start(store).await.unwrap();
    let erased = store.erase_destination(("ann", NOW_MS), "+34 600 000 000");
    erased.await.unwrap();
    journal.stop().await;
}

/// Returns the chat with a message, and with the last message that a poll has found.
fn polled_chat(ids: &[&str], tip: &str) -> ObservedChat {
    let mut seen = chat(ids.iter().map(|id| message(id, "received")).collect());
    seen.tip = Some(Tip {
        id: tip.to_owned(),
        status: "for 34600000000".to_owned(),
        datetime: Some("2026-01-03".to_owned()),
    });
    seen
}

async fn erasing_a_destination_deletes_its_events(engine: TestEngine) {
    let store = Arc::new(engine.open().await);
    let journal = Journal::start(&store).await.unwrap();
    let mut text = message("b", "received");
    text.event.row = Some(r#"{"message":"call 34600000000 back"}"#.to_owned());
    record(
        &store,
        chat(vec![message("a", "received"), message("a", "read")]),
    )
    .await;
    let other = ObservedChat {
        destination: "34600000001".to_owned(),
        messages: vec![text, message("c", "received")],
        ..ObservedChat::default()
    };
    record(&store, other).await;
    let erased = store
        .erase_destination(("ann", NOW_MS), "34600000000")
        .await;
    assert_eq!(erased.unwrap(), 4);
    assert_eq!(ids(&store, Position::ZERO).await, ["evt_c_received"]);
    // The space of the deleted events is free again, so that the remaining event fits into its own size.
    let log = store.events_after(Position::ZERO, 100, usize::MAX).await;
    let now_ms = log.unwrap().newest.time_ms();
    let room = EventRetention {
        age: Duration::from_secs(86_400),
        bytes: 258,
    };
    store.trim_events(now_ms, &room).await.unwrap();
    assert_eq!(ids(&store, Position::ZERO).await, ["evt_c_received"]);
    assert!(!is_listed(&store).await);
    let memory = store.channel_memory(&channel()).await.unwrap().unwrap();
    assert!(memory.tips.contains_key("34600000001"));
    journal.stop().await;
    store.close().await;
    assert!(!engine.holds("34600000000").await);
}

async fn events_that_arrive_during_an_erasure_are_erased(engine: TestEngine) {
    let store = Arc::new(engine.open().await);
    let journal = Journal::start(&store).await.unwrap();
    let row = JournalRow {
        at_ms: NOW_MS,
        ..JournalRow::default()
    };
    let opened = journal.open(row.clone(), None, Instant::now()).await;
    let OpenResult::Intent(intent) = opened.unwrap() else {
        panic!("nothing is in its way")
    };
    record(&store, chat(vec![message("a", "received")])).await;
    let erasing = {
        let store = Arc::clone(&store);
        let by = ("ann", NOW_MS);
        tokio::spawn(async move { store.erase_destination(by, "34600000000").await })
    };
    // The send keeps the erasure waiting after its first search.
    let deadline = Instant::now() + PATIENCE;
    while !ids(&store, Position::ZERO).await.is_empty() {
        assert!(Instant::now() < deadline, "the event stays");
    }
    record(&store, chat(vec![message("b", "received")])).await;
    intent.settle(row, Settlement::Free).await.unwrap();
    erasing.await.unwrap().unwrap();
    assert!(ids(&store, Position::ZERO).await.is_empty());
    assert!(!is_listed(&store).await);
}

async fn an_erased_chat_is_known_by_hashes_only(engine: TestEngine) {
    let store = Arc::new(engine.open().await);
    let tip = "tip-of-34600000000";
    record(&store, polled_chat(&["id-of-34600000000", "other-id"], tip)).await;
    erase(&store).await;
    store.close().await;
    for text in ["34600000000", "other-id", "tip-of"] {
        assert!(!engine.holds(text).await, "{text} is still in the store");
    }
    let store = engine.open().await;
    let found = memory(&store, &["other-id", "new", tip, "id-of-34600000000"]).await;
    let found = found.unwrap();
    assert!(found.is_erased && found.known.values().all(|known| known.is_erased));
    assert_eq!(found.floor.id.as_deref(), Some(tip));
    assert_eq!(found.floor.datetime.as_deref(), Some("2026-01-03"));
    let mut known: Vec<_> = found.known.keys().map(String::as_str).collect();
    known.sort_unstable();
    assert_eq!(known, ["id-of-34600000000", "other-id"]);
    // Without the last message in the list, the floor is none of its messages.
    let found = memory(&store, &["other-id"]).await.unwrap();
    assert!(
        found
            .floor
            .id
            .is_some_and(|id| id != "other-id" && id != tip)
    );
    let others = vec![("34600000001".to_owned(), vec!["other-id".to_owned()])];
    let others = store.chat_memories(&channel(), others).await.unwrap();
    assert_eq!(others, [None]);
}

async fn an_erased_chat_is_stored_again_only_with_a_new_event(engine: TestEngine) {
    let store = Arc::new(engine.open().await);
    record(&store, polled_chat(&["a"], "b")).await;
    erase(&store).await;
    assert!(record(&store, polled_chat(&[], "b")).await.is_empty());
    assert!(!is_listed(&store).await);
    assert_eq!(
        record(&store, polled_chat(&["c"], "c")).await,
        ["evt_c_received"]
    );
    assert!(is_listed(&store).await);
    let found = memory(&store, &["a", "b", "c"]).await.unwrap();
    assert_eq!(
        (found.is_erased, found.floor.id.as_deref()),
        (true, Some("b"))
    );
    assert!(found.known["a"].is_erased && !found.known["c"].is_erased);
    // The status of an erased message makes no event.
    assert!(
        record(&store, chat(vec![message("a", "read")]))
            .await
            .is_empty()
    );
    erase(&store).await;
    assert!(!is_listed(&store).await);
    let found = memory(&store, &["a", "b", "c"]).await.unwrap();
    assert_eq!(found.floor.id.as_deref(), Some("c"));
    assert!(found.known["a"].is_erased && found.known["c"].is_erased);
    store.close().await;
    assert!(!engine.holds("34600000000").await);
}

async fn erased_messages_that_are_forgotten_stay_history(engine: TestEngine) {
    let store = Arc::new(engine.open().await);
    record(&store, polled_chat(&["a"], "b")).await;
    erase(&store).await;
    let forget = async |store: &Store| {
        engine
            .execute("UPDATE event_messages SET position = 1")
            .await;
        let keep = EventRetention {
            age: Duration::from_secs(86_400),
            bytes: 1 << 20,
        };
        store.trim_events(NOW_MS, &keep).await.unwrap();
        memory(store, &["a", "b", "c"]).await.unwrap()
    };
    let found = forget(&store).await;
    assert!(found.known.is_empty());
    assert_eq!(found.floor.id.as_deref(), Some("b"));
    // Later messages end the history as usual.
    record(&store, chat(vec![message("c", "received")])).await;
    let found = forget(&store).await;
    assert_eq!(
        (found.is_erased, found.floor.id.as_deref()),
        (true, Some("c"))
    );
}

#[tokio::test]
async fn an_erasure_waits_until_no_process_shows_erased_events_from_memory() {
    let Some(engine) = TestEngine::postgres().await else {
        return;
    };
    let (eraser, other) = (Arc::new(engine.open().await), engine.open().await);
    let journal = Journal::start(&eraser).await.unwrap();
    /// Reads the log until it contains no event. Returns the time before the last read that found one.
    async fn gone(store: &Store) -> Instant {
        let mut read_at = Instant::now();
        loop {
            let asked = Instant::now();
            if ids(store, Position::ZERO).await.is_empty() {
                return read_at;
            }
            read_at = asked;
        }
    }
    record(&eraser, chat(vec![message("a", "received")])).await;
    assert_eq!(ids(&other, Position::ZERO).await, ["evt_a_received"]);
    assert_eq!((other.erasures(), other.knows_erasures()), (0, true));
    let erasing = tokio::spawn({
        let eraser = Arc::clone(&eraser);
        async move {
            let erased = eraser.erase_destination(("ann", NOW_MS), "34600000000");
            (erased.await, Instant::now())
        }
    });
    timeout(PATIENCE, gone(&other)).await.unwrap();
    assert_eq!((other.erasures(), other.knows_erasures()), (1, true));
    // An event that comes during the erasure.
    record(&eraser, chat(vec![message("b", "received")])).await;
    let read_at = timeout(PATIENCE, gone(&other)).await.unwrap();
    let (erased, ended) = timeout(PATIENCE, erasing).await.unwrap().unwrap();
    assert_eq!(erased.unwrap(), 3);
    assert!(ended - read_at >= COUNT_HOLDS, "{:?}", ended - read_at);
    assert_eq!((other.erasures(), eraser.erasures()), (2, 1));
    assert!(!other.knows_erasures(), "the log was not read since");
    ids(&other, Position::ZERO).await;
    assert!(other.knows_erasures());
    journal.stop().await;
    for store in [&*eraser, &other] {
        store.close().await;
    }
}
