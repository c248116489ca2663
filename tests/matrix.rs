//! Seven operations × four ways in × (success and every code that applies): the answer to each caller, in its own dialect.
//!
//! Equal cells share a line, which names the operations that it applies to.

mod cells;
mod stage;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use adapter::{OPERATIONS, Way};

use crate::harness::Answer;
use cells::cells;
use stage::{Cell, Stage};

/// Renders status, challenges and body on one line each, without values that differ from run to run.
fn rendering(answer: &Answer) -> String {
    let mut text = answer.status.to_string();
    for challenge in answer.headers.get_all("www-authenticate") {
        write!(text, " [{}]", challenge.to_str().unwrap()).unwrap();
    }
    let mut body = answer.body.clone();
    for mark in ["\"retry_after\":", "<c:retry_after>"] {
        if let Some(at) = body.find(mark).map(|at| at + mark.len()) {
            let digits = body[at..].bytes().take_while(u8::is_ascii_digit).count();
            body.replace_range(at..at + digits, "N");
        }
    }
    for mark in ["\"cursor\":\"", "<c:cursor>"] {
        if let Some(at) = body.find(mark).map(|at| at + mark.len()) {
            body.replace_range(at..at + 13, "(cursor)");
        }
    }
    while let Some(at) =
        (0..body.len()).find(|at| body.is_char_boundary(*at) && is_datetime(&body[*at..]))
    {
        body.replace_range(at..at + 19, "(datetime)");
    }
    write!(text, "\n    {body}").unwrap();
    text
}

fn is_datetime(text: &str) -> bool {
    let shape = b"0000-00-00 00:00:00";
    text.len() >= shape.len()
        && text.bytes().zip(shape).all(|(b, like)| {
            if *like == b'0' {
                b.is_ascii_digit()
            } else {
                b == *like
            }
        })
}

/// Plays every cell of a way and returns the answers, equal ones on one line.
async fn played(stage: &Stage, way: Way) -> (String, usize) {
    let mut seen: BTreeMap<&str, BTreeMap<String, Vec<&str>>> = BTreeMap::new();
    let mut count = 0;
    for operation in &OPERATIONS {
        for (word, cell) in cells(way, operation) {
            let answer = stage.play(way, operation, &cell).await;
            let what = format!("{} by {}: {word}", operation.method, way.name());
            assert!(
                word == "SUCCESS" || answer.body.contains(word),
                "{what}, but\n{}",
                answer.body
            );
            let methods = seen
                .entry(word)
                .or_default()
                .entry(rendering(&answer))
                .or_default();
            if methods.last() != Some(&operation.method) {
                methods.push(operation.method);
            }
            count += 1;
        }
    }
    let mut text = String::new();
    for (word, renderings) in seen {
        for (rendering, methods) in renderings {
            let methods = if methods.len() == OPERATIONS.len() {
                "all".to_owned()
            } else {
                methods.join(" ")
            };
            writeln!(text, "{word} ({methods}): {rendering}").unwrap();
        }
    }
    (text, count)
}

