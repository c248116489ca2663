//! Tests names that resolve differently at each lookup, and receivers that do not answer.

mod slow;

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, UdpSocket};

use super::*;

/// Returns whether the tests may contact an address. The tests send nothing to the internet: one part of loopback stands for it,
/// and another part for the internal network.
fn is_outside_address(address: SocketAddr) -> bool {
    matches!(address.ip(), IpAddr::V4(ip) if ip.octets()[1] == 1)
}

fn client(lookup: Lookup) -> OutsideClient {
    OutsideClient::new(&Roots::Bundled, lookup).unwrap()
}

fn found(addresses: &'static [&'static str]) -> Lookup {
    Arc::new(move |_| {
        let addresses = addresses.iter().map(|text| text.parse().unwrap());
        let addresses = addresses.collect();
        Box::pin(async { Ok(addresses) })
    })
}

async fn post(client: &OutsideClient, url: &str) -> Result<OutsideAnswer, OutsideError> {
    let url = url.parse().unwrap();
    let post = OutsidePost {
        url: &url,
        headers: HeaderMap::new(),
        body: Bytes::from_static(b"{}"),
        may_dial: &is_outside_address,
    };
    client.post(post).await
}

/// Starts a listener that counts its connections and answers each with this head.
async fn listen(address: &str, head: &'static str) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind((address, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (port, answer(listener, head))
}

fn answer(listener: TcpListener, head: &'static str) -> Arc<AtomicUsize> {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                let _ = connection.read(&mut [0; 4096]).await;
                let _ = connection.write_all(head.as_bytes()).await;
            });
        }
    });
    count
}

/// Starts a DNS server that answers each query with the next of these addresses, in rotation.
async fn serve_dns(addresses: &'static [[u8; 4]]) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut question = [0; 512];
        for turn in 0.. {
            let (length, from) = socket.recv_from(&mut question).await.unwrap();
            let mut answer = question[..length].to_vec();
            // A response with one answer for the queried name, class IN, type A, with a TTL of zero.
            answer[2..8].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 1]);
            answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
            answer.extend(addresses[turn % addresses.len()]);
            socket.send_to(&answer, from).await.unwrap();
        }
    });
    address
}

/// Returns a lookup that queries a DNS server each time, like a resolver that may not cache.
fn dns_lookup(server: SocketAddr) -> Lookup {
    Arc::new(move |name| {
        Box::pin(async move {
            let socket = UdpSocket::bind("127.0.0.1:0").await?;
            let mut question = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
            for label in name.split('.') {
                question.push(label.len() as u8);
                question.extend(label.as_bytes());
            }
            question.extend([0, 0, 1, 0, 1]);
            socket.send_to(&question, server).await?;
            let mut answer = [0; 512];
            let length = socket.recv(&mut answer).await?;
            let last: [u8; 4] = answer[length - 4..length].try_into().unwrap();
            Ok(vec![IpAddr::from(last)])
        })
    })
}

