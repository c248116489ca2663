//! Tests receivers that accept the connection and then delay the caller.

use tokio::time::{Instant, interval, pause, resume};

use super::*;

/// The time that the test and the machine may add.
const SLACK: Duration = Duration::from_secs(2);

/// Starts a listener that answers with this head and then sends a byte a second without end. With an empty head it stays silent.
async fn stall(head: &'static str) -> u16 {
    let listener = TcpListener::bind("127.1.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        let _ = connection.read(&mut [0; 4096]).await;
        // From now on the clock advances automatically. Before, it could have run ahead of the connection.
        pause();
        let _ = connection.write_all(head.as_bytes()).await;
        let mut each_second = interval(Duration::from_secs(1));
        while !head.is_empty() && connection.write_all(b".").await.is_ok() {
            each_second.tick().await;
        }
        // Waits until the other side closes the connection.
        while connection
            .read(&mut [0; 4096])
            .await
            .is_ok_and(|read| read > 0)
        {}
    });
    port
}

#[track_caller]
fn check_took(began: Instant, expected: Duration) {
    let took = began.elapsed();
    assert!(
        (expected..expected + SLACK).contains(&took),
        "{took:?} instead of {expected:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_silent_receiver_times_out_after_fifteen_seconds() {
    let port = stall("").await;
    let client = client(found(&["127.1.0.1"]));
    resume();
    let began = Instant::now();
    let posted = post(&client, &format!("http://silent.example.com:{port}/")).await;
    assert_eq!(posted, Err(OutsideError::Timeout));
    check_took(began, Duration::from_secs(15));
}

#[tokio::test(start_paused = true)]
async fn an_unanswered_tls_handshake_times_out_after_five_seconds() {
    let port = stall("").await;
    let client = client(found(&["127.1.0.1"]));
    resume();
    let began = Instant::now();
    let posted = post(&client, &format!("https://silent.example.com:{port}/")).await;
    assert_eq!(posted, Err(OutsideError::Tls));
    check_took(began, Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn an_unanswered_dns_lookup_times_out_after_five_seconds() {
    let client = client(Arc::new(|_| Box::pin(std::future::pending())));
    let began = Instant::now();
    let posted = post(&client, "http://silent.example.com/").await;
    assert_eq!(posted, Err(OutsideError::Dns));
    check_took(began, Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn the_status_is_returned_after_five_seconds_of_an_endless_body() {
    let port = stall("HTTP/1.1 202 Accepted\r\ncontent-length: 1000000\r\n\r\n").await;
    let client = client(found(&["127.1.0.1"]));
    resume();
    let began = Instant::now();
    let posted = post(&client, &format!("http://drips.example.com:{port}/")).await;
    assert_eq!(posted.unwrap().status, 202);
    check_took(began, Duration::from_secs(5));
}
