//! Tests of reading: pages are complete, filters find their rows, and sums match the rows.

use super::*;

on_every_engine!(
    a_brief_page_contains_the_same_rows_with_the_fields_for_sums,
    access_calls_counts_the_newest_rows_of_each_access,
    pages_return_every_row_once_while_new_rows_arrive,
    each_filter_finds_only_its_rows,
    a_page_stops_at_its_examination_limit_and_the_next_page_continues,
    a_network_filter_finds_its_addresses_among_few_or_many_rows,
    a_row_of_an_unknown_kind_is_on_its_page,
);

async fn a_brief_page_contains_the_same_rows_with_the_fields_for_sums(engine: TestEngine) {
    let bench = Bench::over(engine).await;
    bench.journal.add(full_row());
    // The flush is needed because each lane numbers its own rows.
    bench.journal.flush().await.unwrap();
    let under_way = JournalRow {
        access: Some("shop".to_owned()),
        ..row(LATER, "under way")
    };
    let _intent = bench.open(under_way).await.unwrap();
    bench.journal.flush().await.unwrap();
    let of_shop = filter(|f| f.access = Some("shop".to_owned()));
    for filter in [JournalFilter::default(), of_shop] {
        let brief = bench.store.brief_journal_page(&filter, (NEWEST, None), 1);
        let brief = brief.await.unwrap();
        assert_eq!(brief.rows[0].access.as_deref(), Some("shop"));
        assert_eq!(brief.rows[0].code, None);
        let rest = (NEWEST, brief.next);
        let rest = bench.store.brief_journal_page(&filter, rest, 2);
        let rest = rest.await.unwrap();
        let full = full_row();
        let expected = JournalRow {
            id: rest.rows[0].id,
            at_ms: full.at_ms,
            count: full.count,
            access: full.access,
            client: full.client,
            canonical: full.canonical,
            code: full.code,
            delivery: full.delivery,
            upstream_us: full.upstream_us,
            cause: full.cause,
            ..JournalRow::default()
        };
        assert_eq!((rest.rows, rest.next), (vec![expected], None));
    }
}

async fn access_calls_counts_the_newest_rows_of_each_access(engine: TestEngine) {
    let bench = Bench::over(engine).await;
    let of = |access: &str, at_ms, code: Option<&'static str>| JournalRow {
        access: Some(access.to_owned()),
        code: code.map(Into::into),
        ..row(at_ms, at_ms)
    };
    bench.journal.add(of("shop", 1, None));
    for at_ms in 10..13 {
        bench.journal.add(of("shop", at_ms, Some("IP_NOT_ALLOWED")));
    }
    for at_ms in 20..25 {
        bench.journal.add(of("desk", at_ms, None));
    }
    let (kind, count) = (JournalKind::Change, Calls(7));
    let change = of("shop", 30, None);
    bench.journal.add(JournalRow { kind, ..change });
    let counted = of("shop", 31, None);
    bench.journal.add(JournalRow { count, ..counted });
    bench.journal.flush().await.unwrap();
    let calls = |calls, failed, is_cut| AccessCalls {
        calls,
        failed,
        is_cut,
    };
    let names = ["shop", "nobody", "desk"];
    for (since_ms, rows_max, expected) in [
        (0, 100, [(11, 3, false), (0, 0, false), (5, 0, false)]),
        (2, 100, [(10, 3, false), (0, 0, false), (5, 0, false)]),
        // The change is examined but is not a call.
        (2, 4, [(9, 2, true), (0, 0, false), (4, 0, true)]),
        (40, 4, [(0, 0, false), (0, 0, false), (0, 0, false)]),
    ] {
        let counted = bench.store.access_calls(&names, since_ms, rows_max);
        let expected = expected.map(|(all, failed, is_cut)| calls(all, failed, is_cut));
        assert_eq!(counted.await.unwrap(), expected, "{since_ms} {rows_max}");
    }
}

