//! The overview's counts: which calls they hold, and that the newest are among them.

use std::time::{Duration, Instant};

use super::Visitor;
use crate::harness::{Answer, Gateway, client};

/// The overview looks every five seconds, and the journal is written within a tenth of one.
const SHOWN_WITHIN: Duration = Duration::from_secs(20);

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
    let deadline = Instant::now() + SHOWN_WITHIN;
    loop {
        let page = visitor.page("/console/").await.body;
        let month = "0 of 5 calls in the journal since the first of the month (UTC) ended with 500 or more.";
        if page.contains(month) && page.contains("5 since the gateway started, 0 under way") {
            return;
        }
        assert!(Instant::now() < deadline, "{page}");
        tokio::task::yield_now().await;
    }
}
