//! Tests of rate limits and their headers, and of the cache and the accesses that it serves.

use serde_json::json;

use crate::harness::{
    Answer, Gateway, Sandbox, UPSTREAM_ENVIRONMENT, client, client_from, envelope, has_line, made,
    rows, until,
};

const SECRET: &str = "cgs_limits-limits-limits-limits-limits-limits-l";

fn gateway(rest: &str) -> Gateway {
    let accesses: String = ["first", "second"]
        .map(|name| format!("[[accesses]]\nname = \"{name}\"\nuser = \"{name}\"\npassword = \"env:SECRET\"\nallow = [\"127.0.0.0/8\"]\nper_minute = 3\n"))
        .concat();
    Gateway::configured(
        &format!("{rest}\n{accesses}"),
        &[UPSTREAM_ENVIRONMENT, ("SECRET", SECRET)],
    )
}

fn call(gateway: &Gateway, user: &str, call: &str) -> reqwest::RequestBuilder {
    client()
        .post(gateway.url("/api/basic/"))
        .basic_auth(user, Some(SECRET))
        .body(call.to_owned())
}

const READ: &str = "class=chat&method=getchatchannels";

#[tokio::test]
async fn an_access_over_its_rate_limit_gets_429_with_retry_after() {
    let gateway = gateway("");
    for left in ["2", "1", "0"] {
        let answer = Answer::of(call(&gateway, "first", READ)).await;
        assert_eq!(
            (answer.status, answer.header("ratelimit-policy")),
            (200, "\"minute\";q=3;w=60")
        );
        assert!(
            answer
                .header("ratelimit")
                .starts_with(&format!("\"minute\";r={left};t=")),
            "{}",
            answer.header("ratelimit")
        );
    }
    let refused = Answer::of(call(&gateway, "first", READ)).await;
    let wait: u32 = refused.header("retry-after").parse().unwrap();
    assert!(refused.status == 429 && (1..=20).contains(&wait));
    assert_eq!(refused.json()["retry_after"], wait);
    assert_eq!(
        refused.header("ratelimit"),
        format!("\"minute\";r=0;t={wait}")
    );
    // The same limit applies by another way in; another access has its own limit.
    let xml = envelope(
        "getchatchannels",
        &[("user", "first"), ("password", SECRET)],
    );
    let soap = Answer::of(
        client()
            .post(gateway.url("/api/soap/"))
            .header("Content-Type", "text/xml")
            .body(xml),
    )
    .await;
    assert!(
        soap.status == 500 && soap.body.contains("<c:code>RATE_LIMITED</c:code>"),
        "{}",
        soap.body
    );
    assert_eq!(Answer::of(call(&gateway, "second", READ)).await.status, 200);
}

#[tokio::test]
async fn a_rejected_call_shows_the_limit_that_rejects_it() {
    let gateway = gateway("");
    let draft =
        json!({"name": "a", "allow": ["any"], "rate": "50/min", "per_destination": "1/min"});
    let secret = made(&gateway, draft).await;
    let send = |destination: &str| {
        let request = client().post(gateway.url("/api/basic/"));
        let send = "class=chat&method=sendmessage&platform=whatsapp&platformid=100&message=x";
        request
            .basic_auth("a", Some(&secret))
            .body(format!("{send}&destination={destination}"))
    };
    for destination in ["1", "2"] {
        let answer = Answer::of(send(destination)).await;
        let policy = answer.header("ratelimit-policy");
        assert_eq!((answer.status, policy), (200, "\"minute\";q=50;w=60"));
    }
    let refused = Answer::of(send("1").header("X-Request-ID", "refused")).await;
    let wait = refused.header("retry-after");
    assert_eq!(refused.status, 429);
    assert_eq!(
        (
            refused.header("ratelimit-policy"),
            refused.header("ratelimit")
        ),
        (
            "\"destination\";q=1;w=60",
            &*format!("\"destination\";r=0;t={wait}")
        )
    );
    let rows = rows(&gateway, "access=a&status=RATE_LIMITED").await;
    assert_eq!(rows[0]["limited_by"], "destination");
}

#[tokio::test]
async fn a_head_request_counts_against_the_rate_limit_of_its_access() {
    let gateway = gateway("");
    let url = gateway.url(&format!("/api/basic/?{READ}"));
    let head = |user| client().head(&url).basic_auth(user, Some(SECRET));
    for left in ["2", "1", "0"] {
        let answer = Answer::of(head("first")).await;
        assert_eq!(answer.status, 200);
        let state = answer.header("ratelimit");
        assert!(
            state.starts_with(&format!("\"minute\";r={left};t=")),
            "{state}"
        );
    }
    assert_eq!(Answer::of(head("first")).await.status, 429);
    assert_eq!(Answer::of(call(&gateway, "first", READ)).await.status, 429);
    assert_eq!(Answer::of(head("second")).await.status, 200);
}

#[tokio::test]
async fn a_head_request_is_rejected_while_all_concurrent_calls_are_taken() {
    let sandbox = Sandbox::start();
    let gateway = Gateway::configured(&sandbox.as_upstream(), &[UPSTREAM_ENVIRONMENT]);
    let draft = json!({"name": "a", "allow": ["any"], "concurrent": 1});
    let secret = made(&gateway, draft).await;
    let url = gateway.url(&format!("/api/basic/?{READ}"));
    let head = async || {
        let head = client().head(&url).basic_auth("a", Some(&secret));
        Answer::of(head).await.status
    };
    // A check takes no place from later calls.
    assert_eq!((head().await, head().await), (200, 200));
    let latency = json!([{"fault": "latency", "ms": 60_000}]);
    sandbox.faults(latency).await;
    let call = client().get(&url).basic_auth("a", Some(&secret));
    let call = tokio::spawn(call.send());
    until("the call is under way", async || head().await == 429).await;
    call.abort();
}

