//! Tests of guessing secrets: the number of checked guesses, callers who still get in, and names that cannot be told apart.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use adapter::Way;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::harness::{Answer, Gateway, Issuer, client_from, envelope, load};

const RANDOM: &str = "cgs_guessing-guessing-guessing-guessing-guessin";
const CHOSEN: &str = "an owner's password";

/// An address in the owner's network, and one outside it.
const OWNER: [u8; 4] = [127, 0, 1, 1];
const ELSEWHERE: [u8; 4] = [127, 0, 2, 1];

/// Number of guesses for one name that addresses outside the owner's network have in any ten minutes: a third of the default.
const OUTSIDE: usize = 20;

const READ: &str = "class=chat&method=getchatchannels";

/// A wrong secret in either form.
const WRONG: [(&str, &str); 2] = [
    ("random", "cgs_wrong-wrong-wrong-wrong-wrong-wrong-wrong-w"),
    ("chosen", "wrong"),
];

/// Starts a gateway with these accesses, each by its name and the variable that holds its secret.
fn gateway(limits: &str, accesses: &[(&str, &str)]) -> Gateway {
    let mut toml = format!("[limits]\nper_address_per_minute = 1000000\n{limits}\n");
    for (name, secret) in accesses {
        write!(toml, "[[accesses]]\nname = \"{name}\"\nuser = \"{name}\"\npassword = \"env:{secret}\"\nallow = [\"127.0.1.0/24\"]\n").unwrap();
    }
    Gateway::configured(&toml, &[("RANDOM", RANDOM), ("CHOSEN", CHOSEN)])
}

/// The ways in that take a name and a secret; `None` is the token endpoint.
const DOORS: [Option<Way>; 4] = [Some(Way::Http), Some(Way::Basic), Some(Way::Soap), None];

fn ask(
    gateway: &Gateway,
    door: Option<Way>,
    (user, secret): (&str, &str),
    from: impl Into<IpAddr>,
) -> reqwest::RequestBuilder {
    let path = door.map_or("/oauth/token", Way::path);
    let request = client_from(from.into())
        .post(gateway.url(path))
        .header("X-Request-ID", "same");
    let call = [("class", "chat"), ("method", "getchatchannels")];
    let credentials = [("user", user), ("password", secret)];
    match door {
        Some(Way::Soap) => request
            .header("Content-Type", "text/xml")
            .body(envelope("getchatchannels", &credentials)),
        Some(Way::Basic) => {
            let basic = BASE64_STANDARD.encode(format!("{user}:{secret}"));
            request
                .header("Authorization", format!("Basic {basic}"))
                .form(&call)
        }
        Some(Way::Http | Way::Jwt) => request.form(&[call, credentials].concat()),
        None => request.form(&[
            ("grant_type", "client_credentials"),
            ("client_id", user),
            ("client_secret", secret),
        ]),
    }
}