/// Exactly one lookup decides, and the connection goes to its result. Whatever the next lookup would return, nothing in the
/// internal network is reached.
#[tokio::test]
async fn dns_rebinding_never_reaches_an_internal_address() {
    let (port, outside, inside) = loop {
        let (port, outside) = listen("127.1.0.1", "HTTP/1.1 204 No Content\r\n\r\n").await;
        // Another process may use this port here.
        if let Ok(inside) = TcpListener::bind(("127.0.0.1", port)).await {
            break (port, outside, answer(inside, ""));
        }
    };
    let server = serve_dns(&[[127, 1, 0, 1], [127, 0, 0, 1]]).await;
    let client = client(dns_lookup(server));
    let url = format!("http://rebound.example.com:{port}/");
    let (mut delivered, mut blocked) = (0, 0);
    for _ in 0..1000 {
        match post(&client, &url).await {
            Ok(answer) if answer.status == 204 => delivered += 1,
            Err(OutsideError::BlockedAddress) => blocked += 1,
            other => panic!("{other:?}"),
        }
    }
    // One lookup per request. With a second lookup before the connection, public and internal addresses would swap places.
    assert_eq!((delivered, blocked), (500, 500));
    assert_eq!(outside.load(Ordering::SeqCst), 500);
    assert_eq!(inside.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_name_that_resolves_to_any_internal_address_is_not_dialled() {
    let (port, outside) = listen("127.1.0.1", "HTTP/1.1 204 No Content\r\n\r\n").await;
    let client = client(found(&["127.1.0.1", "::ffff:127.0.0.1"]));
    let posted = post(&client, &format!("http://two.example.com:{port}/")).await;
    assert_eq!(posted, Err(OutsideError::BlockedAddress));
    assert_eq!(outside.load(Ordering::SeqCst), 0);
}

/// Starts a listener with a full backlog, so that further connections get no answer, as with a host that is cut off.
async fn listen_with_full_backlog(address: SocketAddr) -> (TcpListener, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(address).unwrap();
    let (listener, mut filling) = (socket.listen(1).unwrap(), Vec::new());
    while let Ok(taken) = timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
        filling.push(taken.unwrap());
    }
    (listener, filling)
}

#[tokio::test]
async fn an_unresponsive_address_leaves_time_to_dial_the_next_address() {
    let (port, count) = listen("127.1.0.3", "HTTP/1.1 204 No Content\r\n\r\n").await;
    let _full = listen_with_full_backlog(SocketAddr::from(([127, 1, 0, 2], port))).await;
    let client = client(found(&["127.1.0.2", "127.1.0.3"]));
    let answer = post(&client, &format!("http://two.example:{port}/")).await;
    assert_eq!(answer.unwrap().status, 204);
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_redirect_is_returned_as_the_answer_and_not_followed() {
    let inside = TcpListener::bind(("127.1.0.1", 0)).await.unwrap();
    let target = inside.local_addr().unwrap();
    let inside = answer(inside, "HTTP/1.1 204 No Content\r\n\r\n");
    let head = format!(
        "HTTP/1.1 307 Moved\r\nlocation: http://{target}/\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n"
    );
    let (port, _) = listen("127.1.0.1", head.leak()).await;
    let expected = OutsideAnswer {
        status: 307,
        retry_after: Some(HeaderValue::from_static("7")),
    };
    let client = client(found(&["127.1.0.1"]));
    let posted = post(&client, &format!("http://moved.example.com:{port}/")).await;
    assert_eq!(posted, Ok(expected));
    assert_eq!(inside.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn failures_of_a_post_are_reported_by_their_class() {
    // The socket does not listen, and nobody else gets its port.
    let bound = TcpSocket::new_v4().unwrap();
    bound.bind("127.1.0.1:0".parse().unwrap()).unwrap();
    let gone = bound.local_addr().unwrap().port();
    let (plain, _) = listen("127.1.0.1", "SSH-2.0-OpenSSH_9.9\r\n").await;
    let client = client(found(&["127.1.0.1"]));
    for (url, expected) in [
        (
            format!("http://a.example.com:{gone}/"),
            OutsideError::Connect,
        ),
        (
            format!("http://a.example.com:{plain}/"),
            OutsideError::Broken,
        ),
        (format!("https://a.example.com:{plain}/"), OutsideError::Tls),
        (
            format!("http://127.0.0.1:{plain}/"),
            OutsideError::BlockedAddress,
        ),
    ] {
        assert_eq!(post(&client, &url).await, Err(expected), "{url}");
    }
    let nowhere: Lookup = Arc::new(|_| Box::pin(async { Ok(Vec::new()) }));
    let posted = post(
        &OutsideClient {
            lookup: nowhere,
            ..client
        },
        "http://a.example.com/",
    )
    .await;
    assert_eq!(posted, Err(OutsideError::Dns));
}