#[tokio::test]
async fn the_limit_per_address_applies_before_credentials_are_checked() {
    let gateway = gateway("[limits]\nper_address_per_minute = 2\n");
    let from = |last| client_from([127, 0, 0, last].into()).get(gateway.url("/api/http/"));
    for _ in 0..2 {
        assert_eq!(Answer::of(from(9)).await.json()["error"], "MISSING_USER");
    }
    let refused = Answer::of(from(9)).await;
    assert_eq!(
        (refused.status, refused.json()["error"].as_str()),
        (429, Some("RATE_LIMITED"))
    );
    assert!(!refused.header("retry-after").is_empty());
    assert_eq!(refused.header("ratelimit-policy"), "\"address\";q=2;w=60");
    assert!(
        refused
            .header("ratelimit")
            .starts_with("\"address\";r=0;t=")
    );
    assert_eq!(Answer::of(from(10)).await.json()["error"], "MISSING_USER");
    let denied = "chatgate_denied_total{reason=\"RATE_LIMITED\"} 1";
    assert!(has_line(&gateway.metrics().await, denied));
}

#[tokio::test]
async fn reads_are_cached_per_access_across_ways_in_and_errors_are_not_cached() {
    let sandbox = Sandbox::start();
    let gateway = gateway(&sandbox.as_upstream());
    sandbox
        .faults(json!([{"fault": "http_500", "count": 3}]))
        .await;
    let failed = Answer::of(call(&gateway, "first", READ)).await;
    assert_eq!(
        (failed.status, failed.header("cache-status")),
        (502, "chatgate; fwd=uri-miss")
    );
    let stored = Answer::of(call(&gateway, "first", READ)).await;
    assert_eq!(
        stored.header("cache-status"),
        "chatgate; fwd=uri-miss; stored"
    );
    assert_eq!(stored.header("cache-control"), "private, max-age=60");
    let form = format!("{READ}&user=first&password={SECRET}");
    let hit = Answer::of(client().post(gateway.url("/api/http/")).body(form)).await;
    assert!(
        hit.header("cache-status")
            .starts_with("chatgate; hit; ttl="),
        "{}",
        hit.header("cache-status")
    );
    assert_eq!(hit.body, stored.body);
    let other = Answer::of(call(&gateway, "second", READ)).await;
    assert_eq!(
        other.header("cache-status"),
        "chatgate; fwd=uri-miss; stored"
    );
    let fresh =
        Answer::of(call(&gateway, "second", READ).header("Cache-Control", "no-cache")).await;
    assert_eq!(
        fresh.header("cache-status"),
        "chatgate; fwd=request; stored"
    );
    let by_url =
        client().get(gateway.url(&format!("/api/http/?{READ}&user=second&password={SECRET}")));
    assert_eq!(Answer::of(by_url).await.header("cache-control"), "no-store");
}

#[tokio::test]
async fn identical_concurrent_reads_make_one_upstream_call() {
    let sandbox = Sandbox::start();
    let toml = format!(
        "{}[limits]\nper_address_per_minute = 100000\n",
        sandbox.as_upstream()
    );
    let gateway = Gateway::configured(&toml, &[UPSTREAM_ENVIRONMENT]);
    let demo = gateway.demo();
    sandbox
        .faults(json!([{"fault": "latency", "ms": 300}]))
        .await;
    let calls: Vec<_> = (0..50)
        .map(|_| {
            let call = client()
                .post(gateway.url("/api/basic/"))
                .basic_auth(&demo.user, Some(&demo.password));
            tokio::spawn(Answer::of(call.body(READ)))
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap().status, 200);
    }
    assert_eq!(sandbox.sent().await["methods"]["getchatchannels"], 1);
}

#[tokio::test]
async fn metrics_have_their_names_and_no_address_in_a_label() {
    let gateway = gateway("");
    Answer::of(call(&gateway, "first", READ)).await;
    Answer::of(call(&gateway, "first", READ)).await;
    let send = "class=chat&method=sendmessage&platform=whatsapp&platformid=100&destination=34600000000&message=x";
    Answer::of(call(&gateway, "first", send)).await;
    let metrics = gateway.metrics().await;
    for line in [
        "chatgate_requests_total{way=\"basic\",method=\"getchatchannels\",access=\"first\",outcome=\"success\",code=\"\"} 2",
        "chatgate_cache_requests_total{result=\"hit\"} 1",
        "chatgate_deliveries_total{delivery=\"sent\"} 1",
        "chatgate_request_duration_seconds_count{way=\"basic\",method=\"sendmessage\"} 1",
        "chatgate_upstream_duration_seconds_count{method=\"sendmessage\"} 1",
        "chatgate_inflight_requests 0",
        "chatgate_config_generation 1",
    ] {
        assert!(has_line(&metrics, line), "{line} is not in\n{metrics}");
    }
    assert!(metrics.contains("\nchatgate_build_info{"));
    assert!(!metrics.contains("127.0.0") && !metrics.contains("34600000000"));
}
