//! Checks that replicas serve cached reads only to the access that read them.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::{REPLICAS, shared};
use crate::crash::seed;
use crate::crash::upstream::{answer, request};
use crate::harness::{Answer, Fleet, SplitMix64, Valkey, client, load, made, skipped};

/// Number of concurrent callers.
const READERS: usize = 16;

/// One call in this many is a send, after which all replicas read the channel again.
const SENDS: usize = 200;

fn channel(number: usize) -> String {
    format!("channel-{number:03}")
}

/// Starts an upstream with this many channels. Each answer names the channels that it is about.
async fn upstream_of(channels: usize) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let row = |id: &str| json!({"platform": "whatsapp", "platformid": id});
    let all: Vec<_> = (0..channels).map(|number| row(&channel(number))).collect();
    let all = json!({"status": "SUCCESS", "result": {"list": all}}).to_string();
    let all = Arc::new(all);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let all = Arc::clone(&all);
            tokio::spawn(async move {
                while let Some(form) = request(&mut stream).await {
                    let said = match form.get("platformid") {
                        None => all.to_string(),
                        Some(id) => {
                            let list = json!({"list": [row(id)]});
                            json!({"status": "SUCCESS", "result": list}).to_string()
                        }
                    };
                    if answer(&mut stream, &said).await.is_none() {
                        return;
                    }
                }
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_serve_cached_reads_only_to_the_access_that_made_them() {
    let (Some(valkey), accesses) = (Valkey::start(), load(40, 200)) else {
        return skipped("Valkey");
    };
    let limits = "[limits]\nper_address_per_minute = 4000000000\n[log]\nlevel = \"warn\"\n";
    let toml = format!("{}{limits}", shared(&valkey));
    let upstream = upstream_of(accesses).await;
    let Some(fleet) = Fleet::in_front_of(upstream, REPLICAS, (&toml, &[])) else {
        return skipped("PostgreSQL");
    };
    let mut secrets = Vec::new();
    for number in 0..accesses {
        let channels = json!([{"platform": "whatsapp", "platformid": channel(number)}]);
        let draft = json!({"name": format!("a{number}"), "allow": ["any"], "channels": channels});
        secrets.push(made(&fleet.gateways[0], draft).await);
    }
    let (secrets, reads) = (Arc::new(secrets), load(4000, 1_000_000));
    let urls = fleet.gateways.iter().map(|one| one.url("/api/basic/"));
    let urls = Arc::new(urls.collect::<Vec<_>>());
    let (mut readers, mut chance) = (JoinSet::new(), SplitMix64(seed()));
    for _ in 0..READERS {
        let (secrets, urls) = (Arc::clone(&secrets), Arc::clone(&urls));
        readers.spawn(reader((secrets, urls), chance.branch(), reads / READERS));
    }
    let (hits, foreign) = readers.join_all().await.into_iter().fold(
        (0, Vec::new()),
        |(hits, mut foreign), (more, others)| {
            foreign.extend(others);
            (hits + more, foreign)
        },
    );
    println!(
        "{reads} reads of {accesses} accesses over {REPLICAS} replicas, {hits} from memory: {} foreign",
        foreign.len()
    );
    assert!(foreign.is_empty(), "{:?}", foreign.first());
    assert!(hits * 10 > reads, "{hits}");
}

/// Makes this many reads, each by a random access at a random replica. Returns the number of cache hits, and the answers that are
/// not about the access's channel alone.
async fn reader(
    (secrets, urls): (Arc<Vec<String>>, Arc<Vec<String>>),
    mut chance: SplitMix64,
    reads: usize,
) -> (usize, Vec<String>) {
    let (client, mut hits, mut foreign) = (client(), 0, Vec::new());
    let mut below = |most: usize| usize::try_from(chance.below(most as u64)).unwrap();
    for _ in 0..reads {
        let (number, url) = (below(secrets.len()), &urls[below(urls.len())]);
        let own = channel(number);
        let of_channel = format!("class=chat&platform=whatsapp&platformid={own}");
        let body = match below(2) {
            0 => "class=chat&method=getchatchannels".to_owned(),
            _ => format!("{of_channel}&method=getchats"),
        };
        let post = |body: String| {
            let request = client.post(url).timeout(Duration::from_secs(60));
            let request = request.basic_auth(format!("a{number}"), Some(&secrets[number]));
            Answer::of(request.body(body))
        };
        if below(SENDS) == 0 {
            let send = format!("{of_channel}&method=sendmessage&destination=34600000000&message=x");
            let sent = post(send).await;
            assert_eq!(sent.status, 200, "{}", sent.body);
        }
        let answer = post(body).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        hits += usize::from(answer.header("cache-status").contains("; hit"));
        let (named, named_own) = (
            answer.body.matches("channel-").count(),
            answer.body.matches(&own).count(),
        );
        if named_own == 0 || named != named_own {
            foreign.push(format!("a{number}: {}", answer.body));
        }
    }
    (hits, foreign)
}
