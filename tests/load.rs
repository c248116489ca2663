//! Tests of hostile load and its effect on good callers, as ratios against a quiet time in the same run.
//!
//! Any build runs a sample. `tests/release load` runs everything with the promised figures; it builds the binary as it is published
//! (`CHATGATE_BINARY`).

mod bombs;
pub mod client;
mod flood;
mod slow;
mod tool;
mod upstream;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use self::client::{Callers, Met, address, ask, at, connect};
use self::slow::{KINDS, Slow, attack};
use self::upstream::Upstream;
use crate::harness::{Gateway, Issuer, UPSTREAM_ENVIRONMENT, load, pass};

/// Returns whether the promised figures are judged, because binary and machine are fit for measurements.
fn is_measured() -> bool {
    load(0, 1) == 1
}

/// Returns a read that no cache answers.
fn read(n: usize) -> Vec<u8> {
    let query = format!(
        "class=chat&method=getchats&platform=webchat&platformid={n}&user=a&password=correct%20horse"
    );
    format!("GET /api/http/?{query} HTTP/1.1\r\nHost: x\r\n\r\n").into_bytes()
}

/// Returns the configuration of a gateway in front of this upstream, for callers on the whole loopback network.
fn configuration(upstream: SocketAddr, more: &str) -> String {
    format!(
        "{}[cache]\ngetchats = \"0\"\n[log]\nlevel = \"warn\"\n[[accesses]]\nname = \"a\"\nuser = \"a\"\npassword = \"env:A\"\n\
         allow = [\"127.0.0.0/8\"]\n[limits]\nper_address_per_minute = 1000000\n{more}",
        crate::harness::upstream(upstream)
    )
}

/// Short deadlines for `[limits]`. At this rate the at most 384 KiB that the system accepts for a reader extend its wait by 6 s.
const DEADLINES: &str = "header_timeout = \"5s\"\nbody_timeout = \"5s\"\nwrite_timeout = \"5s\"\nidle_timeout = \"10s\"\nrate = \"64KiB\"\n";

const ENVIRONMENT: [(&str, &str); 2] = [UPSTREAM_ENVIRONMENT, ("A", "correct horse")];

