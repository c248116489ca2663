//! Replaces replicas one after the other while callers call: no call fails and nothing is sent twice, whatever load balancer is in
//! front of them.

mod callers;
mod columns;
mod contract;
mod fields;
mod fronts;
mod mixed;
mod service;
mod site;

use std::path::Path;
use std::time::Instant;

use self::callers::{ACCESS, Callers};
use self::fronts::{haproxy, nginx};
use self::service::Service;
use self::site::{REPLICAS, Site};
use crate::harness::{Answer, client, load, skipped};

/// The number of calls a second over all callers, and the number of times that each replica is replaced: on every day, and in the
/// full load.
const CALLS_A_SECOND: (usize, usize) = (200, 1000);
const TIMES: (usize, usize) = (1, 20);

/// Replaces each replica this many times while callers call, and compares their answers with the sent messages.
async fn replace_all(mut site: Site, front: &str, service: Option<&Service>) {
    let a_second = load(CALLS_A_SECOND.0, CALLS_A_SECOND.1);
    let (times, began) = (load(TIMES.0, TIMES.1), Instant::now());
    let callers = Callers::start(site.front, &site.password, a_second);
    callers.have_called(a_second).await;
    for _ in 0..times {
        for replica in 0..REPLICAS {
            site.replace(replica, service).await;
        }
    }
    let called = callers.end().await;
    let doubled = called
        .sent
        .iter()
        .filter(|mark| site.upstream.taken(mark) != 1);
    let doubled = doubled.count();
    println!(
        "rolling restart behind {front}: {} of {REPLICAS} replicas replaced in {:.0?}, {} calls, {} of them sends, {} failed, {doubled} not \
         sent once; the slowest took {:.1?}",
        times * REPLICAS,
        began.elapsed(),
        called.calls,
        called.sent.len(),
        called.failed.len(),
        called.slowest,
    );
    assert!(called.failed.is_empty(), "{:#?}", called.failed);
    assert_eq!(doubled, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replacing_replicas_behind_haproxy_fails_no_call() {
    if !Path::new("/usr/sbin/haproxy").exists() {
        return skipped("Debian's package haproxy");
    }
    let Some(mut site) = Site::start().await else {
        return skipped("PostgreSQL");
    };
    let _front = haproxy(&mut site).await;
    replace_all(site, "HAProxy", None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replacing_replicas_behind_nginx_fails_no_call() {
    if !Path::new("/usr/sbin/nginx").exists() {
        return skipped("Debian's package nginx-light");
    }
    let Some(mut site) = Site::start().await else {
        return skipped("PostgreSQL");
    };
    let front = nginx(&mut site).await;
    let read = format!(
        "http://{}/api/http/?class=chat&method=getchatchannels&user={ACCESS}&password={}",
        site.front, site.password
    );
    let password = site.password.clone();
    let called = Answer::of(client().get(&read)).await;
    assert_eq!(called.status, 200, "{}", called.body);
    replace_all(site, "nginx", None).await;
    // No gateway runs any more.
    assert_eq!(Answer::of(client().get(&read)).await.status, 502);
    let [calls, failures] = front.logs();
    for status in [200, 502] {
        let line = format!("\"GET /api/http/\" {status} ");
        assert!(calls.contains(&line), "no call with {status}");
    }
    assert!(!calls.contains(&password) && !failures.contains(&password));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replacing_replicas_behind_a_service_that_notices_late_fails_no_call() {
    let Some(mut site) = Site::start().await else {
        return skipped("PostgreSQL");
    };
    let service = Service::before(&site).await;
    site.front = service.address;
    replace_all(site, "a service", Some(&service)).await;
}
