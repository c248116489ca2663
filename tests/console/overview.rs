//! The overview's counts: which calls they hold, and that the newest are among them.

use super::Visitor;
use crate::harness::{Answer, Gateway, client, until};

#[tokio::test]
async fn the_overview_says_what_it_counts_and_counts_the_newest_calls() {
    let gateway = Gateway::start();
    let demo = gateway.demo();
    for _ in 0..5 {
        let call = client().post(gateway.url("/api/http/")).form(&[
            ("class", "chat"),
            ("method", "getchatchannels"),
            ("user", demo.user.as_str()),
            ("password", demo.password.as_str()),
        ]);
        assert_eq!(Answer::of(call).await.status, 200);
    }
    let visitor = Visitor::first(&gateway).await;
    // It looks every five seconds, and the journal is written within a tenth of one.
    until("the overview counts the newest calls", async || {
        let page = visitor.page("/console/").await.body;
        let month = "0 of 5 calls in the journal since the first of the month (UTC) ended with 500 or more.";
        page.contains(month) && page.contains("5 since the gateway started, 0 under way")
    })
    .await;
}
