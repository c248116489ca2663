//! Tests of counts that replicas share over Valkey: common limits of all replicas, and each replica's share of them while Valkey is
//! unavailable.

mod canary;
mod foreign;
mod guesses;
mod killed;
mod limits;
mod offered;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::net::TcpListener;

use self::offered::offer;
use crate::crash::upstream::{answer, request};
use crate::harness::{
    Answer, Fleet, Gateway, Valkey, accepted, admin, assert_within, client, client_from, load,
    made, skipped, until,
};

const READ: &str = "class=chat&method=getchatchannels";

/// Number of replicas in each test.
const REPLICAS: usize = 3;

/// Number of calls a second that are offered for an access whose limit is reached.
const OFFERED: u64 = 300;

/// Maximum number of concurrent calls, each on its own connection: fewer than a gateway accepts from one address.
const IN_FLIGHT: usize = 64;

/// Replicas that share counts, and the Valkey server with the counts.
struct SharingFleet {
    valkey: Valkey,
    fleet: Fleet,
}

impl SharingFleet {
    /// Starts the usual number of replicas. Returns `None` if something is missing.
    fn start() -> Option<SharingFleet> {
        SharingFleet::of(REPLICAS)
    }

    /// Starts this many replicas.
    fn of(replicas: usize) -> Option<SharingFleet> {
        SharingFleet::waiting(replicas, LONG)
    }

    /// Starts replicas with this setting of the calls' wait for Valkey.
    fn waiting(replicas: usize, wait: &str) -> Option<SharingFleet> {
        let valkey = Valkey::start()?;
        let url = valkey.url();
        let toml = format!(
            "[shared]\nurl = \"{url}\"\n{wait}[limits]\nper_address_per_minute = 1000000\n",
        );
        let fleet = Fleet::of(replicas, &toml)?;
        Some(SharingFleet { valkey, fleet })
    }

    fn gateways(&self) -> &[Gateway] {
        &self.fleet.gateways
    }

    async fn is_degraded(&self) -> bool {
        let mut degraded = 0;
        for gateway in self.gateways() {
            degraded += usize::from(ready(gateway).await["degraded"] == json!(["shared"]));
        }
        degraded > 0
    }

    /// Returns the number of requests that Valkey did not answer in time. After such a request a replica admits its share alone.
    async fn unanswered(&self) -> usize {
        let mut unanswered = 0;
        for gateway in self.gateways() {
            let metrics = gateway.metrics().await;
            let count = metrics
                .lines()
                .find_map(|line| line.strip_prefix("chatgate_shared_failures_total "));
            unanswered += count.unwrap().parse::<usize>().unwrap();
        }
        unanswered
    }
}

/// A longer timeout than calls usually have, for a busy machine.
const LONG: &str = "timeout = \"1s\"\n";

/// Returns the configuration that leads to this server.
fn shared(valkey: &Valkey) -> String {
    format!("[shared]\nurl = \"{}\"\n{LONG}", valkey.url())
}

/// Returns the number of calls that a limit admits in this time: all of it immediately, and the calls that become available again.
fn by_time(per_minute: usize, time: Duration) -> usize {
    per_minute + per_minute * usize::try_from(time.as_millis()).unwrap() / 60_000
}

async fn ready(gateway: &Gateway) -> Value {
    let url = format!("http://{}/readyz", gateway.admin);
    Answer::of(client().get(url)).await.json()
}