/// Returns the callers' results while there is no other load, after their first calls have proved the password.
async fn quiet(callers: &Callers) -> Met {
    pass(Duration::from_secs(2)).await;
    callers.met();
    pass(Duration::from_secs(5)).await;
    callers.met()
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_connections_do_not_block_other_callers() {
    let (count, files, a_second) = (load(1000, 10_000), load(512, 4096), load(500, 1000));
    let upstream = Upstream::start(256, Duration::from_millis(20)).await;
    let toml = configuration(upstream.address, DEADLINES);
    let gateway = Gateway::with_files(u32::try_from(files).unwrap(), &toml, &ENVIRONMENT);
    let callers = Callers::start(gateway.public, 20, Duration::from_millis(50), read);
    let mut quiet = quiet(&callers).await;
    let began = Instant::now();
    let (ended, attackers) = attack(gateway.public, count, a_second);
    while ended.count() < count && began.elapsed() < Duration::from_secs(90) {
        pass(Duration::from_millis(100)).await;
    }
    let mut met = callers.met();
    callers.stop().await;
    let ratio = ms(met.at(990)) / ms(quiet.at(990));
    println!(
        "load: {count} slow connections against {files} files, {} ended within {:?}: callers served {:.2} of 1000 in {}, p99 {:.1} ms \
         after {:.1} ms, ratio {ratio:.2}; longest {:?}; RSS {} MiB",
        ended.count(),
        began.elapsed(),
        met.served_per_mille(),
        met.served.len() + met.failed,
        ms(met.at(990)),
        ms(quiet.at(990)),
        KINDS.map(|kind| (kind, ended.longest(kind))),
        gateway.process.rss() / 1024 / 1024,
    );
    assert_eq!(ended.count(), count, "some are still open");
    attackers.join().unwrap();
    // If the callers themselves get no processor for a while, their connections are among those that idle longest.
    let served = if is_measured() { 999.0 } else { 990.0 };
    assert!(met.served_per_mille() >= served, "{} failed", met.failed);
    // On a busy machine, the attackers themselves notice the end late.
    let late = Duration::from_secs(if is_measured() { 1 } else { 20 });
    for kind in KINDS {
        // If a reader does not read and the system buffers the whole answer, its connection counts as idle. A reader notices the end
        // a second later.
        let deadline = Duration::from_secs(if kind == Slow::Read { 12 } else { 5 });
        let longest = ended.longest(kind);
        assert!(longest < deadline + late, "{kind:?}: {longest:?}");
    }
    assert!(!is_measured() || ratio <= 2.0, "{ratio}");
}

/// One call of an open loop: its start, the time until its answer, and its status.
struct Due {
    at: Duration,
    took: Duration,
    status: u16,
}

/// Makes calls at this rate for this long, whether answers arrive or not, over connections that are kept while they work.
async fn open_loop(gateway: &Gateway, a_second: usize, seconds: usize) -> Vec<Due> {
    let (to, began) = (gateway.public, Instant::now());
    let (idle, mut calls) = (Arc::new(Mutex::new(Vec::new())), JoinSet::new());
    let mut pace = tokio::time::interval(Duration::from_millis(5));
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (mut sent, mut opened) = (0, 0);
    while sent < a_second * seconds {
        pace.tick().await;
        let due = (began.elapsed().as_millis() as usize * a_second / 1000).min(a_second * seconds);
        for n in sent..due {
            let kept = idle.lock().unwrap().pop();
            opened += usize::from(kept.is_none());
            let (idle, from) = (Arc::clone(&idle), address(8, opened / 100));
            calls.spawn(async move {
                let at = began.elapsed();
                let call = async {
                    let mut stream = match kept {
                        Some(stream) => stream,
                        None => connect(to, from).await?,
                    };
                    let status = ask(&mut stream, &read(1_000_000 + n)).await?;
                    idle.lock().unwrap().push(stream);
                    std::io::Result::Ok(status)
                };
                let status = call.await.unwrap_or(0);
                Due {
                    at,
                    took: began.elapsed() - at,
                    status,
                }
            });
        }
        sent = due;
    }
    calls.join_all().await
}

fn of_status(due: &[Due], status: u16) -> Vec<Duration> {
    let of_status = due.iter().filter(|due| due.status == status);
    of_status.map(|due| due.took).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn threefold_overload_is_rejected_and_the_remaining_calls_are_served() {
    let seconds = load(6, 60);
    let upstream = Upstream::start(10, Duration::from_millis(50)).await;
    let gateway = Gateway::configured(&configuration(upstream.address, ""), &ENVIRONMENT);
    let callers = Callers::start(gateway.public, 5, Duration::from_millis(100), read);
    let mut quiet = quiet(&callers).await;
    callers.stop().await;
    // 50 percent more callers than the upstream serves at the same time, each calling again when it is answered: this gives the
    // maximum throughput.
    let callers = Callers::start(gateway.public, 15, Duration::from_millis(1), read);
    pass(Duration::from_secs(1)).await;
    callers.met();
    pass(Duration::from_secs(5)).await;
    let peak = callers.met().served.len() / 5;
    callers.stop().await;
    let due = open_loop(&gateway, peak * 3, seconds).await;
    let (mut served, mut refused) = (of_status(&due, 200), of_status(&due, 503));
    let goodput = served.len() as f64 / seconds as f64 / peak as f64;
    let ratio = ms(at(&mut served, 990)) / ms(quiet.at(990));
    let late = due.iter().map(|due| due.at).max().unwrap_or_default();
    // Two seconds later everything is as before.
    pass(Duration::from_secs(2)).await;
    let callers = Callers::start(gateway.public, 5, Duration::from_millis(20), read);
    pass(Duration::from_secs(3)).await;
    let mut after = callers.met();
    callers.stop().await;
    println!(
        "load: {} calls a second for {:.1} s where {peak} are the peak: goodput {goodput:.2} of the peak, {} served with p99 {:.1} ms after \
         {:.1} ms, ratio {ratio:.2}; {} refused with p99 {:.1} ms; {} others; afterwards {:.1} of 1000 with p99 {:.1} ms",
        peak * 3,
        late.as_secs_f64(),
        served.len(),
        ms(at(&mut served, 990)),
        ms(quiet.at(990)),
        refused.len(),
        ms(at(&mut refused, 990)),
        due.len() - served.len() - refused.len(),
        after.served_per_mille(),
        ms(after.at(990)),
    );
    // With other work on the machine, the peak may have been measured in a better moment.
    let goodput_min = if is_measured() { 0.8 } else { 0.4 };
    assert!(goodput >= goodput_min, "{goodput}");
    assert_eq!(due.len(), served.len() + refused.len());
    assert!(after.served_per_mille() >= 999.0);
    // On any machine: served calls have not waited in a queue that only grows, where they would wait the full five seconds that are
    // permitted.
    let longest = at(&mut served, 990);
    assert!(longest < Duration::from_secs(2), "{longest:?}");
    if is_measured() {
        assert!(ratio <= 3.0, "{ratio}");
        assert!(at(&mut refused, 990) <= Duration::from_millis(50));
        assert!(after.at(990) <= quiet.at(990) * 2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_passwords_do_not_slow_down_callers_with_a_token() {
    let (a_second, seconds) = (load(200, 1000), load(5, 60));
    let upstream = Upstream::start(256, Duration::from_millis(20)).await;
    let issuer = Issuer::new();
    let toml = configuration(upstream.address, "") + &issuer.as_configuration();
    let gateway = Gateway::configured(&toml, &ENVIRONMENT);
    let token = issuer.token("a", 3600);
    let callers = Callers::start(gateway.public, 10, Duration::from_millis(50), move |n| {
        let query = format!("class=chat&method=getchats&platform=webchat&platformid={n}");
        let head = format!("GET /api/jwt/?{query} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer");
        format!("{head} {token}\r\n\r\n").into_bytes()
    });
    let mut quiet = quiet(&callers).await;
    let mut guesses = JoinSet::new();
    let mut pace = tokio::time::interval(Duration::from_millis(10));
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut rss = 0;
    for n in 0..a_second * seconds {
        if n % (a_second / 100) == 0 {
            pace.tick().await;
            rss = rss.max(gateway.process.rss());
        }
        let to = gateway.public;
        // Every name once, from ten thousand addresses, so that no budget of a name or an address stops the guesses.
        guesses.spawn(async move {
            let credentials = format!("user=nobody-{n}&password=guess%20number%20{n}");
            let query =
                format!("class=chat&method=getchats&platform=webchat&platformid=1&{credentials}");
            let guess = format!("GET /api/http/?{query} HTTP/1.1\r\nHost: x\r\n\r\n");
            let mut stream = connect(to, address(6, n % 10_000)).await?;
            ask(&mut stream, guess.as_bytes()).await
        });
    }
    let mut met = callers.met();
    let statuses = guesses.join_all().await;
    callers.stop().await;
    let of = |wanted: u16| {
        statuses
            .iter()
            .filter(|status| matches!(status, Ok(status) if *status == wanted))
            .count()
    };
    // By HTTP parameters a wrong password gets the chat service's own code, with status 200.
    let (checked, busy, others) = (of(200), of(503), statuses.len() - of(200) - of(503));
    let ratio = ms(met.at(990)) / ms(quiet.at(990));
    println!(
        "load: {a_second} wrong passwords a second for {seconds} s, {checked} checked, {busy} reported to come again, {others} others: callers with \
         a token served {:.2} of 1000 in {}, p99 {:.1} ms after {:.1} ms, ratio {ratio:.2}; RSS at most {} MiB",
        met.served_per_mille(),
        met.served.len() + met.failed,
        ms(met.at(990)),
        ms(quiet.at(990)),
        rss / 1024 / 1024,
    );
    assert!(checked > 0 && rss <= 256 * 1024 * 1024, "{rss}");
    assert!(met.served_per_mille() >= 999.0);
    assert!(!is_measured() || ratio <= 2.0, "{ratio}");
}
