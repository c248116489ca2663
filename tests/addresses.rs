//! Tests of the addresses that may call: the deployment's networks, the access's networks, and addresses that a trusted proxy
//! names.

use crate::harness::{Answer, Gateway, client_from};

const SECRET: &str = "cgs_addresses-addresses-addresses-addresses-ad";

const CONFIGURATION: &str = r#"
[server]
trusted_proxies = ["127.0.0.100/31"]
deny = ["127.0.0.66/32", "203.0.113.66/32"]
[[accesses]]
name = "a"
user = "a"
password = "env:SECRET"
allow = ["127.0.0.2/32", "203.0.113.0/24", "2001:db8::/32"]
deny = ["203.0.113.13/32"]
"#;

/// Makes a call from `source` with these `X-Forwarded-For` lines and returns its code and the address in the log.
async fn call(
    gateway: &Gateway,
    source: [u8; 4],
    forwarded: &[&str],
    secret: &str,
) -> (String, String) {
    let id = format!("{}-{}", source[3], gateway.request_log().len());
    let mut request = client_from(source.into())
        .post(gateway.url("/api/http/"))
        .header("X-Request-ID", &id)
        .body(format!(
            "class=chat&method=getchatchannels&user=a&password={secret}"
        ));
    for line in forwarded {
        request = request.header("X-Forwarded-For", *line);
    }
    let answer = Answer::of(request).await.json();
    let logged = gateway.logged(&id);
    let code = answer["error"].as_str().unwrap_or("SUCCESS").to_owned();
    (code, logged["client"].as_str().unwrap_or("none").to_owned())
}

#[expect(clippy::too_many_lines, reason = "a table, a row a case")]
#[tokio::test]
async fn the_resolved_client_address_is_checked_against_the_network_lists() {
    let gateway = Gateway::configured(CONFIGURATION, &[("SECRET", SECRET)]);
    for (source, forwarded, code, client) in [
        ([127, 0, 0, 2], &[][..], "SUCCESS", "127.0.0.2"),
        ([127, 0, 0, 3], &[], "IP_NOT_ALLOWED", "127.0.0.3"),
        ([127, 0, 0, 66], &[], "IP_NOT_ALLOWED", "127.0.0.66"),
        (
            [127, 0, 0, 3],
            &["127.0.0.2"],
            "IP_NOT_ALLOWED",
            "127.0.0.3",
        ),
        ([127, 0, 0, 100], &["203.0.113.7"], "SUCCESS", "203.0.113.7"),
        (
            [127, 0, 0, 100],
            &["203.0.113.7, 127.0.0.100"],
            "SUCCESS",
            "203.0.113.7",
        ),
        (
            [127, 0, 0, 100],
            &["6.6.6.6", "203.0.113.7"],
            "SUCCESS",
            "203.0.113.7",
        ),
        (
            [127, 0, 0, 100],
            &["203.0.113.7", "6.6.6.6"],
            "IP_NOT_ALLOWED",
            "6.6.6.6",
        ),
        (
            [127, 0, 0, 100],
            &["203.0.113.13"],
            "IP_NOT_ALLOWED",
            "203.0.113.13",
        ),
        (
            [127, 0, 0, 100],
            &["203.0.113.66"],
            "IP_NOT_ALLOWED",
            "203.0.113.66",
        ),
        (
            [127, 0, 0, 100],
            &["::ffff:203.0.113.7"],
            "SUCCESS",
            "203.0.113.7",
        ),
        (
            [127, 0, 0, 100],
            &["[2001:db8::1]:443"],
            "SUCCESS",
            "2001:db8::1",
        ),
        (
            [127, 0, 0, 100],
            &["2001:db9::1"],
            "IP_NOT_ALLOWED",
            "2001:db9::1",
        ),
        (
            [127, 0, 0, 100],
            &["0313.0.113.7"],
            "IP_NOT_ALLOWED",
            "none",
        ),
        ([127, 0, 0, 101], &["unknown"], "IP_NOT_ALLOWED", "none"),
    ] {
        assert_eq!(
            call(&gateway, source, forwarded, SECRET).await,
            (code.to_owned(), client.to_owned()),
            "{source:?} {forwarded:?}"
        );
    }
}

#[tokio::test]
async fn ip_not_allowed_is_returned_only_to_callers_with_the_secret() {
    let gateway = Gateway::configured(CONFIGURATION, &[("SECRET", SECRET)]);
    // From two addresses, because refusals of one address are counted together.
    for (last, wrong) in [(3, "cgs_wrong"), (4, "wrong")] {
        let reported = call(&gateway, [127, 0, 0, last], &[], wrong).await.0;
        assert_eq!(reported, "INCORRECT_USER_PASSWORD");
    }
    assert!(
        gateway
            .request_log()
            .iter()
            .all(|line| line["access"] == "")
    );
    // A caller with the secret is told about the networks, and the operator reads the access and the list that decided.
    let reported = call(&gateway, [127, 0, 0, 3], &[], SECRET).await.0;
    assert_eq!(reported, "IP_NOT_ALLOWED");
    let log = gateway.request_log();
    let refused = log.last().unwrap();
    assert_eq!(refused["access"], "a");
    assert_eq!(refused["cause"], "access networks: on no list");
}

#[tokio::test]
async fn an_unknown_user_and_a_wrong_password_get_identical_answers() {
    let gateway = Gateway::configured(CONFIGURATION, &[("SECRET", SECRET)]);
    for secret in ["cgs_wrong", "wrong"] {
        let ask = async |user: &str| {
            let body = format!("class=chat&method=getchatchannels&user={user}&password={secret}");
            let request = client_from([127, 0, 0, 2].into()).post(gateway.url("/api/http/"));
            let answer = Answer::of(request.header("X-Request-ID", "same").body(body)).await;
            let mut headers: Vec<_> = answer
                .headers
                .iter()
                .map(|(n, v)| format!("{n}: {v:?}"))
                .collect();
            headers.retain(|line| !line.starts_with("date") && !line.starts_with("ratelimit:"));
            (answer.status, headers, answer.body)
        };
        assert_eq!(ask("a").await, ask("nobody").await);
    }
}
