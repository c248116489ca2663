//! Tests of the control paths.

use super::*;
use crate::{Fault, FaultKind};

#[tokio::test]
async fn receive_opens_a_chat_and_leaves_an_unread_message() {
    let sandbox = start().await;
    let body = r#"{"platform":"telegram","platformid":200,"destination":"42","message":"zażółć"}"#;
    let heard = request(&sandbox, "POST /sandbox/receive", "", body).await;
    assert_eq!(heard.status, 201);
    let message = heard.json();
    assert_eq!(message["message"], "zażółć");
    assert_eq!(message["platformid"], "200");
    assert_eq!(message["sent"], "0");
    assert_eq!(message["status"], "received");
    let place = "platform=telegram&platformid=200&destination=42";
    let unread = list(&sandbox, "getunreadmessages", place).await;
    assert_eq!(unread.len(), 1);
    assert_eq!(unread[0]["messageid"], message["messageid"]);
    sandbox.stop().await;
}

#[tokio::test]
async fn receive_rejects_invalid_messages_with_the_reason() {
    let sandbox = start().await;
    for (body, status, error) in [
        (
            r#"{"platform":"telegram","platformid":"9","destination":"1","message":"x"}"#,
            404,
            "CHANNEL_NOT_FOUND",
        ),
        (
            r#"{"platform":"fax","platformid":"200","destination":"1","message":"x"}"#,
            404,
            "CHANNEL_NOT_FOUND",
        ),
        (
            r#"{"platform":"telegram","platformid":"200","destination":"1"}"#,
            400,
            "MISSING_COMPULSORY_PARAM",
        ),
        (
            r#"{"platform":"telegram","platformid":"200","destination":[],"message":"x"}"#,
            400,
            "INCORRECT_PARAM",
        ),
        ("platform=telegram", 400, "MALFORMED_REQUEST"),
        ("", 400, "MISSING_COMPULSORY_PARAM"),
    ] {
        let heard = request(&sandbox, "POST /sandbox/receive", "", body).await;
        assert_eq!(heard.status, status, "{body}");
        assert_eq!(heard.json()["error"], error, "{body}");
        assert_eq!(heard.json().get("text").is_some(), status == 400);
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn sent_counts_all_calls_and_lists_the_sends() {
    let sandbox = start().await;
    let place = "platform=whatsapp&platformid=100&destination=34600000000";
    call(&sandbox, "sendmessage", &format!("{place}&message=one")).await;
    call(
        &sandbox,
        "sendfile",
        &format!("{place}&type=image&fileurl=https://example.com/a"),
    )
    .await;
    call(&sandbox, "sendmessage", place).await;
    call(&sandbox, "getchatchannels", "").await;
    call(&sandbox, "nonsense", "").await;
    let wrong = format!(
        "GET /api/http/?user=x&password=x&class=chat&method=sendmessage&{place}&message=two"
    );
    request(&sandbox, &wrong, "", "").await;
    let arrivals = arrivals(&sandbox).await;
    assert_eq!(
        arrivals.to_string(),
        concat!(
            r#"{"list":[{"destination":"34600000000","message":"one","method":"sendmessage","number":1,"platform":"whatsapp","platformid":"100","stored":true},"#,
            r#"{"destination":"34600000000","fileurl":"https://example.com/a","method":"sendfile","number":2,"platform":"whatsapp","platformid":"100","stored":true,"type":"image"},"#,
            r#"{"destination":"34600000000","message":"two","method":"sendmessage","number":3,"platform":"whatsapp","platformid":"100","stored":false}],"#,
            r#""methods":{"getchatchannels":1,"getchats":0,"getmessages":0,"getunreadmessages":0,"other":1,"sendfile":1,"sendmessage":3},"#,
            r#""requests":6,"sends":4,"stored":2}"#
        )
    );
    sandbox.stop().await;
}

#[tokio::test]
async fn the_list_of_sends_is_bounded_and_the_counters_are_not() {
    let sandbox = start().await;
    let mut stream = TcpStream::connect(sandbox.address()).await.unwrap();
    let (mut reader, mut writer) = stream.split();
    let writing = async {
        for number in 1..=1005 {
            let text = format!(
                "GET /api/http/?user=x&password=x&class=chat&method=sendmessage&platform=operator&platformid=1&destination=1&message={number} HTTP/1.1\r\nHost: x\r\n{}\r\n",
                if number == 1005 {
                    "Connection: close\r\n"
                } else {
                    ""
                }
            );
            writer.write_all(text.as_bytes()).await.unwrap();
        }
    };
    let mut answers = Vec::new();
    let (_, read) = tokio::join!(writing, reader.read_to_end(&mut answers));
    read.unwrap();
    let arrivals = arrivals(&sandbox).await;
    let list = arrivals["list"].as_array().unwrap();
    assert_eq!((list.len(), &arrivals["sends"]), (1000, &Value::from(1005)));
    assert_eq!(
        (&list[0]["number"], &list[999]["message"]),
        (&Value::from(6), &Value::from("1005"))
    );
    sandbox.stop().await;
}

#[tokio::test]
async fn faults_are_replaced_atomically() {
    let sandbox = start().await;
    let rule = r#"[{"method":"sendmessage","fault":"http_503","count":2}]"#;
    let put = request(&sandbox, "PUT /sandbox/faults", "", rule).await;
    let compact = r#"[{"method":"sendmessage","fault":"http_503","count":2}]"#;
    assert_eq!((put.status, put.text().trim()), (200, compact));
    let bad = request(
        &sandbox,
        "PUT /sandbox/faults",
        "",
        r#"[{"fault":"gremlins"}]"#,
    )
    .await;
    assert_eq!(bad.status, 400);
    assert!(bad.json()["text"].as_str().unwrap().contains("gremlins"));
    call(&sandbox, "sendmessage", "").await;
    let left = request(&sandbox, "GET /sandbox/faults", "", "")
        .await
        .json();
    assert_eq!(left[0]["count"], 1);
    put_faults(&sandbox, "[]").await;
    assert_eq!(call(&sandbox, "sendmessage", "").await.status, 200);
    sandbox.stop().await;
}

#[test]
fn parse_list_rejects_invalid_faults() {
    let one = Fault::parse_list(r#"[{"fault":"reset_mid_body"}]"#).unwrap();
    assert_eq!(one[0].fault, FaultKind::ResetMidBody);
    for wrong in [
        "",
        "{}",
        r#"[{}]"#,
        r#"[{"fault":"reset","often":true}]"#,
        r#"[{"fault":"reset","method":"nonsense"}]"#,
        r#"[{"fault":"reset","count":0}]"#,
        r#"[{"fault":"reset","count":-1}]"#,
        r#"[{"fault":"reset","code":"X"}]"#,
        r#"[{"fault":"error_code"}]"#,
        r#"[{"fault":"body"}]"#,
        r#"[{"fault":"latency"}]"#,
        r#"[{"fault":"slow_body"}]"#,
        r#"[{"fault":"latency","ms":600001}]"#,
        r#"[{"fault":"refused","method":"getchats"}]"#,
    ] {
        assert!(Fault::parse_list(wrong).is_err(), "{wrong}");
    }
}