/// Returns status, headers and body without the values that vary with time: the date, the calls left to the address, and the number
/// of seconds to wait.
pub(crate) fn seen(answer: &Answer) -> String {
    let wait = answer.header("retry-after");
    let changes = ["date", "ratelimit", "retry-after"];
    let mut text = answer.status.to_string();
    for (name, value) in &answer.headers {
        if !changes.contains(&name.as_str()) {
            write!(text, "\n{name}: {}", value.to_str().unwrap()).unwrap();
        }
    }
    let body = if wait.is_empty() {
        answer.body.clone()
    } else {
        // If there is only one guess, it becomes available again after ten minutes.
        let seconds: u32 = wait.parse().unwrap();
        assert!((500..=601).contains(&seconds), "{seconds}");
        text.push_str("\nretry-after: N");
        answer.body.replace(wait, "N")
    };
    text + "\n\n" + &body
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_from_hundreds_of_addresses_do_not_lock_out_the_owner() {
    let accesses = [("random", "RANDOM"), ("chosen", "CHOSEN")];
    let gateway = Arc::new(gateway("", &accesses));
    let mut guesses = tokio::task::JoinSet::new();
    for n in 0..400_u16 {
        let gateway = Arc::clone(&gateway);
        guesses.spawn(async move {
            let from = [127, 0, 2 + (n / 250) as u8, (n % 250) as u8 + 1];
            let secret = format!("cgs_{n}");
            let door = DOORS[usize::from(n) % 3];
            let answer = Answer::of(ask(&gateway, door, ("random", &secret), from)).await;
            assert!(!answer.body.contains("SUCCESS"), "{}", answer.body);
            answer.body.contains("INCORRECT_USER_PASSWORD")
        });
    }
    // Checking chosen passwords is expensive, so the test makes fewer guesses of them. The owner has called before, because the
    // queue time of a first call for its hash depends on the machine.
    let before = ask(&gateway, DOORS[0], ("chosen", CHOSEN), OWNER);
    assert_eq!(Answer::of(before).await.status, 200);
    let mut dear = tokio::task::JoinSet::new();
    for n in 0..60_u8 {
        let gateway = Arc::clone(&gateway);
        dear.spawn(async move {
            let secret = format!("guess {n}");
            let request = ask(&gateway, DOORS[0], ("chosen", &secret), [127, 0, 4, n + 1]);
            let body = Answer::of(request).await.body;
            body.contains("INCORRECT_USER_PASSWORD")
        });
    }
    for _ in 0..20 {
        for door in &DOORS[..3] {
            for owner in [("random", RANDOM), ("chosen", CHOSEN)] {
                let answer = Answer::of(ask(&gateway, *door, owner, OWNER)).await;
                assert_eq!(answer.status, 200, "{}", answer.body);
            }
        }
    }
    for (guesses, least) in [(guesses, 15), (dear, 1)] {
        let checked = guesses.join_all().await.into_iter().filter(|c| *c).count();
        assert!(
            (least..=OUTSIDE).contains(&checked),
            "{checked} were checked"
        );
    }
    // The right secret from another network does not get in.
    let right = Answer::of(ask(&gateway, DOORS[0], ("random", RANDOM), ELSEWHERE)).await;
    assert_eq!(right.json()["error"], "IP_NOT_ALLOWED");
    let metrics = gateway.metrics().await;
    assert!(metrics.contains("chatgate_denied_total{reason=\"TOO_MANY_FAILURES\"}"));
}

/// Guesses chosen passwords for names over its own connection until it is stopped. Returns the number of answers by code.
async fn guess_on(
    gateway: Arc<Gateway>,
    stop: Arc<AtomicBool>,
    (guesser, from): (usize, [u8; 4]),
) -> BTreeMap<String, usize> {
    let client = client_from(from.into());
    let mut answers = BTreeMap::new();
    for guess in 0.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        // Every name has its own budget, so an attacker who wants many hashes guesses for many names, which need not exist.
        let name = format!("name-{guesser}-{}", guess / 10);
        let call = client.post(gateway.url("/api/basic/"));
        let call = call.basic_auth(name, Some(format!("guess {guess}")));
        let said = Answer::of(call.body(READ)).await.json();
        let code = said["error"].as_str().unwrap_or("SUCCESS").to_owned();
        *answers.entry(code).or_default() += 1;
    }
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn every_first_login_succeeds_while_many_addresses_guess_passwords() {
    const OWNERS: usize = 10;
    let (connections, addresses) = (150, 45);
    let names: Vec<_> = (0..OWNERS).map(|n| format!("owner-{n}")).collect();
    let accesses: Vec<_> = names.iter().map(|name| (name.as_str(), "CHOSEN")).collect();
    let gateway = Arc::new(gateway("guesses_per_address = 100000", &accesses));
    let stop = Arc::new(AtomicBool::new(false));
    let mut guessers = tokio::task::JoinSet::new();
    for n in 0..connections {
        // Inside the networks of every name, where guessers are hardest to tell from owners.
        let from = [127, 0, 1, 100 + u8::try_from(n % addresses).unwrap()];
        guessers.spawn(guess_on(Arc::clone(&gateway), Arc::clone(&stop), (n, from)));
    }
    // Wait until all guessers are active: as many passwords have been checked as there are addresses, so that each address had its
    // turn.
    let began = Instant::now();
    let mark = "chatgate_requests_total{way=\"basic\"";
    let looked_at = async || {
        let metrics = gateway.metrics().await;
        let wrong = |line: &&str| line.starts_with(mark) && line.contains("INCORRECT");
        let counts = metrics.lines().filter(wrong);
        let counts = counts.filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok());
        counts.sum::<usize>()
    };
    while looked_at().await < addresses {
        assert!(began.elapsed().as_secs() < 60, "nobody guesses");
    }
    let began = Instant::now();
    let (mut right, mut slowest) = (0, std::time::Duration::ZERO);
    for (n, name) in names.iter().enumerate() {
        let from = [127, 0, 1, 1 + u8::try_from(n).unwrap()];
        let asked = Instant::now();
        let answer = Answer::of(ask(&gateway, DOORS[n % 3], (name, CHOSEN), from)).await;
        slowest = slowest.max(asked.elapsed());
        println!("{name}: {} {}", answer.status, answer.body.len());
        right += usize::from(answer.status == 200);
    }
    let took = began.elapsed();
    stop.store(true, Ordering::SeqCst);
    let mut answers = BTreeMap::<String, usize>::new();
    for guesser in guessers.join_all().await {
        for (code, count) in guesser {
            *answers.entry(code).or_default() += count;
        }
    }
    println!(
        "{connections} connections from {addresses} addresses were answered {answers:?}; \
         {right} of {OWNERS} first logins in {took:?}, the slowest in {slowest:?}"
    );
    assert_eq!(right, OWNERS);
    assert_eq!(answers.get("SUCCESS"), None);
    assert!(answers["INCORRECT_USER_PASSWORD"] > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_guesses_is_mostly_rejected_unchecked_and_the_owner_served() {
    let (guesses, addresses) = (load(3_000, 100_000), load(100, 500));
    let gateway = gateway("[log]\nlevel = \"warn\"", &[("random", "RANDOM")]);
    let gateway = Arc::new(gateway);
    let began = Instant::now();
    let guessers: Vec<_> = (0..addresses)
        .map(|n| {
            let gateway = Arc::clone(&gateway);
            let from = [
                127,
                0,
                2 + u8::try_from(n / 250).unwrap(),
                u8::try_from(n % 250 + 1).unwrap(),
            ];
            tokio::spawn(async move {
                let client = client_from(from.into());
                let mut checked = 0;
                for guess in 0..guesses / addresses {
                    let secret = format!("cgs_{n}-{guess}");
                    let call = client.post(gateway.url("/api/basic/"));
                    let call = call.basic_auth("random", Some(secret));
                    let body = Answer::of(call.body(READ)).await.body;
                    assert!(!body.contains("SUCCESS"), "{body}");
                    checked += usize::from(body.contains("INCORRECT_USER_PASSWORD"));
                }
                checked
            })
        })
        .collect();
    let owner = client_from(OWNER.into());
    let (mut calls, mut heard) = (0_usize, 0_usize);
    while !guessers.iter().all(tokio::task::JoinHandle::is_finished) {
        let call = owner.post(gateway.url("/api/basic/"));
        let answer = Answer::of(call.basic_auth("random", Some(RANDOM)).body(READ)).await;
        (calls, heard) = (calls + 1, heard + usize::from(answer.status == 200));
    }
    let mut checked = 0;
    for guesser in guessers {
        checked += guesser.await.unwrap();
    }
    let took = began.elapsed();
    println!(
        "{guesses} guesses from {addresses} addresses in {took:?}: {checked} checked; the owner's calls: {heard} of {calls}"
    );
    // The limit applies to any ten minutes.
    let windows = 1 + usize::try_from(took.as_secs() / 600).unwrap();
    assert!(checked <= OUTSIDE * windows, "{checked}");
    assert!(
        calls > 0 && heard * 1000 >= calls * 999,
        "{heard} of {calls}"
    );
}

/// Makes two guesses for a name and returns both answers.
async fn two_guesses(
    gateway: &Gateway,
    door: Option<Way>,
    credentials: (&str, &str),
    from: [u8; 4],
) -> [String; 2] {
    [
        seen(&Answer::of(ask(gateway, door, credentials, from)).await),
        seen(&Answer::of(ask(gateway, door, credentials, from)).await),
    ]
}

#[tokio::test]
async fn an_unknown_name_and_a_wrong_secret_get_byte_identical_answers() {
    // Every case has its own access, because all ways in share one budget.
    let mut cases = Vec::new();
    for way in [Way::Http, Way::Basic, Way::Soap] {
        for stored in ["RANDOM", "CHOSEN"] {
            for (presented, secret) in WRONG {
                let name = format!("{}-{}-{presented}", way.name(), stored.to_lowercase());
                cases.push((name, way, stored, secret));
            }
        }
    }
    let accesses: Vec<_> = cases.iter().map(|c| (c.0.as_str(), c.2)).collect();
    // One guess for each name from inside, and one from outside.
    let gateway = gateway(
        "guesses_per_name = 2\nguesses_per_address = 1000",
        &accesses,
    );
    for (name, way, _, secret) in &cases {
        for from in [OWNER, ELSEWHERE] {
            let known = two_guesses(&gateway, Some(*way), (name, secret), from).await;
            let unknown = format!("no-{name}");
            let unknown = two_guesses(&gateway, Some(*way), (&unknown, secret), from).await;
            assert_eq!(known, unknown, "{name} from {from:?}");
            assert!(known[0].contains("INCORRECT_USER_PASSWORD"), "{}", known[0]);
            assert!(known[1].contains("TOO_MANY_FAILURES"), "{}", known[1]);
        }
    }
}

#[tokio::test]
async fn the_token_endpoint_shares_the_guess_budgets_and_reveals_no_names() {
    let limits = "[limits]\nguesses_per_name = 2\nguesses_per_address = 1000\n";
    for (_, secret) in WRONG {
        let gateway = Gateway::configured(limits, &[]);
        let demo = gateway.demo();
        let known = two_guesses(&gateway, None, (&demo.client_id, secret), OWNER).await;
        let unknown = two_guesses(&gateway, None, ("cga_nobody", secret), OWNER).await;
        assert_eq!(known, unknown);
        assert!(known[0].starts_with("401"), "{}", known[0]);
        assert!(known[1].starts_with("429") && known[1].contains("retry-after: N"));
        let other = Answer::of(ask(&gateway, DOORS[0], (&demo.user, secret), OWNER)).await;
        assert_eq!(other.json()["error"], "TOO_MANY_FAILURES");
    }
}

#[tokio::test]
async fn every_way_in_renders_too_many_failures_in_its_dialect() {
    let limits = "[limits]\nguesses_per_name = 2\nguesses_per_address = 1\n";
    let gateway = Gateway::configured(limits, &[]);
    let wrong = ("demo", "cgs_wrong");
    let first = Answer::of(ask(&gateway, DOORS[0], wrong, OWNER)).await;
    assert_eq!(first.json()["error"], "INCORRECT_USER_PASSWORD");
    let mut reported = String::new();
    for door in DOORS {
        let answer = Answer::of(ask(&gateway, door, wrong, OWNER)).await;
        assert!(!answer.header("retry-after").is_empty());
        let body = seen(&answer);
        let body = body.rsplit("\n\n").next().unwrap();
        let name = door.map_or("token endpoint", Way::name);
        writeln!(reported, "{name}: {} {body}", answer.status).unwrap();
    }
    let token = client_from(OWNER.into()).get(gateway.url("/api/jwt/?class=chat&method=getchats"));
    let answer = Answer::of(token.header("X-Request-ID", "same").bearer_auth("a.b.c")).await;
    writeln!(reported, "jwt: {}", seen(&answer).replace('\n', " | ")).unwrap();
    insta::assert_snapshot!(reported, @r#"
    http: 429 {"status":"ERROR","error":"TOO_MANY_FAILURES","request_id":"same","delivery":"not_sent","retry_after":N}
    basic: 429 {"status":"ERROR","error":"TOO_MANY_FAILURES","request_id":"same","delivery":"not_sent","retry_after":N}
    soap: 500 <?xml version="1.0" encoding="utf-8"?>
    <s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>s:Client</faultcode><faultstring>Too many wrong credentials; try again later.</faultstring><detail><c:error xmlns:c="urn:chatgate:chat:v1"><c:code>TOO_MANY_FAILURES</c:code><c:request_id>same</c:request_id><c:delivery>not_sent</c:delivery><c:retry_after>N</c:retry_after></c:error></detail></s:Fault></s:Body></s:Envelope>
    token endpoint: 429 {"error":"temporarily_unavailable","error_description":"Too many wrong credentials; try again later."}
    jwt: 429 | content-type: application/json; charset=utf-8 | ratelimit-policy: "address";q=600;w=60 | cache-control: no-store | x-request-id: same | x-content-type-options: nosniff | content-length: 106 | retry-after: N |  | {"status":"ERROR","error":"TOO_MANY_FAILURES","request_id":"same","delivery":"not_sent","retry_after":N}
    "#);
}

#[tokio::test]
async fn wrong_tokens_count_against_their_address_and_valid_tokens_still_work() {
    let issuer = Issuer::new();
    let toml = format!(
        "[limits]\nguesses_per_address = 3\n{}",
        issuer.as_configuration()
    );
    let gateway = Gateway::configured(&toml, &[]);
    let code = async |token: &str, from: [u8; 4]| {
        let request = client_from(from.into())
            .get(gateway.url("/api/jwt/?class=chat&method=getchatchannels"))
            .bearer_auth(token);
        let said = Answer::of(request).await.json();
        said["error"].as_str().unwrap_or("SUCCESS").to_owned()
    };
    let (right, expired) = (issuer.token("demo", 300), issuer.token("demo", -300));
    // The first valid token makes the gateway fetch the issuer's keys.
    assert_eq!(code(&right, OWNER).await, "SUCCESS");
    for _ in 0..4 {
        assert_eq!(code(&expired, OWNER).await, "EXPIRED_TOKEN");
    }
    let nobodys = issuer.token("nobody", 300);
    for wrong in ["a.b.c", &nobodys, &right[1..]] {
        assert_eq!(code(wrong, OWNER).await, "INCORRECT_TOKEN");
    }
    for token in [&nobodys, "a.b.c", &right[1..]] {
        assert_eq!(code(token, OWNER).await, "TOO_MANY_FAILURES");
    }
    // A caller with a valid token gets in, known or not, whatever another caller behind the same address has presented.
    let other = issuer.token("demo", 301);
    for token in [&right, &other, &right] {
        assert_eq!(code(token, OWNER).await, "SUCCESS");
    }
    assert_eq!(code(&expired, OWNER).await, "EXPIRED_TOKEN");
    assert_eq!(code("a.b.c", OWNER).await, "TOO_MANY_FAILURES");
    assert_eq!(code(&right, ELSEWHERE).await, "SUCCESS");
}