async fn pages_return_every_row_once_while_new_rows_arrive(engine: TestEngine) {
    let bench = Bench::over(engine).await;
    for n in 0..1000 {
        bench.journal.add(row(n / 7, n));
    }
    bench.journal.flush().await.unwrap();
    let filter = JournalFilter::default();
    let (mut back, mut beyond) = (Vec::new(), None);
    loop {
        // These rows have an older time, as after a clock was set back, but they still count as new.
        bench.journal.add(row(3, "new"));
        bench.journal.flush().await.unwrap();
        let page = bench
            .store
            .journal_page(&filter, (NEWEST, beyond), 64)
            .await
            .unwrap();
        back.extend(page.rows.into_iter().filter_map(|row| row.request_id));
        let Some(next) = page.next else { break };
        beyond = Some(next);
    }
    let expected: Vec<_> = (0..1000).rev().map(|n: i32| n.to_string()).collect();
    let old: Vec<_> = back.into_iter().filter(|id| id != "new").collect();
    assert_eq!(old, expected);

    let (mut followed, mut beyond) = (0, None);
    loop {
        let page = bench
            .store
            .journal_page(&filter, (OLDEST, beyond), 100)
            .await
            .unwrap();
        followed += page.rows.len();
        let Some(next) = page.next else { break };
        beyond = Some(next);
    }
    let all = bench.all(filter.clone()).await;
    assert_eq!(followed, all.len());
    assert!(all.is_sorted_by(|a, b| a.id < b.id));
    // A query that is bounded at one moment ends at that moment's last row, in either order.
    let up_to = JournalFilter {
        up_to: Some(all[99].id),
        ..filter
    };
    assert_eq!(bench.all(up_to.clone()).await, all[..100]);
    assert!(up_to.matches(&all[99]) && !up_to.matches(&all[100]));
    let newest = bench.store.journal_page(&up_to, (NEWEST, None), 1);
    assert_eq!(newest.await.unwrap().rows, all[99..100]);
}

async fn a_page_stops_at_its_examination_limit_and_the_next_page_continues(engine: TestEngine) {
    let bench = Bench::over(engine).await;
    // Each condition matches more rows than a page examines; only the first and the last row match both conditions.
    let rows = 2 * i64::from(ROWS_EXAMINED_MAX) + 200;
    for n in 0..rows {
        let (both, is_even) = (n == 0 || n == rows - 1, n % 2 == 0);
        let mut row = row(n, n);
        row.access = (both || is_even).then(|| "shop".to_owned());
        row.status = Some(if both || !is_even { 403 } else { 200 });
        bench.journal.add(row);
        if n % 5000 == 0 {
            bench.journal.flush().await.unwrap();
        }
    }
    let of_both = filter(|f| {
        f.access = Some("shop".to_owned());
        f.status = Some(JournalStatus::Wire(403));
    });
    bench.journal.flush().await.unwrap();
    for (order, ids) in [(NEWEST, [rows - 1, 0]), (OLDEST, [0, rows - 1])] {
        let page = bench.store.journal_page(&of_both, (order, None), 50);
        let page = page.await.unwrap();
        assert!(page.is_cut && page.rows.len() == 1, "{page:?}");
        let rest = bench.store.journal_page(&of_both, (order, page.next), 50);
        let rest = rest.await.unwrap();
        assert_eq!((rest.is_cut, rest.next), (false, None));
        let found = page.rows.into_iter().chain(rest.rows);
        let found: Vec<_> = found.filter_map(|row| row.request_id).collect();
        assert_eq!(found, ids.map(|id| id.to_string()));
    }
}

/// Rows that differ in what a filter looks at: request identifiers r, other, served, 4NO_CREDIT and UPSTREAM_ERROR.
fn rows_to_filter() -> [JournalRow; 5] {
    let other = JournalRow {
        access: Some("other".to_owned()),
        request_id: Some("other".to_owned()),
        at_ms: LATER,
        method: Some("getchats".into()),
        status: Some(403),
        code: Some("IP_NOT_ALLOWED".into()),
        delivery: None,
        ..full_row()
    };
    let served = JournalRow {
        at_ms: 1_700_000_000_300,
        code: None,
        ..row(0, "served")
    };
    let failed = |code: &'static str, upstream_code: Option<&'static str>| JournalRow {
        canonical: Some(502),
        code: Some(code.into()),
        upstream_code: upstream_code.map(Into::into),
        ..row(1_700_000_000_400, code)
    };
    let rejected = failed("4NO_CREDIT", Some("4NO_CREDIT"));
    [
        full_row(),
        other,
        served,
        rejected,
        failed("UPSTREAM_ERROR", None),
    ]
}

