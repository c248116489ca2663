//! The cells: the fault of a call, by way and operation.

use adapter::{Effect, Operation, Way};
use reqwest::Method;
use serde_json::json;

use super::stage::Cell;

/// Returns the cells of one operation by one way, each with the word that its answer must contain.
pub(super) fn cells(way: Way, operation: &'static Operation) -> Vec<(&'static str, Cell)> {
    let mut cells = vec![("SUCCESS", Cell::default())];
    credential_cells(way, &mut cells);
    call_cells(way, operation, &mut cells);
    refusal_cells(way, &mut cells);
    if operation.effect != Effect::Watch {
        upstream_cells(operation, &mut cells);
    }
    cells
}

fn credential_cells(way: Way, cells: &mut Vec<(&'static str, Cell)>) {
    let without = |name| Cell {
        without: vec![name],
        ..Cell::default()
    };
    if way == Way::Jwt {
        cells.push(("MISSING_TOKEN", without("token")));
        cells.push((
            "INCORRECT_TOKEN",
            Cell {
                bearer: Some("a.b.c"),
                ..Cell::default()
            },
        ));
        cells.push((
            "INCORRECT_TOKEN",
            Cell {
                access: Some("nobody"),
                ..Cell::default()
            },
        ));
        cells.push((
            "EXPIRED_TOKEN",
            Cell {
                token_life_s: Some(-300),
                ..Cell::default()
            },
        ));
    } else {
        cells.push(("MISSING_USER", without("user")));
        cells.push(("MISSING_PASSWORD", without("password")));
        let wrong = "cgs_wrong-wrong-wrong-wrong-wrong-wrong-wrong-w";
        cells.push((
            "INCORRECT_USER_PASSWORD",
            Cell {
                secret: Some(wrong),
                ..Cell::default()
            },
        ));
        cells.push((
            "INCORRECT_USER_PASSWORD",
            Cell {
                access: Some("nobody"),
                ..Cell::default()
            },
        ));
    }
}

fn call_cells(way: Way, operation: &'static Operation, cells: &mut Vec<(&'static str, Cell)>) {
    let without = |name| Cell {
        without: vec![name],
        ..Cell::default()
    };
    let with = |name, value| Cell {
        with: vec![(name, value)],
        ..Cell::default()
    };
    if way != Way::Soap {
        cells.push(("MISSING_CLASS", without("class")));
        cells.push(("INCORRECT_CLASS", with("class", "sms")));
    }
    cells.push(("MISSING_METHOD", without("method")));
    cells.push(("INCORRECT_METHOD", with("method", "getnothing")));
    for parameter in operation.parameters {
        if parameter.compulsory {
            cells.push(("MISSING_COMPULSORY_PARAM", without(parameter.name)));
        }
        let long = Box::leak("x".repeat(parameter.kind.bytes_max() + 1).into_boxed_str());
        if parameter.kind.bytes_max() < 4096 {
            cells.push(("INCORRECT_PARAM", with(parameter.name, long)));
        }
    }
    cells.push(("INCORRECT_PARAM", with("idempotency_key", "a key")));
    let has = |name| {
        operation
            .parameters
            .iter()
            .any(|parameter| parameter.name == name)
    };
    if has("platform") {
        cells.push(("CHANNEL_NOT_FOUND", with("platform", "fax")));
    }
    if has("platform") && operation.effect != Effect::Watch {
        cells.push(("CHANNEL_NOT_FOUND", with("platformid", "999")));
    }
    if has("destination") && operation.method != "sendmessage" {
        cells.push(("CHAT_NOT_FOUND", with("destination", "nobody")));
    }
    if operation.effect == Effect::Watch {
        cells.push(("INCORRECT_PARAM", with("cursor", "yesterday")));
        cells.push(("INCORRECT_PARAM", with("wait", "26")));
        cells.push(("INCORRECT_PARAM", with("types", "message.lost")));
    }
    if has("fileurl") {
        cells.push(("INCORRECT_FILETYPE", with("type", "hologram")));
        cells.push((
            "INCORRECT_FILEURL",
            with("fileurl", "http://10.0.0.1/a.png"),
        ));
        cells.push(("INCORRECT_THUMBURL", with("thumburl", "file:///etc/passwd")));
    }
}

fn refusal_cells(way: Way, cells: &mut Vec<(&'static str, Cell)>) {
    let of = |access| Cell {
        access: Some(access),
        ..Cell::default()
    };
    cells.push((
        "IP_NOT_ALLOWED",
        Cell {
            from: Some([127, 0, 0, 66]),
            ..Cell::default()
        },
    ));
    cells.push(("IP_NOT_ALLOWED", of("elsewhere")));
    cells.push(("ACCESS_DISABLED", of("suspended")));
    cells.push(("OPERATION_NOT_ALLOWED", of("wayless")));
    cells.push(("OPERATION_NOT_ALLOWED", of("idle")));
    cells.push(("RATE_LIMITED", of("slow")));
    cells.push((
        "TOO_MANY_FAILURES",
        Cell {
            after_a_guess: true,
            ..Cell::default()
        },
    ));
    cells.push((
        "HTTP_METHOD_NOT_ALLOWED",
        Cell {
            method: Some(Method::DELETE),
            ..Cell::default()
        },
    ));
    let unreadable = match way {
        Way::Soap => "<!DOCTYPE x><x/>".to_owned(),
        Way::Http | Way::Basic | Way::Jwt => "message=%ff".to_owned(),
    };
    cells.push((
        "MALFORMED_REQUEST",
        Cell {
            body: Some(unreadable),
            ..Cell::default()
        },
    ));
    cells.push((
        "UNSUPPORTED_MEDIA_TYPE",
        Cell {
            content_type: Some("text/csv"),
            ..Cell::default()
        },
    ));
    cells.push((
        "REQUEST_TOO_LARGE",
        Cell {
            body: Some("x".repeat(9000)),
            ..Cell::default()
        },
    ));
}

fn upstream_cells(operation: &'static Operation, cells: &mut Vec<(&'static str, Cell)>) {
    let fault = |fault| Cell {
        fault: Some(fault),
        ..Cell::default()
    };
    let says = |code: &str| fault(json!({"fault": "error_code", "code": code}));
    for code in operation.codes {
        cells.push((code.word(), says(code.word())));
    }
    cells.push((
        "UPSTREAM_REFUSED_CREDENTIALS",
        says("INCORRECT_USER_PASSWORD"),
    ));
    cells.push(("SOMETHING_NEW_7", says("SOMETHING_NEW_7")));
    cells.push(("UPSTREAM_ERROR", fault(json!({"fault": "http_500"}))));
    cells.push(("UPSTREAM_ERROR", fault(json!({"fault": "broken_json"}))));
    cells.push(("UPSTREAM_ERROR", fault(json!({"fault": "reset"}))));
    cells.push(("UPSTREAM_TIMEOUT", fault(json!({"fault": "no_answer"}))));
    cells.push((
        "UPSTREAM_UNAVAILABLE",
        Cell {
            dead_upstream: true,
            ..Cell::default()
        },
    ));
}
