//! Tests of the overview's counts: which calls they include, that they include the newest calls, and that they link to rows. The
//! list of accesses and the journal count the same calls.

use super::{Visitor, browse, first_key};
use crate::harness::{Answer, Gateway, client, is_of_files, until};

/// Returns the number of rows of calls on a journal page, without the rows of operators' actions.
fn calls(journal: &Answer) -> usize {
    journal.body.matches("data-label=\"Way in\">http<").count()
}

/// Makes six calls of the access `demo`, of which one is refused.
async fn make_calls(gateway: &Gateway) {
    let demo = gateway.demo();
    for method in ["getchatchannels"; 5].into_iter().chain(["getnothing"]) {
        let call = client().post(gateway.url("/api/http/")).form(&[
            ("class", "chat"),
            ("method", method),
            ("user", demo.user.as_str()),
            ("password", demo.password.as_str()),
        ]);
        // In this dialect a refusal has the same status as a success.
        assert_eq!(Answer::of(call).await.status, 200);
    }
}

#[tokio::test]
async fn the_overview_counts_the_newest_calls_and_names_what_it_counts() {
    let gateway = Gateway::start();
    make_calls(&gateway).await;
    let visitor = Visitor::first(&gateway).await;
    // The overview reads the journal every five seconds, and the journal is written within a tenth of a second.
    until("the overview counts the newest calls", async || {
        let page = visitor.page("/console/").await.body;
        let month = "0 of 6 calls in the journal since the first of the month (UTC) ended with status 500 or higher.";
        page.contains(month) && page.contains("6 since the gateway started, 0 in progress")
    })
    .await;
}

#[tokio::test]
async fn counts_of_the_overview_link_to_the_rows_that_they_count() {
    let gateway = Gateway::start();
    make_calls(&gateway).await;
    let visitor = Visitor::first(&gateway).await;
    let first = visitor.page("/console/").await;
    let within = |page: &Answer, window: &str| {
        let text = format!("Last {window}: 6 calls, 1 of them rejected or failed.");
        assert!(page.body.contains(&text), "{}", page.body);
    };
    within(&first, "15 minutes");
    for (word, text) in [("1d", "1 day"), ("7d", "1 week")] {
        let path = format!("/console/?window={word}");
        let page = visitor.follow(&first, &path).await;
        within(&page, text);
        let chosen = format!("{path}\" aria-current=\"true\"");
        assert!(page.body.contains(&chosen), "{}", page.body);
        // Links for a code and for the access and the address with the most calls.
        for (query, rows) in [
            ("status=INCORRECT_METHOD", 1),
            ("access=demo", 6),
            ("ip=127.0.0.1", 6),
        ] {
            let link = format!("{query}&#38;since={word}");
            let journal = visitor.follow(&page, &link).await;
            assert_eq!(calls(&journal), rows, "{}", journal.body);
        }
    }
}

#[tokio::test]
async fn the_access_list_and_the_journal_page_show_recent_call_counts() {
    let gateway = Gateway::start();
    let visitor = Visitor::first(&gateway).await;
    let idle = visitor.page("/console/accesses").await.body;
    assert!(idle.contains(">0 calls<"), "{idle}");
    let journal = visitor.page("/console/journal").await.body;
    assert!(!journal.contains("Calls over time"), "{journal}");
    make_calls(&gateway).await;
    let list = visitor.page("/console/accesses").await;
    let day = ">6 calls, 1 rejected or failed<";
    assert!(list.body.contains(day), "{}", list.body);
    let rows = visitor.follow(&list, "access=demo").await;
    assert_eq!(calls(&rows), 6, "{}", rows.body);
    let drawn = "6 in total, 1 of them rejected or failed";
    assert!(rows.body.contains(drawn), "{}", rows.body);
    let served = visitor.page("/console/journal?status=SUCCESS").await.body;
    assert!(served.contains("5 in total, 0 of them"), "{served}");
}

#[tokio::test(flavor = "multi_thread")]
async fn overview_updates_keep_the_keyboard_focus_and_announce_an_alert_once() {
    let gateway = Gateway::start();
    make_calls(&gateway).await;
    let mut environment = vec![
        ("CONSOLE_URL", format!("http://{}", gateway.admin)),
        ("CONSOLE_KEY", first_key(&gateway)),
    ];
    // A gateway over a file takes no calls while the file is missing.
    if !is_of_files("no file is moved, and no alert looked at") {
        let store = gateway.data().join("chatgate.db");
        environment.push(("CONSOLE_STORE", store.display().to_string()));
    }
    browse("console_overview.js", &environment);
}
