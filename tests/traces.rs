//! Tests of traces: a receiver of OTLP over HTTP gets the spans of calls, which are decoded here with OpenTelemetry's own types.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Attribute;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use prost::Message;
use serde_json::{Value, json};

use crate::console::Visitor;
use crate::harness::{
    Answer, Gateway, HttpSink, Sandbox, UPSTREAM_ENVIRONMENT, client, envelope, has_line, load,
    rows, until, upstream,
};
use crate::metrics::{OPEN_METRICS, scrape};
use crate::real_clients::read_by;

/// The caller's trace and span, and its trace state.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER_SPAN: &str = "00f067aa0ba902b7";
const STATE: &str = "vendor=opaque";

const ACCESS: &str = "[[accesses]]\nname = \"shop\"\nuser = \"shop\"\npassword = \"env:SECRET\"\nallow = [\"127.0.0.1/32\"]\n";
const SECRET: &str = "canary-secret-of-the-shop";
const MESSAGE: &str = "canary message";
const DESTINATION: &str = "34611222333";
const AUTHORIZATION: &str = "Bearer canary-of-the-receiver";

/// Returns settings of a gateway that sends its traces to the receiver.
fn traced(receiver: &HttpSink, more: &str) -> String {
    let address = receiver.address;
    format!(
        "{more}\n[tracing]\nendpoint = \"http://{address}/v1/traces\"\nauthorization = \"env:TRACES\"\nratio = 0\n\
         upstream = true\nviewer = \"https://traces.example/trace/{{trace_id}}?from=console\"\n{ACCESS}"
    )
}

fn start(toml: &str) -> Gateway {
    let environment = [
        UPSTREAM_ENVIRONMENT,
        ("SECRET", SECRET),
        ("TRACES", AUTHORIZATION),
    ];
    Gateway::configured(toml, &environment)
}

/// Returns all received spans.
fn spans(receiver: &HttpSink) -> Vec<Span> {
    let requests = receiver.requests().into_iter();
    let requests = requests.map(|request| {
        assert_eq!(request.line, "POST /v1/traces HTTP/1.1");
        assert_eq!(request.headers["content-type"], "application/x-protobuf");
        assert_eq!(request.headers["authorization"], AUTHORIZATION);
        ExportTraceServiceRequest::decode(&*request.body).unwrap()
    });
    let resources = requests.flat_map(|request| request.resource_spans);
    let scopes = resources.flat_map(|resource| {
        let attributes = resource.resource.unwrap().attributes;
        assert!(attributes.iter().any(|pair| pair.key == "service.name"));
        resource.scope_spans
    });
    scopes.flat_map(|scope| scope.spans).collect()
}

fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the attributes of a span as texts.
fn attributes(span: &Span) -> BTreeMap<&str, String> {
    let pairs = span.attributes.iter().map(|pair| {
        let value = pair.value.as_ref().unwrap().value.as_ref().unwrap();
        let text = match value {
            Attribute::StringValue(text) => text.clone(),
            Attribute::IntValue(number) => number.to_string(),
            other => panic!("{other:?}"),
        };
        (&*pair.key, text)
    });
    pairs.collect()
}

fn length(span: &Span) -> u64 {
    span.end_time_unix_nano - span.start_time_unix_nano
}

/// Returns a send by SOAP, as a trusted proxy passes it on.
fn send(gateway: &Gateway) -> reqwest::RequestBuilder {
    let xml = envelope(
        "sendmessage",
        &[
            ("user", "shop"),
            ("password", SECRET),
            ("platform", "telegram"),
            ("platformid", "200"),
            ("destination", DESTINATION),
            ("message", MESSAGE),
        ],
    );
    let request = client().post(gateway.url("/api/soap/"));
    request.header("Content-Type", "text/xml").body(xml)
}

/// Returns a read by HTTP parameters with this password.
fn read(gateway: &Gateway, password: &str) -> reqwest::RequestBuilder {
    let query = [
        ("class", "chat"),
        ("method", "getchatchannels"),
        ("user", "shop"),
        ("password", password),
    ];
    let form = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(query)
        .finish();
    client().post(gateway.url("/api/http/")).body(form)
}