async fn each_filter_finds_only_its_rows(engine: TestEngine) {
    let bench = Bench::over(engine).await;
    for row in rows_to_filter() {
        bench.journal.add(row);
    }
    let text = |text: &str| Some(text.to_owned());
    let status = |text| Some(JournalStatus::parse(text).unwrap());
    for (filter, expected) in [
        (
            filter(|_| {}),
            &["r", "other", "served", "4NO_CREDIT", "UPSTREAM_ERROR"][..],
        ),
        (filter(|f| f.access = text("shop")), &["r"]),
        (filter(|f| f.method = text("getchats")), &["other"]),
        (filter(|f| f.status = status("200")), &["r"]),
        (filter(|f| f.status = status("403")), &["other"]),
        (filter(|f| f.status = status("CHANNEL_NOT_FOUND")), &["r"]),
        (filter(|f| f.status = status("SUCCESS")), &["served"]),
        (
            filter(|f| f.status = status("UPSTREAM_CODE")),
            &["4NO_CREDIT"],
        ),
        (filter(|f| f.status = status("4NO_CREDIT")), &["4NO_CREDIT"]),
        (filter(|f| f.request_id = text("served")), &["served"]),
        (filter(|f| f.delivery = text("not_sent")), &["r"]),
        (
            filter(|f| f.since_ms = Some(LATER)),
            &["other", "served", "4NO_CREDIT", "UPSTREAM_ERROR"],
        ),
        (filter(|f| f.until_ms = Some(LATER)), &["r"]),
    ] {
        assert_eq!(bench.ids(filter.clone()).await, expected, "{filter:?}");
        let all = bench.all(JournalFilter::default()).await.into_iter();
        let matching = all.filter(|row| filter.matches(row));
        let ids: Vec<_> = matching.filter_map(|row| row.request_id).collect();
        assert_eq!(ids, expected, "{filter:?} in memory");
    }
    for wrong in ["", "99", "1000", "ok", "IP NOT"] {
        assert!(JournalStatus::parse(wrong).is_err(), "{wrong}");
    }
}

async fn a_network_filter_finds_its_addresses_among_few_or_many_rows(engine: TestEngine) {
    let bench = Bench::over(engine).await;
    let from = |address: &str, id: &str| JournalRow {
        client: Some(address.parse().unwrap()),
        ..row(1, id)
    };
    for (address, id) in [
        ("10.0.0.1", "a"),
        ("::ffff:10.0.0.255", "b"),
        ("10.0.1.0", "c"),
        ("2001:db8::1", "d"),
        ("2001:db9::1", "e"),
    ] {
        bench.journal.add(from(address, id));
    }
    let found = async |network: &str| {
        let network = network.parse().ok();
        let filter = filter(|f| f.network = network);
        let all = bench.all(JournalFilter::default()).await.into_iter();
        let matching = all.filter(|row| filter.matches(row));
        let matching: Vec<_> = matching.filter_map(|row| row.request_id).collect();
        let ids = bench.ids(filter.clone()).await;
        assert_eq!(ids, matching, "{filter:?} in memory");
        ids
    };
    assert_eq!(found("10.0.0.0/24").await, ["a", "b"]);
    assert_eq!(found("10.0.0.1/32").await, ["a"]);
    assert_eq!(found("0.0.0.0/0").await, ["a", "b", "c"]);
    assert_eq!(found("2001:db8::/32").await, ["d"]);
    assert_eq!(found("::/0").await, ["d", "e"]);
    assert!(found("192.0.2.0/24").await.is_empty());

    // Beyond the bound, the query uses the other plan, with the same result.
    for _ in 0..20_000 {
        bench.journal.add(from("10.0.0.7", "many"));
    }
    let many = found("10.0.0.0/24").await;
    assert_eq!(
        (many.len(), many[0].as_str(), many[1].as_str()),
        (20_002, "a", "b")
    );
}

async fn a_row_of_an_unknown_kind_is_on_its_page(engine: TestEngine) {
    let bench = Bench::over(engine).await;
    for at_ms in [LATER, LATER + 1] {
        bench.journal.add(row(at_ms, at_ms));
    }
    bench.journal.flush().await.unwrap();
    let newer = "UPDATE journal SET kind = 'later' WHERE id = (SELECT min(id) FROM journal)";
    bench.engine.execute(newer).await;
    let kinds = |rows: Vec<JournalRow>| rows.iter().map(|row| row.kind).collect::<Vec<_>>();
    let expected = [JournalKind::Request, JournalKind::Unknown];
    let all = JournalFilter::default();
    let whole = bench.store.journal_page(&all, (NEWEST, None), 9).await;
    let whole = whole.unwrap().rows;
    let single = bench.store.journal_row(whole[1].id).await.unwrap();
    assert_eq!(single.unwrap().kind.word(), "unknown");
    let brief = bench
        .store
        .brief_journal_page(&all, (NEWEST, None), 9)
        .await;
    for rows in [whole, brief.unwrap().rows] {
        assert_eq!(kinds(rows), expected);
    }
}
