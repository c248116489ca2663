//! Judges the `Authorization` header. Input: its lines.

use adapter::{
    Adapter, Authorization, Code, PASSWORD_BYTES_MAX, StatusPolicy, USER_BYTES_MAX, Wire,
    read_authorization,
};
use adapter_basic::BasicAdapter;
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD};
use bytes::Bytes;
use http::HeaderMap;
use secrecy::ExposeSecret;

use crate::reading::{Reading, Who, headers};

/// Longest header that is read: a scheme and a token of 8 KiB.
const BYTES_MAX: usize = 8 * 1024 + 16;

pub(crate) fn judge(input: &[u8]) {
    let lines: Vec<_> = input.split(|byte| *byte == b'\n').collect();
    let named: Vec<_> = lines.iter().map(|line| ("authorization", *line)).collect();
    let Some(headers) = headers(&named) else {
        return;
    };
    let found = read_authorization(&headers);
    if lines.len() > 1 || lines[0].len() > BYTES_MAX {
        assert_eq!(
            found.map_err(|e| e.code()).err(),
            Some(Code::IncorrectParam)
        );
        return;
    }
    let found = found
        .expect("one header is no mistake")
        .expect("there is one");
    let line = String::from_utf8_lossy(lines[0]).into_owned();
    match &found {
        Authorization::Basic(user, password) => {
            let pair = match password {
                Some(password) => format!("{user}:{}", password.expose_secret()),
                None => user.clone(),
            };
            let token = credentials(&line, "basic").expect("the scheme is Basic");
            let bare = BASE64_STANDARD_NO_PAD.encode(&pair);
            let padded = BASE64_STANDARD.encode(&pair);
            assert!(
                token == bare || token == padded,
                "{token:?} was read as {pair:?}"
            );
            assert!(!user.contains(':') || password.is_none());
        }
        Authorization::BrokenBasic => {
            let token = credentials(&line, "basic").expect("the scheme is Basic");
            let decoded = BASE64_STANDARD
                .decode(&token)
                .or_else(|_| BASE64_STANDARD_NO_PAD.decode(&token));
            assert!(decoded.map_or(true, |bytes| String::from_utf8(bytes).is_err()));
        }
        Authorization::Bearer(token) => {
            let written = credentials(&line, "bearer").expect("the scheme is Bearer");
            assert_eq!(token.expose_secret().trim_end_matches(' '), written);
        }
        Authorization::Other => {
            let is_text = std::str::from_utf8(lines[0]).is_ok();
            assert!(
                !is_text
                    || ["basic", "bearer"]
                        .iter()
                        .all(|s| credentials(&line, s).is_none())
            );
        }
    }
    check_adapter(&found, &headers);
}

/// Checks that the adapter accepts exactly what a Basic header holds, within its limits.
fn check_adapter(found: &Authorization, headers: &HeaderMap) {
    let wire = Wire {
        query: "class=chat&method=getchatchannels",
        headers,
        body: &Bytes::new(),
    };
    let decoded = Reading::of(BasicAdapter::new(StatusPolicy::Compat).decode(&wire).1);
    if let Ok(reading) = decoded {
        let Authorization::Basic(user, Some(password)) = found else {
            panic!("credentials came of {found:?}");
        };
        let password = password.expose_secret().to_owned();
        assert!((1..=USER_BYTES_MAX).contains(&user.len()));
        assert!((1..=PASSWORD_BYTES_MAX).contains(&password.len()));
        assert!(!user.chars().chain(password.chars()).any(char::is_control));
        assert_eq!(reading.who, Who::Password(user.clone(), password));
    }
}

/// Returns the text after a scheme, without the spaces around it.
fn credentials(line: &str, scheme: &str) -> Option<String> {
    let (written, rest) = line.split_once(' ').unwrap_or((line, ""));
    let is = written.eq_ignore_ascii_case(scheme);
    is.then(|| rest.trim_matches(' ').to_owned())
}