/// Checks that the call's root span follows the naming conventions.
fn check_names(root: &Span) {
    let of_call = attributes(root);
    for (name, value) in [
        ("http.request.method", "POST"),
        ("http.route", "/api/soap/"),
        ("http.response.status_code", "200"),
        ("network.protocol.version", "1.1"),
        ("chatgate.way", "soap"),
        ("chatgate.method", "sendmessage"),
        ("chatgate.access", "shop"),
        ("chatgate.delivery", "sent"),
    ] {
        assert_eq!(of_call[name], value, "{name}");
    }
}

/// Checks that row and log line name the trace, and that the times of the spans match the row's.
async fn check_times(gateway: &Gateway, spans: &[Span]) {
    let row = &rows(gateway, "method=sendmessage").await[0];
    assert_eq!(row["trace_id"], TRACE);
    assert_eq!(
        gateway.logged(row["request_id"].as_str().unwrap())["trace_id"],
        TRACE
    );
    let within_a_ms = |ns: u64, field: &str| {
        let us = row[field].as_u64().unwrap();
        assert!(
            (ns / 1000).abs_diff(us) <= 1000,
            "{field}: {ns} ns, {us} us"
        );
    };
    within_a_ms(length(&spans[0]), "total_us");
    within_a_ms(length(&spans[spans.len() - 1]), "upstream_us");
    within_a_ms(spans[1..].iter().map(length).sum(), "total_us");
}

#[tokio::test]
async fn the_spans_of_a_soap_send_form_one_tree_from_caller_to_upstream() {
    let receiver = HttpSink::start("").await;
    let asked = HttpSink::start(r#"{"status":"SUCCESS","result":"7"}"#).await;
    let trust = "[server]\ntrusted_proxies = [\"127.0.0.0/8\"]\n";
    let gateway = start(&traced(
        &receiver,
        &format!("{trust}{}", upstream(asked.address)),
    ));
    // The parent is not sampled, but sends are traced anyway.
    let parent = format!("00-{TRACE}-{CALLER_SPAN}-00");
    let request = send(&gateway)
        .header("traceparent", parent)
        .header("tracestate", STATE);
    let answer = Answer::of(request.header("X-Forwarded-For", "127.0.0.1")).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    until("the spans are there", async || !spans(&receiver).is_empty()).await;

    let spans = spans(&receiver);
    let names: Vec<_> = spans.iter().map(|span| &*span.name).collect();
    let steps = ["admit", "decode", "authorize", "limit", "journal", "encode"];
    let expected = [&["POST /api/soap/"], &steps[..], &["POST"]].concat();
    assert_eq!(names, expected);
    let (root, children) = spans.split_first().unwrap();
    assert!(spans.iter().all(|span| hex(&span.trace_id) == TRACE));
    assert_eq!(
        (hex(&root.parent_span_id), root.kind()),
        (CALLER_SPAN.to_owned(), SpanKind::Server)
    );
    assert_eq!(root.trace_state, STATE);
    for span in children {
        assert_eq!(span.parent_span_id, root.span_id, "{span:?}");
        assert!(span.start_time_unix_nano >= root.start_time_unix_nano);
        assert!(span.end_time_unix_nano <= root.end_time_unix_nano);
    }
    let mut ids: Vec<_> = spans.iter().map(|span| &span.span_id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), spans.len());
    check_names(root);

    // The upstream got the id of the attempt's span, with the sampled flag.
    let attempt = spans.last().unwrap();
    assert_eq!(attempt.kind(), SpanKind::Client);
    assert_eq!(
        attributes(attempt)["server.port"],
        asked.address.port().to_string()
    );
    let heard = &asked.requests()[0].headers;
    assert_eq!(
        heard["traceparent"],
        format!("00-{TRACE}-{}-01", hex(&attempt.span_id))
    );
    assert_eq!(heard["tracestate"], STATE);

    check_times(&gateway, &spans).await;
}

