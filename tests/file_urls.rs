//! A send of a file whose URL leads inside the network is refused by every way in, and the upstream never sees it.

use adapter::Way;
use serde_json::Value;

use crate::harness::{Answer, Gateway, Sandbox, UPSTREAM_ENVIRONMENT, client, envelope};

/// One URL of each kind: addresses in several notations, names of the machine, of a network and of a cluster, userinfo, schemes.
const INSIDE: [&str; 14] = [
    "http://127.0.0.1/a.png",
    "http://0x7f.1/a.png",
    "http://2130706433/a.png",
    "http://10.0.0.1/a.png",
    "http://169.254.169.254/latest/meta-data/",
    "http://[::1]/a.png",
    "http://[::ffff:10.0.0.1]/a.png",
    "http://LocalHost:8080/a.png",
    "http://intranet/a.png",
    "http://nas.LAN./a.png",
    "http://api.default.svc/a.png",
    "http://%6cocalhost/a.png",
    "https://user@files.example.com/a.png",
    "file:///etc/passwd",
];

const OUTSIDE: &str = "https://files.example.com/a.png";

#[tokio::test]
async fn an_internal_file_url_is_rejected_by_every_way_in_and_never_forwarded() {
    let sandbox = Sandbox::start();
    let toml = sandbox.as_upstream() + "[limits]\nper_address_per_minute = 1000000\n";
    let gateway = Gateway::configured(&toml, &[UPSTREAM_ENVIRONMENT]);
    let token = token(&gateway).await;
    for way in Way::ALL {
        for url in INSIDE {
            for (urls, code) in [
                ((url, OUTSIDE), "INCORRECT_FILEURL"),
                ((OUTSIDE, url), "INCORRECT_THUMBURL"),
            ] {
                let body = send(&gateway, way, &token, urls).await;
                assert!(body.contains(code), "{way:?} {urls:?}: {body}");
                assert!(body.contains("not_sent"), "{way:?} {urls:?}: {body}");
            }
        }
    }
    assert_eq!(sandbox.sent().await["sends"], 0);
    // The same call with URLs that lead outside is sent.
    for way in Way::ALL {
        let body = send(&gateway, way, &token, (OUTSIDE, OUTSIDE)).await;
        assert!(
            !body.contains("ERROR") && body.contains("sent"),
            "{way:?}: {body}"
        );
    }
    assert_eq!(sandbox.sent().await["stored"], Way::ALL.len());
}

async fn token(gateway: &Gateway) -> String {
    let demo = gateway.demo();
    let answer = Answer::of(client().post(gateway.url("/oauth/token")).form(&[
        ("grant_type", "client_credentials"),
        ("client_id", &*demo.client_id),
        ("client_secret", &*demo.client_secret),
    ]))
    .await;
    let answer: Value = serde_json::from_str(&answer.body).unwrap();
    answer["access_token"].as_str().unwrap().to_owned()
}

/// Returns the body of the answer to a send of a file with these URLs of file and thumbnail.
async fn send(gateway: &Gateway, way: Way, token: &str, (file, thumb): (&str, &str)) -> String {
    let demo = gateway.demo();
    let credentials = [("user", &*demo.user), ("password", &*demo.password)];
    let call = [
        ("platform", "telegram"),
        ("platformid", "200"),
        ("destination", "700100"),
        ("type", "image"),
        ("fileurl", file),
        ("thumburl", thumb),
    ];
    let named = [&[("class", "chat"), ("method", "sendfile")], &call[..]].concat();
    let post = client().post(gateway.url(way.path()));
    let request = match way {
        Way::Http => post.form(&[&named[..], &credentials].concat()),
        Way::Basic => post
            .basic_auth(&demo.user, Some(&demo.password))
            .form(&named),
        Way::Jwt => post.bearer_auth(token).form(&named),
        Way::Soap => post
            .header("Content-Type", "text/xml")
            .body(envelope("sendfile", &[&call[..], &credentials].concat())),
    };
    Answer::of(request).await.body
}
