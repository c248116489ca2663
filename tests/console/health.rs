//! Tests of the page *Health*: with three problems at the same time, each cause is at most two clicks away from the first page.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use super::{Visitor, browse, first_key};
use crate::harness::{Answer, Gateway, Sandbox, UPSTREAM_ENVIRONMENT, admin};
use crate::tls::{Files, Pair, trusting};

const ACCESS: &str = "[[accesses]]\nname = \"shop\"\nuser = \"shop\"\npassword = \"env:SECRET\"\nallow = [\"127.0.0.1/32\"]\n";
const DAY: Duration = Duration::from_secs(86_400);

/// The address from which the access suddenly calls; it is on none of the access's lists.
const NEW_ADDRESS: [u8; 4] = [127, 0, 77, 9];

/// A gateway with three problems: the upstream is slow, the access calls from a new network, and a certificate is about to expire.
struct Incident {
    gateway: Gateway,
    _sandbox: Sandbox,
    _files: Files,
}

impl Incident {
    async fn happen() -> Incident {
        let (sandbox, files) = (Sandbox::start(), Files::new());
        let pair = Pair::ending_in(3 * DAY);
        let toml = format!(
            "{}{}{ACCESS}",
            sandbox.as_upstream(),
            files.section("tls", &pair)
        );
        let environment = [UPSTREAM_ENVIRONMENT, ("SECRET", "secret-of-the-shop")];
        let gateway = files.start_with(&toml, &environment);
        sandbox
            .faults(json!([{"fault": "latency", "ms": 1300, "count": 1}]))
            .await;
        for (address, status) in [([127, 0, 0, 1], 200), (NEW_ADDRESS, 403)] {
            let caller = trusting(&pair).local_address(std::net::IpAddr::from(address));
            let form = "user=shop&password=secret-of-the-shop&class=chat&method=getchats&platform=telegram&platformid=200";
            let url = format!("https://{}/api/http/", gateway.public);
            let call = caller.build().unwrap().post(url).body(form);
            assert_eq!(Answer::of(call).await.status, status, "from {address:?}");
        }
        let note = json!({"note": "Moves to another host tonight."});
        let changed = admin(&gateway, Method::PATCH, "accesses/shop", &note).await;
        assert_eq!(changed.status, 200, "{}", changed.body);
        Incident {
            gateway,
            _sandbox: sandbox,
            _files: files,
        }
    }
}

#[tokio::test]
async fn each_cause_of_an_incident_is_within_two_links_of_the_overview() {
    let incident = Incident::happen().await;
    let visitor = Visitor::first(&incident.gateway).await;
    let overview = visitor.page("/console/").await;
    let health = visitor.follow(&overview, "/console/health").await;
    let shows = |page: &Answer, text: &str| {
        assert!(page.body.contains(text), "{text}: {}", page.body);
    };
    // The blocked access: the page shows the list that blocks it and who changed the access.
    shows(&health, "from <bdi>127.0.77.9</bdi>");
    shows(&health, "access networks: ");
    let rows = visitor.follow(&health, "status=IP_NOT_ALLOWED").await;
    shows(&rows, "IP_NOT_ALLOWED");
    let changes = health.body.split("Latest changes").nth(1).unwrap();
    assert!(
        changes.contains("change") && changes.contains("first"),
        "{changes}"
    );
    // The slow upstream.
    let slow = visitor.follow(&health, "/console/journal/rows/").await;
    shows(&slow, "upstream");
    shows(&slow, "1.3");
    // The certificate that expires soon.
    shows(&health, "expires in 2 days");
    let status = visitor.follow(&health, "/console/status#gateway").await;
    shows(&status, "Certificate of the public listener");
    for part in ["Running for", "Memory", "Free disk space"] {
        shows(&status, part);
    }
    let access = visitor.follow(&health, "/console/accesses/shop").await;
    shows(&access, "2 calls, 1 of them rejected or failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_reaches_each_cause_of_an_incident_in_two_clicks() {
    let Incident { gateway, .. } = &Incident::happen().await;
    let [a, b, c, d] = NEW_ADDRESS;
    let environment = [
        ("CONSOLE_URL", format!("http://{}", gateway.admin)),
        ("CONSOLE_KEY", first_key(gateway)),
        ("CONSOLE_ACCESS", "shop".to_owned()),
        ("CONSOLE_ADDRESS", format!("{a}.{b}.{c}.{d}")),
    ];
    browse("console_incident.js", &environment);
}