#[tokio::test]
async fn failures_of_known_callers_are_traced_and_strangers_are_sampled() {
    let receiver = HttpSink::start("").await;
    let sandbox = Sandbox::start();
    let gateway = start(&traced(&receiver, &sandbox.as_upstream()));
    assert_eq!(Answer::of(read(&gateway, SECRET)).await.status, 200);
    assert_eq!(Answer::of(read(&gateway, "wrong")).await.status, 200);
    sandbox.faults(json!([{"fault": "http_500"}])).await;
    let refused = read(&gateway, SECRET).header("Cache-Control", "no-cache");
    // A trace id from an untrusted peer is ignored.
    let refused = refused.header("traceparent", format!("00-{TRACE}-{CALLER_SPAN}-01"));
    Answer::of(refused).await;
    until("the spans are there", async || !spans(&receiver).is_empty()).await;
    let spans = spans(&receiver);
    let roots: Vec<_> = spans
        .iter()
        .filter(|span| span.kind() == SpanKind::Server)
        .collect();
    assert_eq!(roots.len(), 1, "{roots:?}");
    assert_ne!(hex(&roots[0].trace_id), TRACE);
    assert!(roots[0].parent_span_id.is_empty());
    assert_eq!(roots[0].status.as_ref().unwrap().code(), StatusCode::Error);
    assert_eq!(attributes(roots[0])["error.type"], "UPSTREAM_ERROR");
    // A read is retried; each attempt has its own span below the cache's span.
    let cache = spans.iter().find(|span| span.name == "cache").unwrap();
    let attempts: Vec<_> = spans
        .iter()
        .filter(|span| span.kind() == SpanKind::Client)
        .collect();
    assert_eq!(attempts.len(), 3);
    for (number, attempt) in attempts.iter().enumerate() {
        assert_eq!(attempt.parent_span_id, cache.span_id);
        let resent = attributes(attempt)
            .get("http.request.resend_count")
            .cloned();
        assert_eq!(resent, (number > 0).then(|| number.to_string()));
        assert_eq!(attributes(attempt)["http.response.status_code"], "500");
    }
    // The page of the row has a link to the viewer.
    let row = &rows(&gateway, "status=UPSTREAM_ERROR").await[0];
    let trace = row["trace_id"].as_str().unwrap();
    assert_eq!(trace, hex(&roots[0].trace_id));
    let page = format!("/console/journal/rows/{}", row["id"].as_str().unwrap());
    let page = Visitor::first(&gateway).await.page(&page).await;
    let link = format!("href=\"https://traces.example/trace/{trace}?from=console\"");
    assert!(page.body.contains(&link), "{}", page.body);
}

#[tokio::test]
async fn histogram_exemplars_name_the_last_traced_call() {
    let receiver = HttpSink::start("").await;
    let trust = "[server]\ntrusted_proxies = [\"127.0.0.0/8\"]\n";
    let gateway = start(&traced(&receiver, trust));
    // This call is not sampled.
    assert_eq!(Answer::of(read(&gateway, SECRET)).await.status, 200);
    let parent = format!("00-{TRACE}-{CALLER_SPAN}-01");
    let followed = send(&gateway).header("traceparent", parent);
    let answer = Answer::of(followed.header("X-Forwarded-For", "127.0.0.1")).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();

    let open = scrape(&gateway, OPEN_METRICS).await.body;
    assert_eq!(open.matches(" # {").count(), 2, "{open}");
    assert!(!gateway.metrics().await.contains(" # {"));
    let Some(exemplars) = read_by("open_metrics.py", &[], &open) else {
        return;
    };
    let exemplars: Vec<Value> = serde_json::from_str(&exemplars).unwrap();
    let row = &rows(&gateway, "method=sendmessage").await[0];
    for (exemplar, (name, took)) in exemplars.iter().zip([
        ("chatgate_request_duration_seconds_bucket", "total_us"),
        ("chatgate_upstream_duration_seconds_bucket", "upstream_us"),
    ]) {
        assert_eq!(exemplar["name"], name);
        assert_eq!(exemplar["labels"]["method"], "sendmessage");
        assert_eq!(exemplar["exemplar"], json!({"trace_id": TRACE}));
        let number = |field: &str| exemplar[field].as_f64().unwrap();
        let (value, at) = (number("value"), number("at"));
        let le = exemplar["labels"]["le"].as_str().unwrap();
        assert!(value <= le.parse().unwrap(), "{exemplar}");
        let took = row[took].as_f64().unwrap() / 1e6;
        assert!((value - took).abs() <= 1e-3, "{exemplar}, {took}");
        assert!((now - 60.0..=now + 1.0).contains(&at), "{exemplar}, {now}");
    }
}