#[expect(
    clippy::too_many_lines,
    reason = "the snapshots stand where they are compared"
)]
#[tokio::test(flavor = "multi_thread")]
async fn every_operation_by_every_way_in_renders_success_and_every_code() {
    let stage = Stage::set();
    // The one call of the day; every later call is over the limit.
    let spent = Cell {
        access: Some("slow"),
        ..Cell::default()
    };
    assert_eq!(
        stage.play(Way::Http, &OPERATIONS[0], &spent).await.status,
        200
    );

    // The one guess that is checked.
    let guess = Cell {
        after_a_guess: true,
        ..Cell::default()
    };
    let guessed = stage.play(Way::Http, &OPERATIONS[0], &guess).await;
    assert_eq!(guessed.json()["error"], "INCORRECT_USER_PASSWORD");

    let (http, a) = played(&stage, Way::Http).await;
    let (basic, b) = played(&stage, Way::Basic).await;
    let (jwt, c) = played(&stage, Way::Jwt).await;
    let (soap, d) = played(&stage, Way::Soap).await;
    println!("matrix: {} cells checked", a + b + c + d);
    assert!(a + b + c + d >= 300);
    insta::assert_snapshot!(http, @r#"
    ACCESS_DISABLED (all): 403
        {"status":"ERROR","error":"ACCESS_DISABLED","request_id":"r1","delivery":"not_sent"}
    CHANNEL_NOT_FOUND (sendmessage sendfile getchats getmessages getunreadmessages getevents): 200
        {"status":"ERROR","error":"CHANNEL_NOT_FOUND","delivery":"not_sent"}
    CHANNEL_NOT_FOUND (getchats getmessages getunreadmessages): 200
        {"status":"ERROR","error":"CHANNEL_NOT_FOUND"}
    CHAT_NOT_FOUND (sendfile): 200
        {"status":"ERROR","error":"CHAT_NOT_FOUND","delivery":"not_sent"}
    CHAT_NOT_FOUND (getchats getmessages getunreadmessages): 200
        {"status":"ERROR","error":"CHAT_NOT_FOUND"}
    HTTP_METHOD_NOT_ALLOWED (all): 405
        {"status":"ERROR","error":"HTTP_METHOD_NOT_ALLOWED","request_id":"r1","delivery":"not_sent"}
    INCORRECT_CLASS (all): 200
        {"status":"ERROR","error":"INCORRECT_CLASS","delivery":"not_sent"}
    INCORRECT_FILETYPE (sendfile): 200
        {"status":"ERROR","error":"INCORRECT_FILETYPE","delivery":"not_sent"}
    INCORRECT_FILEURL (sendfile): 200
        {"status":"ERROR","error":"INCORRECT_FILEURL","delivery":"not_sent"}
    INCORRECT_METHOD (all): 200
        {"status":"ERROR","error":"INCORRECT_METHOD","delivery":"not_sent"}
    INCORRECT_PARAM (all): 400
        {"status":"ERROR","error":"INCORRECT_PARAM","request_id":"r1","delivery":"not_sent"}
    INCORRECT_THUMBURL (sendfile): 200
        {"status":"ERROR","error":"INCORRECT_THUMBURL","delivery":"not_sent"}
    INCORRECT_USER_PASSWORD (all): 200
        {"status":"ERROR","error":"INCORRECT_USER_PASSWORD","delivery":"not_sent"}
    IP_NOT_ALLOWED (all): 403
        {"status":"ERROR","error":"IP_NOT_ALLOWED","request_id":"r1","delivery":"not_sent"}
    MALFORMED_REQUEST (all): 400
        {"status":"ERROR","error":"MALFORMED_REQUEST","request_id":"r1","delivery":"not_sent"}
    MISSING_CLASS (all): 200
        {"status":"ERROR","error":"MISSING_CLASS","delivery":"not_sent"}
    MISSING_COMPULSORY_PARAM (sendmessage sendfile getchats getmessages getunreadmessages): 200
        {"status":"ERROR","error":"MISSING_COMPULSORY_PARAM","delivery":"not_sent"}
    MISSING_METHOD (all): 200
        {"status":"ERROR","error":"MISSING_METHOD","delivery":"not_sent"}
    MISSING_PASSWORD (all): 200
        {"status":"ERROR","error":"MISSING_PASSWORD","delivery":"not_sent"}
    MISSING_USER (all): 200
        {"status":"ERROR","error":"MISSING_USER","delivery":"not_sent"}
    OPERATION_NOT_ALLOWED (all): 403
        {"status":"ERROR","error":"OPERATION_NOT_ALLOWED","request_id":"r1","delivery":"not_sent"}
    RATE_LIMITED (all): 429
        {"status":"ERROR","error":"RATE_LIMITED","request_id":"r1","delivery":"not_sent","retry_after":N}
    REQUEST_TOO_LARGE (all): 413
        {"status":"ERROR","error":"REQUEST_TOO_LARGE","request_id":"r1","delivery":"not_sent"}
    SOMETHING_NEW_7 (sendmessage sendfile): 502
        {"status":"ERROR","error":"SOMETHING_NEW_7","request_id":"r1","delivery":"not_sent"}
    SOMETHING_NEW_7 (getchatchannels getchats getmessages getunreadmessages): 502
        {"status":"ERROR","error":"SOMETHING_NEW_7","request_id":"r1"}
    SUCCESS (getevents): 200
        {"status":"SUCCESS","result":{"list":[],"cursor":"(cursor)","more":"0","reset":"0"}}
    SUCCESS (getunreadmessages): 200
        {"status":"SUCCESS","result":{"list":[]}}
    SUCCESS (getchatchannels): 200
        {"status":"SUCCESS","result":{"list":[{"platformid":"1","platform":"webchat","name":"Website"},{"platformid":"2","platform":"webchat","name":"Help pages"},{"platformid":"100","platform":"whatsapp","name":"Sales"},{"platformid":"200","platform":"telegram","name":"Support"},{"platformid":"300","platform":"operator","name":"Front desk"}]}}
    SUCCESS (getchats): 200
        {"status":"SUCCESS","result":{"list":[{"platformid":"200","platform":"telegram","message":"Hello","destination":"700100","messageid":"13","sent":"1","status":"sent","datetime":"(datetime)"}]}}
    SUCCESS (getmessages): 200
        {"status":"SUCCESS","result":{"list":[{"platformid":"200","platform":"telegram","message":"My parcel has not come yet.","destination":"700100","messageid":"3","sent":"0","status":"received","datetime":"(datetime)"},{"platformid":"200","platform":"telegram","message":"It is on its way and comes tomorrow.","destination":"700100","messageid":"4","sent":"1","status":"sent","datetime":"(datetime)"},{"platformid":"200","platform":"telegram","message":"Hello","destination":"700100","messageid":"8","sent":"1","status":"sent","datetime":"(datetime)"},{"platformid":"200","platform":"telegram","message":"Hello","destination":"700100","messageid":"9","sent":"1","status":"sent","datetime":"(datetime)"},{"platformid":"200","platform":"telegram","message":"Hello","destination":"700100","messageid":"10","sent":"1","status":"sent","datetime":"(datetime)"},{"platformid":"200","platform":"telegram","message":"Hello","destination":"700100","messageid":"11","sent":"1","status":"sent","datetime":"(datetime)"},{"platformid":"200","platform":"telegram","message":"Hello","destination":"700100","messageid":"12","sent":"1","status":"sent","datetime":"(datetime)"},{"platformid":"200","platform":"telegram","message":"Hello","destination":"700100","messageid":"13","sent":"1","status":"sent","datetime":"(datetime)"}]}}
    SUCCESS (sendmessage sendfile): 200
        {"status":"SUCCESS","result":{},"delivery":"sent"}
    TOO_MANY_FAILURES (all): 429
        {"status":"ERROR","error":"TOO_MANY_FAILURES","request_id":"r1","delivery":"not_sent","retry_after":N}
    UNSUPPORTED_MEDIA_TYPE (all): 415
        {"status":"ERROR","error":"UNSUPPORTED_MEDIA_TYPE","request_id":"r1","delivery":"not_sent"}
    UPSTREAM_ERROR (sendmessage sendfile): 502
        {"status":"ERROR","error":"UPSTREAM_ERROR","request_id":"r1","delivery":"unknown"}
    UPSTREAM_ERROR (getchatchannels getchats getmessages getunreadmessages): 502
        {"status":"ERROR","error":"UPSTREAM_ERROR","request_id":"r1"}
    UPSTREAM_REFUSED_CREDENTIALS (sendmessage sendfile): 502
        {"status":"ERROR","error":"UPSTREAM_REFUSED_CREDENTIALS","request_id":"r1","delivery":"not_sent"}
    UPSTREAM_REFUSED_CREDENTIALS (getchatchannels getchats getmessages getunreadmessages): 502
        {"status":"ERROR","error":"UPSTREAM_REFUSED_CREDENTIALS","request_id":"r1"}
    UPSTREAM_TIMEOUT (sendmessage sendfile): 504
        {"status":"ERROR","error":"UPSTREAM_TIMEOUT","request_id":"r1","delivery":"unknown"}
    UPSTREAM_TIMEOUT (getchatchannels getchats getmessages getunreadmessages): 504
        {"status":"ERROR","error":"UPSTREAM_TIMEOUT","request_id":"r1"}
    UPSTREAM_UNAVAILABLE (sendmessage sendfile): 503
        {"status":"ERROR","error":"UPSTREAM_UNAVAILABLE","request_id":"r1","delivery":"not_sent","retry_after":N}
    UPSTREAM_UNAVAILABLE (getchatchannels getchats getmessages getunreadmessages): 503
        {"status":"ERROR","error":"UPSTREAM_UNAVAILABLE","request_id":"r1","retry_after":N}
    "#);
    insta::assert_snapshot!(basic, @r#"
    ACCESS_DISABLED (all): 403
        {"status":"ERROR","error":"ACCESS_DISABLED","request_id":"r1","delivery":"not_sent"}
    CHANNEL_NOT_FOUND (sendmessage sendfile getchats getmessages getunreadmessages getevents): 200
        {"status":"ERROR","error":"CHANNEL_NOT_FOUND","delivery":"not_sent"}
    CHANNEL_NOT_FOUND (getchats getmessages getunreadmessages): 200
        {"status":"ERROR","error":"CHANNEL_NOT_FOUND"}
    CHAT_NOT_FOUND (sendfile): 200
        {"status":"ERROR","error":"CHAT_NOT_FOUND","delivery":"not_sent"}
    CHAT_NOT_FOUND (getchats getmessages getunreadmessages): 200
        {"status":"ERROR","error":"CHAT_NOT_FOUND"}
    HTTP_METHOD_NOT_ALLOWED (all): 405
        {"status":"ERROR","error":"HTTP_METHOD_NOT_ALLOWED","request_id":"r1","delivery":"not_sent"}
    INCORRECT_CLASS (all): 200
        {"status":"ERROR","error":"INCORRECT_CLASS","delivery":"not_sent"}
    INCORRECT_FILETYPE (sendfile): 200
        {"status":"ERROR","error":"INCORRECT_FILETYPE","delivery":"not_sent"}
    INCORRECT_FILEURL (sendfile): 200
        {"status":"ERROR","error":"INCORRECT_FILEURL","delivery":"not_sent"}
    INCORRECT_METHOD (all): 200
        {"status":"ERROR","error":"INCORRECT_METHOD","delivery":"not_sent"}
    INCORRECT_PARAM (all): 400
        {"status":"ERROR","error":"INCORRECT_PARAM","request_id":"r1","delivery":"not_sent"}
    INCORRECT_THUMBURL (sendfile): 200
        {"status":"ERROR","error":"INCORRECT_THUMBURL","delivery":"not_sent"}
    INCORRECT_USER_PASSWORD (all): 401 [Basic realm="chatgate", charset="UTF-8"]
        {"status":"ERROR","error":"INCORRECT_USER_PASSWORD","delivery":"not_sent"}
    IP_NOT_ALLOWED (all): 403
        {"status":"ERROR","error":"IP_NOT_ALLOWED","request_id":"r1","delivery":"not_sent"}
    MALFORMED_REQUEST (all): 400
        {"status":"ERROR","error":"MALFORMED_REQUEST","request_id":"r1","delivery":"not_sent"}
    MISSING_CLASS (all): 200
        {"status":"ERROR","error":"MISSING_CLASS","delivery":"not_sent"}
    MISSING_COMPULSORY_PARAM (sendmessage sendfile getchats getmessages getunreadmessages): 200
        {"status":"ERROR","error":"MISSING_COMPULSORY_PARAM","delivery":"not_sent"}
    MISSING_METHOD (all): 200
        {"status":"ERROR","error":"MISSING_METHOD","delivery":"not_sent"}
    MISSING_PASSWORD (all): 401 [Basic realm="chatgate", charset="UTF-8"]
        {"status":"ERROR","error":"MISSING_PASSWORD","delivery":"not_sent"}
    MISSING_USER (all): 401 [Basic realm="chatgate", charset="UTF-8"]
        {"status":"ERROR","error":"MISSING_USER","delivery":"not_sent"}
    OPERATION_NOT_ALLOWED (all): 403
        {"status":"ERROR","error":"OPERATION_NOT_ALLOWED","request_id":"r1","delivery":"not_sent"}
    RATE_LIMITED (all): 429
        {"status":"ERROR","error":"RATE_LIMITED","request_id":"r1","delivery":"not_sent","retry_after":N}
    REQUEST_TOO_LARGE (all): 413
        {"status":"ERROR","error":"REQUEST_TOO_LARGE","request_id":"r1","delivery":"not_sent"}
    SOMETHING_NEW_7 (sendmessage sendfile): 502
        {"status":"ERROR","error":"SOMETHING_NEW_7","request_id":"r1","delivery":"not_sent"}
    SOMETHING_NEW_7 (getchatchannels getchats getmessages getunreadmessages): 502
        {"status":"ERROR","error":"SOMETHING_NEW_7","request_id":"r1"}
    SUCCESS (getevents): 200
        {"status":"SUCCESS","result":{"list":[],"cursor":"(cursor)","more":"0","reset":"0"}}
    SUCCESS (getunreadmessages): 200
        {"status":"SUCCESS","result":{"list":[]}}
    SUCCESS (getchatchannels): 200
        {"status":"SUCCESS","result":{"list":[{"platformid":"1","platform":"webchat","name":"Website"},{"platformid":"2","platform":"webchat","name":"Help pages"},{"platformid":"100","platform":"whatsapp","name":"Sales"},{"platformid":"200","platform":"telegram","name":"Support"},{"platformid":"300","platform":"operator","name":"Front desk"}]}}
    SUCCESS (getchats): 200
        {"status":"SUCCESS","result":{"list":[{"platformid":"200","platform":"telegram","message":"Hello","destination":"700100","messageid":"19","sent":"1","status":"sent","datetime":"(datetime)"}]}}
    SUCCESS (getmessages): 200
        {"status":"SUCCESS","result":{"list":[{"platformid":"200","platform":"telegram","message":"My parcel has not come yet.","destination":"700100","messageid":"3","sent":"0","status":"received","datetime":"(datetime)"},{"platformid":"200","platform":"telegram","message":"It is on its way and comes tomorrow.","destination":"700100","messageid":"4","sent":"1","status":"sent","datetime":"(datetime)"},{"platformid":"200","platform":"telegram","message":"Hello","destination":"700100","messageid":"8","sent":"1","status":"sent","datetime":"(datetime)"},{"platformid":"200","platform":"telegram","message":"Hello","destination":"700100","messageid":"9","sent":"1","status":"sent","datetime":"(datetime)"},{"platformid":"200","platform":"telegram","message":"Hello","destination":"700100","messageid":"10","sent":"1","status":"sent","datetime":"(datetime)"},{"platformid":"200","platform":"telegram","message":"Hello","destination":"700100","messageid":"11","sent":"1","status":"sent","datetime":"(datetime)"},{"platformid":"200","platform":"telegram","message":"Hello","destination":"700100","messageid":"12","sent":"1","status":"sent","datetime":"(datetime)"},{"platformid":"200","platform":"telegram","message":"Hello","destination":"700100","messageid":"13","sent":"1","status":"sent","datetime":"(datetime)"},{"platformid":"200","platform":"telegram","message":"Hello","destination":"700100","messageid":"14","sent":"1","status":"sent","datetime":"(datetime)"},{"platformid":"200","platform":"telegram","message":"Hello","destination":"700100","messageid":"15","sent":"1","status":"sent","datetime":"(datetime)"},{"platformid":"200","platform":"telegram","message":"Hello","destination":"700100","messageid":"16","sent":"1","status":"sent","datetime":"(datetime)"},{"platformid":"200","platform":"telegram","message":"Hello","destination":"700100","messageid":"17","sent":"1","status":"sent","datetime":"(datetime)"},{"platformid":"200","platform":"telegram","message":"Hello","destination":"700100","messageid":"18","sent":"1","status":"sent","datetime":"(datetime)"},{"platformid":"200","platform":"telegram","message":"Hello","destination":"700100","messageid":"19","sent":"1","status":"sent","datetime":"(datetime)"}]}}
    SUCCESS (sendmessage sendfile): 200
        {"status":"SUCCESS","result":{},"delivery":"sent"}
    TOO_MANY_FAILURES (all): 429
        {"status":"ERROR","error":"TOO_MANY_FAILURES","request_id":"r1","delivery":"not_sent","retry_after":N}
    UNSUPPORTED_MEDIA_TYPE (all): 415
        {"status":"ERROR","error":"UNSUPPORTED_MEDIA_TYPE","request_id":"r1","delivery":"not_sent"}
    UPSTREAM_ERROR (sendmessage sendfile): 502
        {"status":"ERROR","error":"UPSTREAM_ERROR","request_id":"r1","delivery":"unknown"}
    UPSTREAM_ERROR (getchatchannels getchats getmessages getunreadmessages): 502
        {"status":"ERROR","error":"UPSTREAM_ERROR","request_id":"r1"}
    UPSTREAM_REFUSED_CREDENTIALS (sendmessage sendfile): 502
        {"status":"ERROR","error":"UPSTREAM_REFUSED_CREDENTIALS","request_id":"r1","delivery":"not_sent"}
    UPSTREAM_REFUSED_CREDENTIALS (getchatchannels getchats getmessages getunreadmessages): 502
        {"status":"ERROR","error":"UPSTREAM_REFUSED_CREDENTIALS","request_id":"r1"}
    UPSTREAM_TIMEOUT (sendmessage sendfile): 504
        {"status":"ERROR","error":"UPSTREAM_TIMEOUT","request_id":"r1","delivery":"unknown"}
    UPSTREAM_TIMEOUT (getchatchannels getchats getmessages getunreadmessages): 504
        {"status":"ERROR","error":"UPSTREAM_TIMEOUT","request_id":"r1"}
    UPSTREAM_UNAVAILABLE (sendmessage sendfile): 503
        {"status":"ERROR","error":"UPSTREAM_UNAVAILABLE","request_id":"r1","delivery":"not_sent","retry_after":N}
    UPSTREAM_UNAVAILABLE (getchatchannels getchats getmessages getunreadmessages): 503
        {"status":"ERROR","error":"UPSTREAM_UNAVAILABLE","request_id":"r1","retry_after":N}
    "#);
    insta::assert_snapshot!(jwt, @r#"
    ACCESS_DISABLED (all): 403
        {"status":"ERROR","error":"ACCESS_DISABLED","request_id":"r1","delivery":"not_sent"}
    CHANNEL_NOT_FOUND (sendmessage sendfile getchats getmessages getunreadmessages getevents): 404
        {"status":"ERROR","error":"CHANNEL_NOT_FOUND","delivery":"not_sent"}
    CHANNEL_NOT_FOUND (getchats getmessages getunreadmessages): 404
        {"status":"ERROR","error":"CHANNEL_NOT_FOUND"}
    CHAT_NOT_FOUND (sendfile): 404
        {"status":"ERROR","error":"CHAT_NOT_FOUND","delivery":"not_sent"}
    CHAT_NOT_FOUND (getchats getmessages getunreadmessages): 404
        {"status":"ERROR","error":"CHAT_NOT_FOUND"}
    EXPIRED_TOKEN (all): 401 [Bearer realm="chatgate", error="invalid_token", error_description="The token has expired."]
        {"status":"ERROR","error":"EXPIRED_TOKEN","request_id":"r1","delivery":"not_sent"}
    HTTP_METHOD_NOT_ALLOWED (all): 405
        {"status":"ERROR","error":"HTTP_METHOD_NOT_ALLOWED","request_id":"r1","delivery":"not_sent"}
    INCORRECT_CLASS (all): 404
        {"status":"ERROR","error":"INCORRECT_CLASS","delivery":"not_sent"}
    INCORRECT_FILETYPE (sendfile): 400
        {"status":"ERROR","error":"INCORRECT_FILETYPE","delivery":"not_sent"}
    INCORRECT_FILEURL (sendfile): 400
        {"status":"ERROR","error":"INCORRECT_FILEURL","delivery":"not_sent"}
    INCORRECT_METHOD (all): 404
        {"status":"ERROR","error":"INCORRECT_METHOD","delivery":"not_sent"}
    INCORRECT_PARAM (all): 400
        {"status":"ERROR","error":"INCORRECT_PARAM","request_id":"r1","delivery":"not_sent"}
    INCORRECT_THUMBURL (sendfile): 400
        {"status":"ERROR","error":"INCORRECT_THUMBURL","delivery":"not_sent"}
    INCORRECT_TOKEN (all): 401 [Bearer realm="chatgate", error="invalid_token"]
        {"status":"ERROR","error":"INCORRECT_TOKEN","request_id":"r1","delivery":"not_sent"}
    IP_NOT_ALLOWED (all): 403
        {"status":"ERROR","error":"IP_NOT_ALLOWED","request_id":"r1","delivery":"not_sent"}
    MALFORMED_REQUEST (all): 400
        {"status":"ERROR","error":"MALFORMED_REQUEST","request_id":"r1","delivery":"not_sent"}
    MISSING_CLASS (all): 400
        {"status":"ERROR","error":"MISSING_CLASS","delivery":"not_sent"}
    MISSING_COMPULSORY_PARAM (sendmessage sendfile getchats getmessages getunreadmessages): 400
        {"status":"ERROR","error":"MISSING_COMPULSORY_PARAM","delivery":"not_sent"}
    MISSING_METHOD (all): 400
        {"status":"ERROR","error":"MISSING_METHOD","delivery":"not_sent"}
    MISSING_TOKEN (all): 401 [Bearer realm="chatgate"]
        {"status":"ERROR","error":"MISSING_TOKEN","request_id":"r1","delivery":"not_sent"}
    OPERATION_NOT_ALLOWED (all): 403
        {"status":"ERROR","error":"OPERATION_NOT_ALLOWED","request_id":"r1","delivery":"not_sent"}
    RATE_LIMITED (all): 429
        {"status":"ERROR","error":"RATE_LIMITED","request_id":"r1","delivery":"not_sent","retry_after":N}
    REQUEST_TOO_LARGE (all): 413
        {"status":"ERROR","error":"REQUEST_TOO_LARGE","request_id":"r1","delivery":"not_sent"}
    SOMETHING_NEW_7 (sendmessage sendfile): 502
        {"status":"ERROR","error":"SOMETHING_NEW_7","request_id":"r1","delivery":"not_sent"}
    SOMETHING_NEW_7 (getchatchannels getchats getmessages getunreadmessages): 502
        {"status":"ERROR","error":"SOMETHING_NEW_7","request_id":"r1"}
    SUCCESS (getevents): 200
        {"status":"SUCCESS","result":{"list":[],"cursor":"(cursor)","more":"0","reset":"0"}}
    SUCCESS (getunreadmessages): 200
        {"status":"SUCCESS","result":{"list":[]}}
    SUCCESS (getchatchannels): 200
        {"status":"SUCCESS","result":{"list":[{"platformid":"1","platform":"webchat","name":"Website"},{"platformid":"2","platform":"webchat","name":"Help pages"},{"platformid":"100","platform":"whatsapp","name":"Sales"},{"platformid":"200","platform":"telegram","name":"Support"},{"platformid":"300","platform":"operator","name":"Front desk"}]}}
    SUCCESS (getchats): 200
        {"status":"SUCCESS","result":{"list":[{"platformid":"200","platform":"telegram","message":"Hello","destination":"700100","messageid":"25","sent":"1","status":"sent","datetime":"(datetime)"}]}}
    SUCCESS (getmessages): 200
        {"status":"SUCCESS","result":{"list":[{"platformid":"200","platform":"telegram","message":"My parcel has not come yet.","destination":"700100","messageid":"3","sent":"0","status":"received","datetime":"(datetime)"},{"platformid":"200","platform":"telegram","message":"It is on its way and comes tomorrow.","destination":"700100","messageid":"4","sent":"1","status":"sent","datetime":"(datetime)"},{"platformid":"200","platform":"telegram","message":"Hello","destination":"700100","messageid":"8","sent":"1","status":"sent","datetime":"(datetime)"},{"platformid":"200","platform":"telegram","message":"Hello","destination":"700100","messageid":"9","sent":"1","status":"sent","datetime":"(datetime)"},{"platformid":"200","platform":"telegram","message":"Hello","destination":"700100","messageid":"10","sent":"1","status":"sent","datetime":"(datetime)"},{"platformid":"200","platform":"telegram","message":"Hello","destination":"700100","messageid":"11","sent":"1","status":"sent","datetime":"(datetime)"},{"platformid":"200","platform":"telegram","message":"Hello","destination":"700100","messageid":"12","sent":"1","status":"sent","datetime":"(datetime)"},{"platformid":"200","platform":"telegram","message":"Hello","destination":"700100","messageid":"13","sent":"1","status":"sent","datetime":"(datetime)"},{"platformid":"200","platform":"telegram","message":"Hello","destination":"700100","messageid":"14","sent":"1","status":"sent","datetime":"(datetime)"},{"platformid":"200","platform":"telegram","message":"Hello","destination":"700100","messageid":"15","sent":"1","status":"sent","datetime":"(datetime)"},{"platformid":"200","platform":"telegram","message":"Hello","destination":"700100","messageid":"16","sent":"1","status":"sent","datetime":"(datetime)"},{"platformid":"200","platform":"telegram","message":"Hello","destination":"700100","messageid":"17","sent":"1","status":"sent","datetime":"(datetime)"},{"platformid":"200","platform":"telegram","message":"Hello","destination":"700100","messageid":"18","sent":"1","status":"sent","datetime":"(datetime)"},{"platformid":"200","platform":"telegram","message":"Hello","destination":"700100","messageid":"19","sent":"1","status":"sent","datetime":"(datetime)"},{"platformid":"200","platform":"telegram","message":"Hello","destination":"700100","messageid":"20","sent":"1","status":"sent","datetime":"(datetime)"},{"platformid":"200","platform":"telegram","message":"Hello","destination":"700100","messageid":"21","sent":"1","status":"sent","datetime":"(datetime)"},{"platformid":"200","platform":"telegram","message":"Hello","destination":"700100","messageid":"22","sent":"1","status":"sent","datetime":"(datetime)"},{"platformid":"200","platform":"telegram","message":"Hello","destination":"700100","messageid":"23","sent":"1","status":"sent","datetime":"(datetime)"},{"platformid":"200","platform":"telegram","message":"Hello","destination":"700100","messageid":"24","sent":"1","status":"sent","datetime":"(datetime)"},{"platformid":"200","platform":"telegram","message":"Hello","destination":"700100","messageid":"25","sent":"1","status":"sent","datetime":"(datetime)"}]}}
    SUCCESS (sendmessage sendfile): 200
        {"status":"SUCCESS","result":{},"delivery":"sent"}
    TOO_MANY_FAILURES (all): 429
        {"status":"ERROR","error":"TOO_MANY_FAILURES","request_id":"r1","delivery":"not_sent","retry_after":N}
    UNSUPPORTED_MEDIA_TYPE (all): 415
        {"status":"ERROR","error":"UNSUPPORTED_MEDIA_TYPE","request_id":"r1","delivery":"not_sent"}
    UPSTREAM_ERROR (sendmessage sendfile): 502
        {"status":"ERROR","error":"UPSTREAM_ERROR","request_id":"r1","delivery":"unknown"}
    UPSTREAM_ERROR (getchatchannels getchats getmessages getunreadmessages): 502
        {"status":"ERROR","error":"UPSTREAM_ERROR","request_id":"r1"}
    UPSTREAM_REFUSED_CREDENTIALS (sendmessage sendfile): 502
        {"status":"ERROR","error":"UPSTREAM_REFUSED_CREDENTIALS","request_id":"r1","delivery":"not_sent"}
    UPSTREAM_REFUSED_CREDENTIALS (getchatchannels getchats getmessages getunreadmessages): 502
        {"status":"ERROR","error":"UPSTREAM_REFUSED_CREDENTIALS","request_id":"r1"}
    UPSTREAM_TIMEOUT (sendmessage sendfile): 504
        {"status":"ERROR","error":"UPSTREAM_TIMEOUT","request_id":"r1","delivery":"unknown"}
    UPSTREAM_TIMEOUT (getchatchannels getchats getmessages getunreadmessages): 504
        {"status":"ERROR","error":"UPSTREAM_TIMEOUT","request_id":"r1"}
    UPSTREAM_UNAVAILABLE (sendmessage sendfile): 503
        {"status":"ERROR","error":"UPSTREAM_UNAVAILABLE","request_id":"r1","delivery":"not_sent","retry_after":N}
    UPSTREAM_UNAVAILABLE (getchatchannels getchats getmessages getunreadmessages): 503
        {"status":"ERROR","error":"UPSTREAM_UNAVAILABLE","request_id":"r1","retry_after":N}
    "#);
    insta::assert_snapshot!(soap, @r#"
    ACCESS_DISABLED (all): 500
        <?xml version="1.0" encoding="utf-8"?>
    <s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>s:Client</faultcode><faultstring>This access is not active.</faultstring><detail><c:error xmlns:c="urn:chatgate:chat:v1"><c:code>ACCESS_DISABLED</c:code><c:request_id>r1</c:request_id><c:delivery>not_sent</c:delivery></c:error></detail></s:Fault></s:Body></s:Envelope>
    CHANNEL_NOT_FOUND (getchats getmessages getunreadmessages): 500
        <?xml version="1.0" encoding="utf-8"?>
    <s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>s:Client</faultcode><faultstring>The channel does not exist.</faultstring><detail><c:error xmlns:c="urn:chatgate:chat:v1"><c:code>CHANNEL_NOT_FOUND</c:code><c:request_id>r1</c:request_id></c:error></detail></s:Fault></s:Body></s:Envelope>
    CHANNEL_NOT_FOUND (sendmessage sendfile getchats getmessages getunreadmessages getevents): 500
        <?xml version="1.0" encoding="utf-8"?>
    <s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>s:Client</faultcode><faultstring>The channel does not exist.</faultstring><detail><c:error xmlns:c="urn:chatgate:chat:v1"><c:code>CHANNEL_NOT_FOUND</c:code><c:request_id>r1</c:request_id><c:delivery>not_sent</c:delivery></c:error></detail></s:Fault></s:Body></s:Envelope>
    CHAT_NOT_FOUND (getchats getmessages getunreadmessages): 500
        <?xml version="1.0" encoding="utf-8"?>
    <s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>s:Client</faultcode><faultstring>The chat does not exist.</faultstring><detail><c:error xmlns:c="urn:chatgate:chat:v1"><c:code>CHAT_NOT_FOUND</c:code><c:request_id>r1</c:request_id></c:error></detail></s:Fault></s:Body></s:Envelope>
    CHAT_NOT_FOUND (sendfile): 500
        <?xml version="1.0" encoding="utf-8"?>
    <s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>s:Client</faultcode><faultstring>The chat does not exist.</faultstring><detail><c:error xmlns:c="urn:chatgate:chat:v1"><c:code>CHAT_NOT_FOUND</c:code><c:request_id>r1</c:request_id><c:delivery>not_sent</c:delivery></c:error></detail></s:Fault></s:Body></s:Envelope>
    HTTP_METHOD_NOT_ALLOWED (all): 500
        <?xml version="1.0" encoding="utf-8"?>
    <s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>s:Client</faultcode><faultstring>This HTTP method is not allowed here.</faultstring><detail><c:error xmlns:c="urn:chatgate:chat:v1"><c:code>HTTP_METHOD_NOT_ALLOWED</c:code><c:request_id>r1</c:request_id><c:delivery>not_sent</c:delivery></c:error></detail></s:Fault></s:Body></s:Envelope>
    INCORRECT_FILETYPE (sendfile): 500
        <?xml version="1.0" encoding="utf-8"?>
    <s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>s:Client</faultcode><faultstring>The file type is not one of those allowed.</faultstring><detail><c:error xmlns:c="urn:chatgate:chat:v1"><c:code>INCORRECT_FILETYPE</c:code><c:request_id>r1</c:request_id><c:delivery>not_sent</c:delivery></c:error></detail></s:Fault></s:Body></s:Envelope>
    INCORRECT_FILEURL (sendfile): 500
        <?xml version="1.0" encoding="utf-8"?>
    <s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>s:Client</faultcode><faultstring>The file URL is not an allowed public URL.</faultstring><detail><c:error xmlns:c="urn:chatgate:chat:v1"><c:code>INCORRECT_FILEURL</c:code><c:request_id>r1</c:request_id><c:delivery>not_sent</c:delivery></c:error></detail></s:Fault></s:Body></s:Envelope>
    INCORRECT_METHOD (all): 500
        <?xml version="1.0" encoding="utf-8"?>
    <s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>s:Client</faultcode><faultstring>There is no such method.</faultstring><detail><c:error xmlns:c="urn:chatgate:chat:v1"><c:code>INCORRECT_METHOD</c:code><c:request_id>r1</c:request_id><c:delivery>not_sent</c:delivery></c:error></detail></s:Fault></s:Body></s:Envelope>
    INCORRECT_PARAM (getevents): 500
        <?xml version="1.0" encoding="utf-8"?>
    <s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>s:Client</faultcode><faultstring>A parameter has a value that is not allowed.</faultstring><detail><c:error xmlns:c="urn:chatgate:chat:v1"><c:code>INCORRECT_PARAM</c:code><c:request_id>r1</c:request_id><c:delivery>not_sent</c:delivery></c:error></detail></s:Fault></s:Body></s:Envelope>
    INCORRECT_PARAM (all): 500
        <?xml version="1.0" encoding="utf-8"?>
    <s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>s:Client</faultcode><faultstring>An idempotency key has 1 to 255 visible ASCII characters.</faultstring><detail><c:error xmlns:c="urn:chatgate:chat:v1"><c:code>INCORRECT_PARAM</c:code><c:request_id>r1</c:request_id><c:delivery>not_sent</c:delivery></c:error></detail></s:Fault></s:Body></s:Envelope>
    INCORRECT_PARAM (getevents): 500
        <?xml version="1.0" encoding="utf-8"?>
    <s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>s:Client</faultcode><faultstring>The parameter cursor is longer than 13 bytes.</faultstring><detail><c:error xmlns:c="urn:chatgate:chat:v1"><c:code>INCORRECT_PARAM</c:code><c:request_id>r1</c:request_id><c:delivery>not_sent</c:delivery></c:error></detail></s:Fault></s:Body></s:Envelope>
    INCORRECT_PARAM (sendmessage sendfile getmessages getunreadmessages): 500
        <?xml version="1.0" encoding="utf-8"?>
    <s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>s:Client</faultcode><faultstring>The parameter destination is longer than 128 bytes.</faultstring><detail><c:error xmlns:c="urn:chatgate:chat:v1"><c:code>INCORRECT_PARAM</c:code><c:request_id>r1</c:request_id><c:delivery>not_sent</c:delivery></c:error></detail></s:Fault></s:Body></s:Envelope>
    INCORRECT_PARAM (sendfile): 500
        <?xml version="1.0" encoding="utf-8"?>
    <s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>s:Client</faultcode><faultstring>The parameter fileurl is longer than 2048 bytes.</faultstring><detail><c:error xmlns:c="urn:chatgate:chat:v1"><c:code>INCORRECT_PARAM</c:code><c:request_id>r1</c:request_id><c:delivery>not_sent</c:delivery></c:error></detail></s:Fault></s:Body></s:Envelope>
    INCORRECT_PARAM (getevents): 500
        <?xml version="1.0" encoding="utf-8"?>
    <s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>s:Client</faultcode><faultstring>The parameter limit is longer than 5 bytes.</faultstring><detail><c:error xmlns:c="urn:chatgate:chat:v1"><c:code>INCORRECT_PARAM</c:code><c:request_id>r1</c:request_id><c:delivery>not_sent</c:delivery></c:error></detail></s:Fault></s:Body></s:Envelope>
    INCORRECT_PARAM (sendmessage sendfile getchats getmessages getunreadmessages getevents): 500
        <?xml version="1.0" encoding="utf-8"?>
    <s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>s:Client</faultcode><faultstring>The parameter platform is longer than 128 bytes.</faultstring><detail><c:error xmlns:c="urn:chatgate:chat:v1"><c:code>INCORRECT_PARAM</c:code><c:request_id>r1</c:request_id><c:delivery>not_sent</c:delivery></c:error></detail></s:Fault></s:Body></s:Envelope>
    INCORRECT_PARAM (sendmessage sendfile getchats getmessages getunreadmessages getevents): 500
        <?xml version="1.0" encoding="utf-8"?>
    <s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>s:Client</faultcode><faultstring>The parameter platformid is longer than 128 bytes.</faultstring><detail><c:error xmlns:c="urn:chatgate:chat:v1"><c:code>INCORRECT_PARAM</c:code><c:request_id>r1</c:request_id><c:delivery>not_sent</c:delivery></c:error></detail></s:Fault></s:Body></s:Envelope>
    INCORRECT_PARAM (sendfile): 500
        <?xml version="1.0" encoding="utf-8"?>
    <s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>s:Client</faultcode><faultstring>The parameter thumburl is longer than 2048 bytes.</faultstring><detail><c:error xmlns:c="urn:chatgate:chat:v1"><c:code>INCORRECT_PARAM</c:code><c:request_id>r1</c:request_id><c:delivery>not_sent</c:delivery></c:error></detail></s:Fault></s:Body></s:Envelope>
    INCORRECT_PARAM (sendfile): 500
        <?xml version="1.0" encoding="utf-8"?>
    <s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>s:Client</faultcode><faultstring>The parameter type is longer than 128 bytes.</faultstring><detail><c:error xmlns:c="urn:chatgate:chat:v1"><c:code>INCORRECT_PARAM</c:code><c:request_id>r1</c:request_id><c:delivery>not_sent</c:delivery></c:error></detail></s:Fault></s:Body></s:Envelope>
    INCORRECT_PARAM (getevents): 500
        <?xml version="1.0" encoding="utf-8"?>
    <s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>s:Client</faultcode><faultstring>The parameter types is longer than 128 bytes.</faultstring><detail><c:error xmlns:c="urn:chatgate:chat:v1"><c:code>INCORRECT_PARAM</c:code><c:request_id>r1</c:request_id><c:delivery>not_sent</c:delivery></c:error></detail></s:Fault></s:Body></s:Envelope>
    INCORRECT_PARAM (getevents): 500
        <?xml version="1.0" encoding="utf-8"?>
    <s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>s:Client</faultcode><faultstring>The parameter wait is longer than 5 bytes.</faultstring><detail><c:error xmlns:c="urn:chatgate:chat:v1"><c:code>INCORRECT_PARAM</c:code><c:request_id>r1</c:request_id><c:delivery>not_sent</c:delivery></c:error></detail></s:Fault></s:Body></s:Envelope>
    INCORRECT_THUMBURL (sendfile): 500
        <?xml version="1.0" encoding="utf-8"?>
    <s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>s:Client</faultcode><faultstring>The thumbnail URL is not an allowed public URL.</faultstring><detail><c:error xmlns:c="urn:chatgate:chat:v1"><c:code>INCORRECT_THUMBURL</c:code><c:request_id>r1</c:request_id><c:delivery>not_sent</c:delivery></c:error></detail></s:Fault></s:Body></s:Envelope>
    INCORRECT_USER_PASSWORD (all): 500
        <?xml version="1.0" encoding="utf-8"?>
    <s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>s:Client</faultcode><faultstring>The user or the password is wrong.</faultstring><detail><c:error xmlns:c="urn:chatgate:chat:v1"><c:code>INCORRECT_USER_PASSWORD</c:code><c:request_id>r1</c:request_id><c:delivery>not_sent</c:delivery></c:error></detail></s:Fault></s:Body></s:Envelope>
    IP_NOT_ALLOWED (all): 500
        <?xml version="1.0" encoding="utf-8"?>
    <s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>s:Client</faultcode><faultstring>Calls from this address are not allowed.</faultstring><detail><c:error xmlns:c="urn:chatgate:chat:v1"><c:code>IP_NOT_ALLOWED</c:code><c:request_id>r1</c:request_id><c:delivery>not_sent</c:delivery></c:error></detail></s:Fault></s:Body></s:Envelope>
    MALFORMED_REQUEST (all): 500
        <?xml version="1.0" encoding="utf-8"?>
    <s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>s:Client</faultcode><faultstring>The XML can't be read. A DOCTYPE is not allowed. (At or after byte 0.)</faultstring><detail><c:error xmlns:c="urn:chatgate:chat:v1"><c:code>MALFORMED_REQUEST</c:code><c:request_id>r1</c:request_id><c:delivery>not_sent</c:delivery></c:error></detail></s:Fault></s:Body></s:Envelope>
    MISSING_COMPULSORY_PARAM (sendmessage sendfile getmessages getunreadmessages): 500
        <?xml version="1.0" encoding="utf-8"?>
    <s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>s:Client</faultcode><faultstring>The compulsory parameter destination is missing.</faultstring><detail><c:error xmlns:c="urn:chatgate:chat:v1"><c:code>MISSING_COMPULSORY_PARAM</c:code><c:request_id>r1</c:request_id><c:delivery>not_sent</c:delivery></c:error></detail></s:Fault></s:Body></s:Envelope>
    MISSING_COMPULSORY_PARAM (sendfile): 500
        <?xml version="1.0" encoding="utf-8"?>
    <s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>s:Client</faultcode><faultstring>The compulsory parameter fileurl is missing.</faultstring><detail><c:error xmlns:c="urn:chatgate:chat:v1"><c:code>MISSING_COMPULSORY_PARAM</c:code><c:request_id>r1</c:request_id><c:delivery>not_sent</c:delivery></c:error></detail></s:Fault></s:Body></s:Envelope>
    MISSING_COMPULSORY_PARAM (sendmessage): 500
        <?xml version="1.0" encoding="utf-8"?>
    <s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>s:Client</faultcode><faultstring>The compulsory parameter message is missing.</faultstring><detail><c:error xmlns:c="urn:chatgate:chat:v1"><c:code>MISSING_COMPULSORY_PARAM</c:code><c:request_id>r1</c:request_id><c:delivery>not_sent</c:delivery></c:error></detail></s:Fault></s:Body></s:Envelope>
    MISSING_COMPULSORY_PARAM (sendmessage sendfile getchats getmessages getunreadmessages): 500
        <?xml version="1.0" encoding="utf-8"?>
    <s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>s:Client</faultcode><faultstring>The compulsory parameter platform is missing.</faultstring><detail><c:error xmlns:c="urn:chatgate:chat:v1"><c:code>MISSING_COMPULSORY_PARAM</c:code><c:request_id>r1</c:request_id><c:delivery>not_sent</c:delivery></c:error></detail></s:Fault></s:Body></s:Envelope>
    MISSING_COMPULSORY_PARAM (sendmessage sendfile getchats getmessages getunreadmessages): 500
        <?xml version="1.0" encoding="utf-8"?>
    <s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>s:Client</faultcode><faultstring>The compulsory parameter platformid is missing.</faultstring><detail><c:error xmlns:c="urn:chatgate:chat:v1"><c:code>MISSING_COMPULSORY_PARAM</c:code><c:request_id>r1</c:request_id><c:delivery>not_sent</c:delivery></c:error></detail></s:Fault></s:Body></s:Envelope>
    MISSING_COMPULSORY_PARAM (sendfile): 500
        <?xml version="1.0" encoding="utf-8"?>
    <s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>s:Client</faultcode><faultstring>The compulsory parameter type is missing.</faultstring><detail><c:error xmlns:c="urn:chatgate:chat:v1"><c:code>MISSING_COMPULSORY_PARAM</c:code><c:request_id>r1</c:request_id><c:delivery>not_sent</c:delivery></c:error></detail></s:Fault></s:Body></s:Envelope>
    MISSING_METHOD (all): 500
        <?xml version="1.0" encoding="utf-8"?>
    <s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>s:Client</faultcode><faultstring>The method is missing.</faultstring><detail><c:error xmlns:c="urn:chatgate:chat:v1"><c:code>MISSING_METHOD</c:code><c:request_id>r1</c:request_id><c:delivery>not_sent</c:delivery></c:error></detail></s:Fault></s:Body></s:Envelope>
    MISSING_PASSWORD (all): 500
        <?xml version="1.0" encoding="utf-8"?>
    <s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>s:Client</faultcode><faultstring>The password is missing.</faultstring><detail><c:error xmlns:c="urn:chatgate:chat:v1"><c:code>MISSING_PASSWORD</c:code><c:request_id>r1</c:request_id><c:delivery>not_sent</c:delivery></c:error></detail></s:Fault></s:Body></s:Envelope>
    MISSING_USER (all): 500
        <?xml version="1.0" encoding="utf-8"?>
    <s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>s:Client</faultcode><faultstring>The user is missing.</faultstring><detail><c:error xmlns:c="urn:chatgate:chat:v1"><c:code>MISSING_USER</c:code><c:request_id>r1</c:request_id><c:delivery>not_sent</c:delivery></c:error></detail></s:Fault></s:Body></s:Envelope>
    OPERATION_NOT_ALLOWED (all): 500
        <?xml version="1.0" encoding="utf-8"?>
    <s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>s:Client</faultcode><faultstring>This access may not use this way in, method, platform or channel, or credentials in a URL.</faultstring><detail><c:error xmlns:c="urn:chatgate:chat:v1"><c:code>OPERATION_NOT_ALLOWED</c:code><c:request_id>r1</c:request_id><c:delivery>not_sent</c:delivery></c:error></detail></s:Fault></s:Body></s:Envelope>
    RATE_LIMITED (all): 500
        <?xml version="1.0" encoding="utf-8"?>
    <s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>s:Client</faultcode><faultstring>Too many calls; try again later.</faultstring><detail><c:error xmlns:c="urn:chatgate:chat:v1"><c:code>RATE_LIMITED</c:code><c:request_id>r1</c:request_id><c:delivery>not_sent</c:delivery><c:retry_after>N</c:retry_after></c:error></detail></s:Fault></s:Body></s:Envelope>
    REQUEST_TOO_LARGE (all): 500
        <?xml version="1.0" encoding="utf-8"?>
    <s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>s:Client</faultcode><faultstring>The body is larger than 8192 bytes.</faultstring><detail><c:error xmlns:c="urn:chatgate:chat:v1"><c:code>REQUEST_TOO_LARGE</c:code><c:request_id>r1</c:request_id><c:delivery>not_sent</c:delivery></c:error></detail></s:Fault></s:Body></s:Envelope>
    SOMETHING_NEW_7 (getchatchannels getchats getmessages getunreadmessages): 500
        <?xml version="1.0" encoding="utf-8"?>
    <s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>s:Server</faultcode><faultstring>The chat service refused the call.</faultstring><detail><c:error xmlns:c="urn:chatgate:chat:v1"><c:code>SOMETHING_NEW_7</c:code><c:request_id>r1</c:request_id></c:error></detail></s:Fault></s:Body></s:Envelope>
    SOMETHING_NEW_7 (sendmessage sendfile): 500
        <?xml version="1.0" encoding="utf-8"?>
    <s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>s:Server</faultcode><faultstring>The chat service refused the call.</faultstring><detail><c:error xmlns:c="urn:chatgate:chat:v1"><c:code>SOMETHING_NEW_7</c:code><c:request_id>r1</c:request_id><c:delivery>not_sent</c:delivery></c:error></detail></s:Fault></s:Body></s:Envelope>
    SUCCESS (getchatchannels): 200
        <?xml version="1.0" encoding="utf-8"?>
    <s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><c:getchatchannelsResponse xmlns:c="urn:chatgate:chat:v1"><c:request_id>r1</c:request_id><c:list><c:item><c:platformid>1</c:platformid><c:platform>webchat</c:platform><c:name>Website</c:name></c:item><c:item><c:platformid>2</c:platformid><c:platform>webchat</c:platform><c:name>Help pages</c:name></c:item><c:item><c:platformid>100</c:platformid><c:platform>whatsapp</c:platform><c:name>Sales</c:name></c:item><c:item><c:platformid>200</c:platformid><c:platform>telegram</c:platform><c:name>Support</c:name></c:item><c:item><c:platformid>300</c:platformid><c:platform>operator</c:platform><c:name>Front desk</c:name></c:item></c:list></c:getchatchannelsResponse></s:Body></s:Envelope>
    SUCCESS (getchats): 200
        <?xml version="1.0" encoding="utf-8"?>
    <s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><c:getchatsResponse xmlns:c="urn:chatgate:chat:v1"><c:request_id>r1</c:request_id><c:list><c:item><c:platformid>200</c:platformid><c:platform>telegram</c:platform><c:message>Hello</c:message><c:destination>700100</c:destination><c:messageid>31</c:messageid><c:sent>1</c:sent><c:status>sent</c:status><c:datetime>(datetime)</c:datetime></c:item></c:list></c:getchatsResponse></s:Body></s:Envelope>
    SUCCESS (getevents): 200
        <?xml version="1.0" encoding="utf-8"?>
    <s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><c:geteventsResponse xmlns:c="urn:chatgate:chat:v1"><c:request_id>r1</c:request_id><c:list></c:list><c:cursor>(cursor)</c:cursor><c:more>0</c:more><c:reset>0</c:reset></c:geteventsResponse></s:Body></s:Envelope>
    SUCCESS (getmessages): 200
        <?xml version="1.0" encoding="utf-8"?>
    <s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><c:getmessagesResponse xmlns:c="urn:chatgate:chat:v1"><c:request_id>r1</c:request_id><c:list><c:item><c:platformid>200</c:platformid><c:platform>telegram</c:platform><c:message>My parcel has not come yet.</c:message><c:destination>700100</c:destination><c:messageid>3</c:messageid><c:sent>0</c:sent><c:status>received</c:status><c:datetime>(datetime)</c:datetime></c:item><c:item><c:platformid>200</c:platformid><c:platform>telegram</c:platform><c:message>It is on its way and comes tomorrow.</c:message><c:destination>700100</c:destination><c:messageid>4</c:messageid><c:sent>1</c:sent><c:status>sent</c:status><c:datetime>(datetime)</c:datetime></c:item><c:item><c:platformid>200</c:platformid><c:platform>telegram</c:platform><c:message>Hello</c:message><c:destination>700100</c:destination><c:messageid>8</c:messageid><c:sent>1</c:sent><c:status>sent</c:status><c:datetime>(datetime)</c:datetime></c:item><c:item><c:platformid>200</c:platformid><c:platform>telegram</c:platform><c:message>Hello</c:message><c:destination>700100</c:destination><c:messageid>9</c:messageid><c:sent>1</c:sent><c:status>sent</c:status><c:datetime>(datetime)</c:datetime></c:item><c:item><c:platformid>200</c:platformid><c:platform>telegram</c:platform><c:message>Hello</c:message><c:destination>700100</c:destination><c:messageid>10</c:messageid><c:sent>1</c:sent><c:status>sent</c:status><c:datetime>(datetime)</c:datetime></c:item><c:item><c:platformid>200</c:platformid><c:platform>telegram</c:platform><c:message>Hello</c:message><c:destination>700100</c:destination><c:messageid>11</c:messageid><c:sent>1</c:sent><c:status>sent</c:status><c:datetime>(datetime)</c:datetime></c:item><c:item><c:platformid>200</c:platformid><c:platform>telegram</c:platform><c:message>Hello</c:message><c:destination>700100</c:destination><c:messageid>12</c:messageid><c:sent>1</c:sent><c:status>sent</c:status><c:datetime>(datetime)</c:datetime></c:item><c:item><c:platformid>200</c:platformid><c:platform>telegram</c:platform><c:message>Hello</c:message><c:destination>700100</c:destination><c:messageid>13</c:messageid><c:sent>1</c:sent><c:status>sent</c:status><c:datetime>(datetime)</c:datetime></c:item><c:item><c:platformid>200</c:platformid><c:platform>telegram</c:platform><c:message>Hello</c:message><c:destination>700100</c:destination><c:messageid>14</c:messageid><c:sent>1</c:sent><c:status>sent</c:status><c:datetime>(datetime)</c:datetime></c:item><c:item><c:platformid>200</c:platformid><c:platform>telegram</c:platform><c:message>Hello</c:message><c:destination>700100</c:destination><c:messageid>15</c:messageid><c:sent>1</c:sent><c:status>sent</c:status><c:datetime>(datetime)</c:datetime></c:item><c:item><c:platformid>200</c:platformid><c:platform>telegram</c:platform><c:message>Hello</c:message><c:destination>700100</c:destination><c:messageid>16</c:messageid><c:sent>1</c:sent><c:status>sent</c:status><c:datetime>(datetime)</c:datetime></c:item><c:item><c:platformid>200</c:platformid><c:platform>telegram</c:platform><c:message>Hello</c:message><c:destination>700100</c:destination><c:messageid>17</c:messageid><c:sent>1</c:sent><c:status>sent</c:status><c:datetime>(datetime)</c:datetime></c:item><c:item><c:platformid>200</c:platformid><c:platform>telegram</c:platform><c:message>Hello</c:message><c:destination>700100</c:destination><c:messageid>18</c:messageid><c:sent>1</c:sent><c:status>sent</c:status><c:datetime>(datetime)</c:datetime></c:item><c:item><c:platformid>200</c:platformid><c:platform>telegram</c:platform><c:message>Hello</c:message><c:destination>700100</c:destination><c:messageid>19</c:messageid><c:sent>1</c:sent><c:status>sent</c:status><c:datetime>(datetime)</c:datetime></c:item><c:item><c:platformid>200</c:platformid><c:platform>telegram</c:platform><c:message>Hello</c:message><c:destination>700100</c:destination><c:messageid>20</c:messageid><c:sent>1</c:sent><c:status>sent</c:status><c:datetime>(datetime)</c:datetime></c:item><c:item><c:platformid>200</c:platformid><c:platform>telegram</c:platform><c:message>Hello</c:message><c:destination>700100</c:destination><c:messageid>21</c:messageid><c:sent>1</c:sent><c:status>sent</c:status><c:datetime>(datetime)</c:datetime></c:item><c:item><c:platformid>200</c:platformid><c:platform>telegram</c:platform><c:message>Hello</c:message><c:destination>700100</c:destination><c:messageid>22</c:messageid><c:sent>1</c:sent><c:status>sent</c:status><c:datetime>(datetime)</c:datetime></c:item><c:item><c:platformid>200</c:platformid><c:platform>telegram</c:platform><c:message>Hello</c:message><c:destination>700100</c:destination><c:messageid>23</c:messageid><c:sent>1</c:sent><c:status>sent</c:status><c:datetime>(datetime)</c:datetime></c:item><c:item><c:platformid>200</c:platformid><c:platform>telegram</c:platform><c:message>Hello</c:message><c:destination>700100</c:destination><c:messageid>24</c:messageid><c:sent>1</c:sent><c:status>sent</c:status><c:datetime>(datetime)</c:datetime></c:item><c:item><c:platformid>200</c:platformid><c:platform>telegram</c:platform><c:message>Hello</c:message><c:destination>700100</c:destination><c:messageid>25</c:messageid><c:sent>1</c:sent><c:status>sent</c:status><c:datetime>(datetime)</c:datetime></c:item><c:item><c:platformid>200</c:platformid><c:platform>telegram</c:platform><c:message>Hello</c:message><c:destination>700100</c:destination><c:messageid>26</c:messageid><c:sent>1</c:sent><c:status>sent</c:status><c:datetime>(datetime)</c:datetime></c:item><c:item><c:platformid>200</c:platformid><c:platform>telegram</c:platform><c:message>Hello</c:message><c:destination>700100</c:destination><c:messageid>27</c:messageid><c:sent>1</c:sent><c:status>sent</c:status><c:datetime>(datetime)</c:datetime></c:item><c:item><c:platformid>200</c:platformid><c:platform>telegram</c:platform><c:message>Hello</c:message><c:destination>700100</c:destination><c:messageid>28</c:messageid><c:sent>1</c:sent><c:status>sent</c:status><c:datetime>(datetime)</c:datetime></c:item><c:item><c:platformid>200</c:platformid><c:platform>telegram</c:platform><c:message>Hello</c:message><c:destination>700100</c:destination><c:messageid>29</c:messageid><c:sent>1</c:sent><c:status>sent</c:status><c:datetime>(datetime)</c:datetime></c:item><c:item><c:platformid>200</c:platformid><c:platform>telegram</c:platform><c:message>Hello</c:message><c:destination>700100</c:destination><c:messageid>30</c:messageid><c:sent>1</c:sent><c:status>sent</c:status><c:datetime>(datetime)</c:datetime></c:item><c:item><c:platformid>200</c:platformid><c:platform>telegram</c:platform><c:message>Hello</c:message><c:destination>700100</c:destination><c:messageid>31</c:messageid><c:sent>1</c:sent><c:status>sent</c:status><c:datetime>(datetime)</c:datetime></c:item></c:list></c:getmessagesResponse></s:Body></s:Envelope>
    SUCCESS (getunreadmessages): 200
        <?xml version="1.0" encoding="utf-8"?>
    <s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><c:getunreadmessagesResponse xmlns:c="urn:chatgate:chat:v1"><c:request_id>r1</c:request_id><c:list></c:list></c:getunreadmessagesResponse></s:Body></s:Envelope>
    SUCCESS (sendfile): 200
        <?xml version="1.0" encoding="utf-8"?>
    <s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><c:sendfileResponse xmlns:c="urn:chatgate:chat:v1"><c:request_id>r1</c:request_id><c:delivery>sent</c:delivery></c:sendfileResponse></s:Body></s:Envelope>
    SUCCESS (sendmessage): 200
        <?xml version="1.0" encoding="utf-8"?>
    <s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><c:sendmessageResponse xmlns:c="urn:chatgate:chat:v1"><c:request_id>r1</c:request_id><c:delivery>sent</c:delivery></c:sendmessageResponse></s:Body></s:Envelope>
    TOO_MANY_FAILURES (all): 500
        <?xml version="1.0" encoding="utf-8"?>
    <s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>s:Client</faultcode><faultstring>Too many wrong credentials; try again later.</faultstring><detail><c:error xmlns:c="urn:chatgate:chat:v1"><c:code>TOO_MANY_FAILURES</c:code><c:request_id>r1</c:request_id><c:delivery>not_sent</c:delivery><c:retry_after>N</c:retry_after></c:error></detail></s:Fault></s:Body></s:Envelope>
    UNSUPPORTED_MEDIA_TYPE (all): 500
        <?xml version="1.0" encoding="utf-8"?>
    <s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>s:Client</faultcode><faultstring>This media type is not supported here.</faultstring><detail><c:error xmlns:c="urn:chatgate:chat:v1"><c:code>UNSUPPORTED_MEDIA_TYPE</c:code><c:request_id>r1</c:request_id><c:delivery>not_sent</c:delivery></c:error></detail></s:Fault></s:Body></s:Envelope>
    UPSTREAM_ERROR (getchatchannels getchats getmessages getunreadmessages): 500
        <?xml version="1.0" encoding="utf-8"?>
    <s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>s:Server</faultcode><faultstring>The chat service gave no usable answer.</faultstring><detail><c:error xmlns:c="urn:chatgate:chat:v1"><c:code>UPSTREAM_ERROR</c:code><c:request_id>r1</c:request_id></c:error></detail></s:Fault></s:Body></s:Envelope>
    UPSTREAM_ERROR (sendmessage sendfile): 500
        <?xml version="1.0" encoding="utf-8"?>
    <s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>s:Server</faultcode><faultstring>The chat service gave no usable answer.</faultstring><detail><c:error xmlns:c="urn:chatgate:chat:v1"><c:code>UPSTREAM_ERROR</c:code><c:request_id>r1</c:request_id><c:delivery>unknown</c:delivery></c:error></detail></s:Fault></s:Body></s:Envelope>
    UPSTREAM_REFUSED_CREDENTIALS (getchatchannels getchats getmessages getunreadmessages): 500
        <?xml version="1.0" encoding="utf-8"?>
    <s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>s:Server</faultcode><faultstring>The chat service refused the gateway's own account.</faultstring><detail><c:error xmlns:c="urn:chatgate:chat:v1"><c:code>UPSTREAM_REFUSED_CREDENTIALS</c:code><c:request_id>r1</c:request_id></c:error></detail></s:Fault></s:Body></s:Envelope>
    UPSTREAM_REFUSED_CREDENTIALS (sendmessage sendfile): 500
        <?xml version="1.0" encoding="utf-8"?>
    <s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>s:Server</faultcode><faultstring>The chat service refused the gateway's own account.</faultstring><detail><c:error xmlns:c="urn:chatgate:chat:v1"><c:code>UPSTREAM_REFUSED_CREDENTIALS</c:code><c:request_id>r1</c:request_id><c:delivery>not_sent</c:delivery></c:error></detail></s:Fault></s:Body></s:Envelope>
    UPSTREAM_TIMEOUT (getchatchannels getchats getmessages getunreadmessages): 500
        <?xml version="1.0" encoding="utf-8"?>
    <s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>s:Server</faultcode><faultstring>The chat service did not answer in time.</faultstring><detail><c:error xmlns:c="urn:chatgate:chat:v1"><c:code>UPSTREAM_TIMEOUT</c:code><c:request_id>r1</c:request_id></c:error></detail></s:Fault></s:Body></s:Envelope>
    UPSTREAM_TIMEOUT (sendmessage sendfile): 500
        <?xml version="1.0" encoding="utf-8"?>
    <s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>s:Server</faultcode><faultstring>The chat service did not answer in time.</faultstring><detail><c:error xmlns:c="urn:chatgate:chat:v1"><c:code>UPSTREAM_TIMEOUT</c:code><c:request_id>r1</c:request_id><c:delivery>unknown</c:delivery></c:error></detail></s:Fault></s:Body></s:Envelope>
    UPSTREAM_UNAVAILABLE (sendmessage sendfile): 500
        <?xml version="1.0" encoding="utf-8"?>
    <s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>s:Server</faultcode><faultstring>The chat service can't be reached.</faultstring><detail><c:error xmlns:c="urn:chatgate:chat:v1"><c:code>UPSTREAM_UNAVAILABLE</c:code><c:request_id>r1</c:request_id><c:delivery>not_sent</c:delivery><c:retry_after>N</c:retry_after></c:error></detail></s:Fault></s:Body></s:Envelope>
    UPSTREAM_UNAVAILABLE (getchatchannels getchats getmessages getunreadmessages): 500
        <?xml version="1.0" encoding="utf-8"?>
    <s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>s:Server</faultcode><faultstring>The chat service can't be reached.</faultstring><detail><c:error xmlns:c="urn:chatgate:chat:v1"><c:code>UPSTREAM_UNAVAILABLE</c:code><c:request_id>r1</c:request_id><c:retry_after>N</c:retry_after></c:error></detail></s:Fault></s:Body></s:Envelope>
    "#);
}
