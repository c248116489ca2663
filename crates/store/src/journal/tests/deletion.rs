//! Deletion by age, by size and by destination.

use super::*;

on_every_engine!(
    rows_and_payloads_expire_by_their_own_age_and_a_row_records_it,
    the_oldest_rows_are_deleted_when_the_journal_exceeds_its_size,
    erasing_a_destination_removes_its_payloads_from_the_store,
    an_erasure_waits_for_a_send_in_progress_and_erases_its_answer,
);

async fn rows_and_payloads_expire_by_their_own_age_and_a_row_records_it(engine: TestEngine) {
    let bench = Bench::over(engine).await;
    for n in 0..2500 {
        let payload = JournalPayload {
            parameters: Some("p".to_owned()),
            ..Default::default()
        };
        bench.journal.add(JournalRow {
            payload,
            ..row(n * DAY_MS, n)
        });
    }
    bench.journal.flush().await.unwrap();
    let days = |days: u64| Duration::from_secs(days * 24 * 3600);
    let retention = Retention {
        rows: days(1000),
        payloads: days(500),
        bytes: u64::MAX,
    };
    let now_ms = 2500 * DAY_MS;
    bench.store.clear_old(now_ms, &retention).await.unwrap();
    let rows = bench.all(JournalFilter::default()).await;
    let with_payload = rows
        .iter()
        .filter(|row| row.payload.parameters.is_some())
        .count();
    assert_eq!((rows.len(), with_payload), (1000 + 1, 500));
    assert_eq!(rows[0].request_id.as_deref(), Some("1500"));
    let clearing = rows.last().unwrap();
    assert_eq!(clearing.kind, JournalKind::Clearing);
    assert_eq!(
        clearing.cause.as_deref(),
        Some("1500 rows and 2000 payloads, by age")
    );
    bench.store.clear_old(now_ms, &retention).await.unwrap();
    assert_eq!(bench.all(JournalFilter::default()).await.len(), 1001);
}

async fn the_oldest_rows_are_deleted_when_the_journal_exceeds_its_size(engine: TestEngine) {
    let bench = Bench::over(engine).await;
    for n in 0..5000 {
        let parameters = Some("p".repeat(1000));
        let payload = JournalPayload {
            parameters,
            ..Default::default()
        };
        bench.journal.add(JournalRow {
            payload,
            access: Some("a".to_owned()),
            ..row(n, n)
        });
    }
    bench.journal.flush().await.unwrap();
    let retention = |bytes| Retention {
        rows: Duration::MAX,
        payloads: Duration::MAX,
        bytes,
    };
    bench
        .store
        .clear_surplus(5000, &retention(100 << 20))
        .await
        .unwrap();
    assert_eq!(bench.all(JournalFilter::default()).await.len(), 5000);
    bench
        .store
        .clear_surplus(5000, &retention(4 << 20))
        .await
        .unwrap();
    let rows = bench.all(JournalFilter::default()).await;
    assert!((1000..4000).contains(&rows.len()), "{}", rows.len());
    assert!(
        rows.iter()
            .all(|row| row.kind != JournalKind::Request || row.payload.parameters.is_some())
    );
    let cause = rows.last().unwrap().cause.clone().unwrap();
    assert!(cause.ends_with("by size"), "{cause}");
    let kept: Vec<_> = rows
        .iter()
        .filter_map(|row| row.request_id.as_deref())
        .collect();
    assert_eq!(kept.last(), Some(&"4999"));
}

async fn erasing_a_destination_removes_its_payloads_from_the_store(engine: TestEngine) {
    let bench = Bench::over(engine).await;
    let said = |destination: &str, answer: &str| JournalRow {
        payload: JournalPayload {
            destination: Some(destination.to_owned()),
            parameters: Some(format!("canary-of-{}", destination.len())),
            answer: Some(answer.to_owned()),
        },
        ..row(1, "said")
    };
    bench.journal.add(said("346", "the canary's own answer"));
    bench.journal.add(said("34600", "speaks of 346 too"));
    bench.journal.add(said("9", "of nobody"));
    bench.journal.flush().await.unwrap();
    let erased = bench
        .store
        .erase_destination(("ann", 2), "346")
        .await
        .unwrap();
    assert_eq!(erased, 2);
    let rows = bench.all(JournalFilter::default()).await;
    let answers: Vec<_> = rows
        .iter()
        .filter_map(|row| row.payload.answer.as_deref())
        .collect();
    assert_eq!((rows.len(), answers), (4, vec!["of nobody"]));
    let erasure = rows.last().unwrap();
    assert_eq!(
        (erasure.kind, erasure.actor.as_deref()),
        (JournalKind::Erasure, Some("ann"))
    );
    assert!(!erasure.cause.as_deref().unwrap().contains("346"));
    assert!(!bench.engine.holds("the canary's own answer").await);
    assert!(!bench.engine.holds("speaks of").await);
}

async fn an_erasure_waits_for_a_send_in_progress_and_erases_its_answer(engine: TestEngine) {
    let bench = Bench::over(engine).await;
    let opened = bench
        .journal
        .open(row(1, "old"), Some(claim("k")), Instant::now())
        .await;
    let OpenResult::Intent(intent) = opened.unwrap() else {
        panic!("it can be claimed")
    };
    let store = Arc::clone(&bench.store);
    let mut erasing =
        tokio::spawn(async move { store.erase_destination(("ann", LATER), "346").await });
    let early = timeout(Duration::from_secs(1), &mut erasing).await;
    assert!(early.is_err(), "{early:?}");
    let answer = Settlement::Sent(r#"{"canary":"346"}"#.to_owned());
    intent.settle(row(1, "old"), answer).await.unwrap();
    assert_eq!(erasing.await.unwrap().unwrap(), 1);
    assert!(!bench.engine.holds("canary").await);
}
