//! Tests of the console with several replicas that share a store.

use std::collections::BTreeMap;

use reqwest::{Method, Response};
use serde_json::{Value, json};

use super::{Visitor, browse, tour};
use crate::harness::{Answer, Fleet, PATIENCE, admin, client, made, until};

const READ: &str = "class=chat&method=getchatchannels";

#[tokio::test(flavor = "multi_thread")]
async fn the_replicas_page_lists_live_replicas_and_differing_configurations() {
    let Some(mut fleet) = Fleet::of(2, "") else {
        return;
    };
    let odd = fleet.replica_with("odd", "[cache]\ngetchats = \"3s\"\n");
    fleet.gateways.push(odd);
    let first = &fleet.gateways[0];
    let visitor = Visitor::first(first).await;
    let page = visitor.page("/console/replicas").await;
    for text in [
        "replica-0",
        "(this one)",
        "replica-1",
        "odd",
        "2 different configurations",
    ] {
        assert!(page.body.contains(text), "{text}: {}", page.body);
    }
    let pages = [
        ("replicas-three", "/console/replicas"),
        ("status-of-three", "/console/status"),
    ];
    let pages = pages.map(|(name, path)| (name, path.to_owned()));
    browse("console_tour.js", &tour(first, &pages));

    let live = |number: u64| async move {
        let status = admin(first, Method::GET, "status", Value::Null)
            .await
            .json();
        let replicas = &status["replicas"];
        replicas["live"] == number && replicas["configurations"] == 2
    };
    until("all three", async || live(3).await).await;
    let sees = async |text: &str| {
        let page = visitor.page("/console/replicas").await;
        page.body.contains(text)
    };
    until("the limits' parts", async || {
        sees("are divided by 3, and").await
    })
    .await;
    let metrics = first.metrics().await;
    for line in [
        "chatgate_replicas 3\n",
        "chatgate_replica_configurations 2\n",
        "chatgate_replica_cut_off 0\n",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    // A silent replica counts as cut off when its lease has expired.
    fleet.gateways[1].process.signal("STOP");
    until("its lease", async || sees("cut off").await).await;
    until("the others know", async || live(2).await).await;
    fleet.gateways[1].process.signal("CONT");
    // The page after a change reports that not all replicas have the change yet.
    let notice = visitor.page("/console/accesses?in_force=2/3").await;
    assert!(
        notice.body.contains("2 of 3 replicas have applied it"),
        "{}",
        notice.body
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_changes_the_reported_number_of_configurations() {
    let Some(fleet) = Fleet::of(2, "") else {
        return;
    };
    let [first, other] = &fleet.gateways[..] else {
        unreachable!("two were started")
    };
    let file = other.folder.path().join("chatgate.toml");
    let same = std::fs::read_to_string(&file).unwrap();
    let another = format!("{same}[cache]\ngetchats = \"3s\"\n");
    for (text, count) in [(another, 2), (same, 1)] {
        std::fs::write(&file, text).unwrap();
        let taken = admin(other, Method::POST, "reload", Value::Null).await;
        assert_eq!(taken.status, 200, "{}", taken.body);
        until("the others know", async || {
            let status = admin(first, Method::GET, "status", Value::Null).await;
            status.json()["replicas"]["configurations"] == count
        })
        .await;
    }
}

/// A live page with its events so far.
struct LivePage {
    tail: Response,
    text: String,
}

impl LivePage {
    async fn open(visitor: &Visitor<'_>) -> LivePage {
        let path = "/console/journal/events?access=shop&method=getchatchannels";
        let mut tail = visitor.get(path).send().await.unwrap();
        assert_eq!(tail.headers()["content-type"], "text/event-stream");
        tail.chunk().await.unwrap();
        LivePage {
            tail,
            text: String::new(),
        }
    }

    /// Reads until this many rows have arrived, and returns how often each row arrived.
    async fn rows(&mut self, wanted: usize) -> BTreeMap<String, usize> {
        loop {
            let mut seen = BTreeMap::new();
            for row in self.text.split("data-row=\"").skip(1) {
                let id = row.split('"').next().unwrap();
                *seen.entry(id.to_owned()).or_insert(0) += 1;
            }
            if seen.len() >= wanted {
                return seen;
            }
            let chunk = tokio::time::timeout(PATIENCE, self.tail.chunk()).await;
            let chunk = chunk.expect("all rows in time").unwrap();
            let chunk = chunk.expect("the tail goes on");
            self.text.push_str(&String::from_utf8_lossy(&chunk));
        }
    }
}

#[tokio::test]
async fn live_pages_of_three_replicas_show_each_row_once() {
    /// At most as many as a page shows of one poll.
    const CALLS: usize = 18;
    let Some(fleet) = Fleet::of(3, "") else {
        return;
    };
    let draft = json!({"name": "shop", "allow": ["127.0.0.1"]});
    let password = made(&fleet.gateways[0], draft).await;
    // All replicas accept the same session.
    let session = Visitor::first(&fleet.gateways[0]).await;
    let mut pages = Vec::new();
    for gateway in &fleet.gateways {
        let cookie = session.cookie.clone();
        pages.push(LivePage::open(&Visitor { gateway, cookie }).await);
    }
    for round in 1..=4 {
        for number in 0..CALLS {
            let gateway = &fleet.gateways[number % 3];
            let call = client().post(gateway.url("/api/basic/"));
            let answer = Answer::of(call.basic_auth("shop", Some(&password)).body(READ)).await;
            assert_eq!(answer.status, 200, "{}", answer.body);
        }
        for page in &mut pages {
            let rows = page.rows(CALLS * round).await;
            assert_eq!(rows.len(), CALLS * round);
            assert!(rows.values().all(|times| *times == 1), "{rows:?}");
        }
    }
}