fn read(client: &reqwest::Client, gateway: &Gateway, secret: &str) -> reqwest::RequestBuilder {
    let request = client.post(gateway.url("/api/basic/"));
    request.basic_auth("a", Some(secret)).body(READ)
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_share_the_limit_per_address_without_a_valkey_request_per_call() {
    let (Some(valkey), per_minute) = (Valkey::start(), load(600, 6000)) else {
        return skipped("Valkey");
    };
    let toml = format!(
        "{}[limits]\nper_address_per_minute = {per_minute}\n",
        shared(&valkey)
    );
    let Some(fleet) = Fleet::of(load(REPLICAS, 16), &toml) else {
        return skipped("PostgreSQL");
    };
    let secret = made(&fleet.gateways[0], json!({"name": "a", "allow": ["any"]})).await;
    let (asked, began) = (valkey.scripts_done(), Instant::now());
    let lasting = Duration::from_secs(u64::try_from(load(8, 60)).unwrap());
    let replicas = fleet.gateways.len();
    let (offered, admitted) = offer(&fleet.gateways, &secret, (OFFERED, lasting), |call| {
        call % replicas
    })
    .await;
    let seconds = usize::try_from(began.elapsed().as_millis()).unwrap();
    let most = per_minute + per_minute * seconds / 60_000;
    let asked = valkey.scripts_done() - asked;
    println!(
        "{per_minute} a minute of one address at {replicas} replicas: {admitted} of {offered}, {most} due; asked {asked} times"
    );
    // Calls that other replicas admit between two exchanges are deducted later, except those of the last exchange.
    assert!(
        admitted <= most + (most / 200).max(replicas),
        "{admitted} of {most}"
    );
    assert!(
        admitted * 100
            >= (per_minute + per_minute * usize::try_from(lasting.as_secs()).unwrap() / 60) * 98,
        "{admitted} of {most}"
    );
    assert!(
        asked <= 11 * (1 + began.elapsed().as_secs()) * replicas as u64,
        "{asked}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_share_the_concurrency_limit_of_an_access() {
    let Some(valkey) = Valkey::start() else {
        return skipped("Valkey");
    };
    let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let toml = shared(&valkey);
    let address = upstream.local_addr().unwrap();
    let Some(fleet) = Fleet::in_front_of(address, REPLICAS, (&toml, &[])) else {
        return skipped("PostgreSQL");
    };
    let draft = json!({"name": "a", "allow": ["any"], "concurrent": 2, "cache": false});
    let secret = made(&fleet.gateways[0], draft).await;
    for gateway in &fleet.gateways {
        until("it knows the access", async || shown(gateway, "a").await).await;
    }
    let client = client();
    // Two calls stay under way because nobody answers them.
    let mut held = Vec::new();
    for gateway in &fleet.gateways[..2] {
        let call = tokio::spawn(read(&client, gateway, &secret).send());
        held.push((call, accepted(&upstream).await));
    }
    for gateway in &fleet.gateways {
        let refused = Answer::of(read(&client, gateway, &secret)).await;
        assert_eq!(
            (refused.status, refused.json()["error"].as_str()),
            (429, Some("RATE_LIMITED"))
        );
    }
    // One call ends. If its connection ended instead, the call would be retried until the other one has waited too long as well.
    let (call, mut connection) = held.remove(0);
    request(&mut connection).await.unwrap();
    let nothing = r#"{"status":"SUCCESS","result":{"list":[]}}"#;
    answer(&mut connection, nothing).await.unwrap();
    assert_eq!(call.await.unwrap().unwrap().status(), 200);
    until("its turn is over", async || {
        let counted = valkey.ask(&["KEYS", "cg:*:tu:*"]);
        valkey.ask(&["ZCARD", &counted]) == "1"
    })
    .await;
    let next = tokio::spawn(read(&client, &fleet.gateways[2], &secret).send());
    accepted(&upstream).await;
    next.abort();
}

/// Returns whether a gateway knows this access.
async fn shown(gateway: &Gateway, name: &str) -> bool {
    let path = format!("accesses/{name}");
    admin(gateway, reqwest::Method::GET, &path, Value::Null)
        .await
        .status
        == 200
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_share_the_budget_for_wrong_admin_keys() {
    let Some(sharing) = SharingFleet::start() else {
        return skipped("Valkey or PostgreSQL");
    };
    let client = client_from("127.8.8.8".parse().unwrap());
    let (mut as_wrong, mut too_many) = (0, 0);
    for number in 0..45 {
        let gateway = &sharing.gateways()[number % REPLICAS];
        let request = if number % 2 == 0 {
            let url = format!("http://{}/console/sign-in", gateway.admin);
            let request = client.post(url).form(&[("key", "cgk_wrong")]);
            request.header("Sec-Fetch-Site", "same-origin")
        } else {
            let url = format!("http://{}/admin/v1/status", gateway.admin);
            client.get(url).bearer_auth("cgk_wrong")
        };
        match Answer::of(request).await.status {
            401 => as_wrong += 1,
            429 => too_many += 1,
            other => panic!("{other}"),
        }
    }
    println!("45 wrong keys: {as_wrong} answered as wrong");
    // One attempt becomes available again every two seconds.
    assert!((30..=40).contains(&as_wrong), "{as_wrong}");
    assert_eq!(as_wrong + too_many, 45);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_send_at_one_replica_invalidates_cached_reads_at_another() {
    /// The time within which another replica usually knows of a send.
    const KNOWN_MAX: Duration = Duration::from_millis(50);
    let Some(sharing) = SharingFleet::start() else {
        return skipped("Valkey or PostgreSQL");
    };
    let draft = json!({"name": "a", "allow": ["any"]});
    let (client, secret) = (client(), made(&sharing.gateways()[0], draft).await);
    let (sends, reads) = (&sharing.gateways()[0], &sharing.gateways()[1]);
    let call = async |gateway: &Gateway, body: &str| {
        let request = client.post(gateway.url("/api/basic/"));
        let answer = Answer::of(request.basic_auth("a", Some(&secret)).body(body.to_owned())).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer
    };
    let channel = "platform=whatsapp&platformid=100";
    let (read, send) = (
        format!("class=chat&method=getchats&{channel}"),
        format!("class=chat&method=sendmessage&{channel}&destination=34600123456&message=x"),
    );
    let is_hit = |answer: &Answer| answer.header("cache-status").contains("; hit");
    let mut delays = Vec::new();
    for _ in 0..load(30, 300) {
        until("it is kept", async || is_hit(&call(reads, &read).await)).await;
        call(sends, &send).await;
        let sent = Instant::now();
        until("it is read anew", async || {
            !is_hit(&call(reads, &read).await)
        })
        .await;
        delays.push(sent.elapsed());
    }
    delays.sort();
    let p99 = delays[delays.len() * 99 / 100];
    println!(
        "{} sends known elsewhere within {:?} at the median, {p99:?} at p99",
        delays.len(),
        delays[delays.len() / 2]
    );
    assert_within(p99, KNOWN_MAX);
}