#[tokio::test]
async fn a_failing_trace_receiver_delays_no_call_and_dropped_traces_are_counted() {
    let receiver = HttpSink::start("").await;
    let gateway = start(&traced(&receiver, ""));
    receiver.set_status(400);
    assert_eq!(Answer::of(send(&gateway)).await.status, 200);
    until("it is counted", async || {
        has_line(&gateway.metrics().await, "chatgate_traces_dropped_total 1")
    })
    .await;
    receiver.set_status(503);
    assert_eq!(Answer::of(send(&gateway)).await.status, 200);
    until("it has come again", async || receiver.requests().len() >= 3).await;
    receiver.set_status(200);
    until("it is taken", async || {
        has_line(&gateway.metrics().await, "chatgate_traces_exported_total 1")
    })
    .await;
    // Spans that wait at the shutdown are still sent to the receiver.
    let before = receiver.requests().len();
    assert_eq!(Answer::of(send(&gateway)).await.status, 200);
    gateway.process.signal("TERM");
    until("the last one is there", async || {
        receiver.requests().len() > before
    })
    .await;
}

#[tokio::test]
async fn a_trace_is_dropped_and_counted_after_three_failed_attempts() {
    let receiver = HttpSink::start("").await;
    receiver.set_status(503);
    let gateway = start(&traced(&receiver, ""));
    for sends in 1..=2 {
        assert_eq!(Answer::of(send(&gateway)).await.status, 200);
        let line = format!("chatgate_traces_dropped_total {sends}");
        until("it is counted", async || {
            has_line(&gateway.metrics().await, &line)
        })
        .await;
        let requests = receiver.requests();
        assert_eq!(requests.len(), 3 * sends);
        let attempts = &requests[3 * (sends - 1)..];
        assert!(attempts.iter().all(|one| one.body == attempts[0].body));
    }
    assert!(has_line(
        &gateway.metrics().await,
        "chatgate_traces_exported_total 0"
    ));
}

#[tokio::test]
async fn no_span_contains_a_secret_a_destination_or_a_message_text() {
    let receiver = HttpSink::start("").await;
    let toml = traced(&receiver, "[limits]\nper_address_per_minute = 1000000\n");
    let gateway = start(&toml.replace("ratio = 0\n", "ratio = 1\n"));
    let wanted = load(300, 10_000);
    let mut count = 0;
    while count < wanted {
        for _ in 0..20 {
            Answer::of(send(&gateway).header("User-Agent", "canary-agent")).await;
            Answer::of(read(&gateway, SECRET)).await;
            Answer::of(read(&gateway, "canary-wrong")).await;
            let query = format!("/api/http/?message=canary&user=shop&password={SECRET}");
            Answer::of(client().get(gateway.url(&query))).await;
        }
        let before = count;
        until("spans come", async || {
            count = spans(&receiver).len();
            count > before
        })
        .await;
    }
    for request in receiver.requests() {
        for canary in ["canary", DESTINATION, "127.0.0.1/", "platformid"] {
            let found = request
                .body
                .windows(canary.len())
                .any(|bytes| bytes == canary.as_bytes());
            assert!(
                !found,
                "{canary} in {}",
                String::from_utf8_lossy(&request.body)
            );
        }
    }
    println!("{count} spans hold no canary");
}
