//! Tests of each fault from a client's view, and of whether the send was stored.

use super::*;
use crate::fault_injection::HUGE_BYTES;

const MESSAGE: &str = "platform=whatsapp&platformid=100&destination=faulty&message=hello";
const HONEST: &str = r#"{"status":"SUCCESS","result":{}}"#;
const RESET: Result<(), io::ErrorKind> = Err(io::ErrorKind::ConnectionReset);

/// Sends a message under one rule. Returns the answer and whether the message was stored.
async fn send_with_fault(rule: &str) -> (Heard, bool) {
    let sandbox = start().await;
    put_faults(&sandbox, &format!("[{rule}]")).await;
    let heard = call(&sandbox, "sendmessage", MESSAGE).await;
    let arrivals = arrivals(&sandbox).await;
    assert_eq!(arrivals["sends"], 1);
    assert!(rule.contains(arrivals["list"][0]["fault"].as_str().unwrap()));
    let stored = arrivals["stored"] == 1;
    assert_eq!(arrivals["list"][0]["stored"], stored);
    sandbox.stop().await;
    (heard, stored)
}

#[tokio::test]
async fn latency_delays_a_correct_answer() {
    let begun = std::time::Instant::now();
    let (heard, stored) = send_with_fault(r#"{"fault":"latency","ms":30}"#).await;
    assert_eq!((heard.text(), stored), (HONEST, true));
    assert!(begun.elapsed() >= std::time::Duration::from_millis(30));
}

#[tokio::test]
async fn http_errors_are_html_pages() {
    for status in [404, 429, 500, 503] {
        let (heard, stored) = send_with_fault(&format!(r#"{{"fault":"http_{status}"}}"#)).await;
        assert_eq!((heard.status, stored), (status, false));
        assert!(heard.head.contains("text/html"));
        assert!(heard.text().starts_with("<html>"));
    }
}

#[tokio::test]
async fn wrong_bodies_are_complete_http_responses() {
    for (rule, body, stores) in [
        (r#"{"fault":"broken_json"}"#, &HONEST[..16], true),
        (r#"{"fault":"empty"}"#, "", true),
        (
            r#"{"fault":"success_lowercase"}"#,
            r#"{"status":"success","result":{}}"#,
            true,
        ),
        (r#"{"fault":"body","body":"<oops>"}"#, "<oops>", false),
        (
            r#"{"fault":"error_code","code":"QUOTA_GONE"}"#,
            r#"{"status":"ERROR","error":"QUOTA_GONE"}"#,
            false,
        ),
        (
            r#"{"fault":"error_code","code":"a\"b"}"#,
            r#"{"status":"ERROR","error":"a\"b"}"#,
            false,
        ),
    ] {
        let (heard, stored) = send_with_fault(rule).await;
        assert_eq!(
            (heard.status, heard.text(), stored),
            (200, body, stores),
            "{rule}"
        );
        assert_eq!(heard.ended, Ok(()));
        let length = format!("content-length: {}\r\n", body.len());
        assert!(heard.head.contains(&length), "{rule}");
    }
}

#[tokio::test]
async fn a_credential_error_code_returns_401_on_the_basic_way() {
    let sandbox = start().await;
    put_faults(
        &sandbox,
        r#"[{"fault":"error_code","code":"INCORRECT_USER_PASSWORD"}]"#,
    )
    .await;
    let heard = request(&sandbox, "GET /api/basic/", "", "").await;
    assert_eq!(heard.status, 401);
    assert!(heard.head.contains("www-authenticate"));
    sandbox.stop().await;
}

#[tokio::test]
async fn a_truncated_answer_ends_early_with_an_orderly_close() {
    let (heard, stored) = send_with_fault(r#"{"fault":"truncated"}"#).await;
    assert_eq!(
        (heard.text(), heard.ended, stored),
        (&HONEST[..16], Ok(()), true)
    );
    assert!(heard.head.contains("content-length: 32\r\n"));
}

#[tokio::test]
async fn reset_discards_the_message_and_reset_after_stores_it() {
    for (rule, stores) in [
        (r#"{"fault":"reset"}"#, false),
        (r#"{"fault":"reset_after"}"#, true),
    ] {
        let (heard, stored) = send_with_fault(rule).await;
        assert_eq!(
            (heard.head.as_str(), heard.ended, stored),
            ("", RESET, stores)
        );
    }
}

#[tokio::test]
async fn reset_mid_body_resets_the_connection_within_the_answer() {
    let (heard, stored) = send_with_fault(r#"{"fault":"reset_mid_body"}"#).await;
    assert_eq!(
        (heard.text(), heard.ended, stored),
        (&HONEST[..16], RESET, true)
    );
}

#[tokio::test]
async fn a_slow_body_arrives_completely() {
    let (heard, stored) = send_with_fault(r#"{"fault":"slow_body","ms":1}"#).await;
    assert_eq!((heard.text(), heard.ended, stored), (HONEST, Ok(()), true));
}

#[tokio::test]
async fn huge_sends_a_large_body_and_gzip_bomb_a_small_compressed_one() {
    let (heard, stored) = send_with_fault(r#"{"fault":"huge"}"#).await;
    assert_eq!((heard.body.len(), stored), (HUGE_BYTES, false));
    let (heard, stored) = send_with_fault(r#"{"fault":"gzip_bomb"}"#).await;
    assert!(heard.head.contains("content-encoding: gzip\r\n"));
    assert!(heard.body.starts_with(&[0x1f, 0x8b]) && heard.body.len() < HUGE_BYTES / 100);
    assert!(!stored);
}

#[tokio::test]
async fn no_answer_stores_the_message_and_sends_nothing() {
    let sandbox = start().await;
    put_faults(&sandbox, r#"[{"fault":"no_answer"}]"#).await;
    tokio::select! {
        biased;
        _ = call(&sandbox, "sendmessage", MESSAGE) => panic!("no_answer answered"),
        () = async { while arrivals(&sandbox).await["stored"] == 0 {} } => {}
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn refused_resets_calls_and_keeps_the_control_paths_open() {
    let sandbox = start().await;
    put_faults(&sandbox, r#"[{"fault":"refused","count":2}]"#).await;
    for _ in 0..2 {
        assert_eq!(call(&sandbox, "sendmessage", MESSAGE).await.ended, RESET);
    }
    assert_eq!(call(&sandbox, "sendmessage", MESSAGE).await.text(), HONEST);
    put_faults(&sandbox, r#"[{"fault":"refused"}]"#).await;
    assert_eq!(call(&sandbox, "sendmessage", MESSAGE).await.ended, RESET);
    put_faults(&sandbox, r#"[{"fault":"refused","ms":0}]"#).await;
    assert_eq!(call(&sandbox, "sendmessage", MESSAGE).await.text(), HONEST);
    assert_eq!(arrivals(&sandbox).await["requests"], 2);
    sandbox.stop().await;
}

#[tokio::test]
async fn the_first_matching_fault_applies_until_its_count_is_used_up() {
    let sandbox = start().await;
    let rules = r#"[{"method":"getchats","fault":"http_404"},
        {"method":"sendmessage","fault":"http_500","count":1},{"fault":"http_503","count":2}]"#;
    put_faults(&sandbox, rules).await;
    let mut heard = Vec::new();
    for method in [
        "sendmessage",
        "sendmessage",
        "getchats",
        "getchatchannels",
        "sendmessage",
        "getchats",
    ] {
        heard.push(call(&sandbox, method, MESSAGE).await.status);
    }
    assert_eq!(heard, [500, 503, 404, 503, 200, 404]);
    sandbox.stop().await;
}
