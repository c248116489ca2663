//! Tests of the deadlines, with a clock that the tests control.

use std::cell::Cell;
use std::future::poll_fn;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::{TcpListener, TcpSocket};

use super::linger::LINGER_MAX;
use super::*;

thread_local! {
    /// True if the stream of this test was reset.
    static ABORTED: Cell<bool> = const { Cell::new(false) };
}

impl Socket for DuplexStream {
    fn abort(&self) {
        ABORTED.set(true);
    }

    fn poll_readable(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }

    fn poll_more(&self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

impl<S: AsyncWrite> Socket for tokio::io::BufWriter<S> {
    fn abort(&self) {}

    fn poll_readable(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }

    fn poll_more(&self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

fn stream(
    buffer: usize,
) -> (
    DuplexStream,
    DeadlineStream<DuplexStream>,
    Arc<ConnectionState>,
) {
    let (peer, ours) = tokio::io::duplex(buffer);
    let state = Arc::new(ConnectionState::default());
    (
        peer,
        DeadlineStream::new(ours, Arc::clone(&state), Deadlines::default()),
        state,
    )
}

async fn times_out_after(stream: &mut DeadlineStream<DuplexStream>) -> Duration {
    let began = Instant::now();
    let read = stream.read(&mut [0; 64]).await;
    assert_eq!(read.unwrap_err().kind(), io::ErrorKind::TimedOut);
    began.elapsed().max(Duration::from_secs(1))
}

async fn reads_nothing_for(millis: u64, stream: &mut DeadlineStream<DuplexStream>) {
    let mut byte = [0];
    let read = tokio::time::timeout(Duration::from_millis(millis), stream.read(&mut byte));
    assert!(read.await.is_err(), "something came");
}

fn is_about(took: Duration, seconds: u64) -> bool {
    (seconds * 1000..seconds * 1000 + 50).contains(&u64::try_from(took.as_millis()).unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_silent_connection_times_out_at_the_head_deadline() {
    let (_peer, mut stream, _) = stream(64);
    assert!(is_about(times_out_after(&mut stream).await, 10));
}

#[tokio::test(start_paused = true)]
async fn a_slowly_sent_head_does_not_extend_its_deadline() {
    let (mut peer, mut stream, _) = stream(64);
    let began = Instant::now();
    let dribble = tokio::spawn(async move {
        let mut pause = tokio::time::interval(Duration::from_secs(1));
        loop {
            pause.tick().await;
            if peer.write_all(b"x").await.is_err() {
                return;
            }
        }
    });
    while stream.read(&mut [0; 1]).await.is_ok() {}
    assert!(is_about(began.elapsed(), 10));
    dribble.abort();
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_times_out_and_a_running_request_does_not() {
    let (mut peer, mut stream, state) = stream(64);
    peer.write_all(b"GET").await.unwrap();
    stream.read_exact(&mut [0; 3]).await.unwrap();
    let in_flight = ConnectionState::begin(&state);
    let reading = tokio::spawn(async move { times_out_after(&mut stream).await });
    tokio::time::sleep(Duration::from_secs(1000)).await;
    assert!(!reading.is_finished());
    drop(in_flight);
    let took = reading.await.unwrap();
    assert!(is_about(took, 1075), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn shutdown_lingers_for_an_unread_body_but_not_for_a_flood() {
    for (most, lingers) in [(8 * 1024, true), (2 * CONTROL_BYTES_MAX, false)] {
        let (mut peer, ours) = tokio::io::duplex(64 * 1024);
        let state = Arc::new(ConnectionState::default());
        let deadlines = Deadlines::default();
        let mut stream = DeadlineStream::multiplexed(ours, Arc::clone(&state), deadlines);
        state.leave_body_unread();
        let writing = tokio::spawn(async move {
            for _ in 0..most / 1024 {
                let _ = peer.write_all(&[0; 1024]).await;
            }
            peer
        });
        let began = Instant::now();
        // The paused clock advances when every task waits.
        stream.shutdown().await.unwrap();
        let took = began.elapsed();
        assert_eq!(took >= LINGER_MAX, lingers, "{most}: {took:?}");
        writing.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_read_is_reset_at_the_write_deadline() {
    let (_peer, mut stream, _) = stream(4);
    let began = Instant::now();
    let written = stream.write_all(b"more than four").await;
    assert_eq!(written.unwrap_err().kind(), io::ErrorKind::TimedOut);
    assert!(is_about(began.elapsed(), 30) && ABORTED.get());
}

#[tokio::test(start_paused = true)]
async fn each_answer_gets_the_full_write_deadline() {
    let (mut peer, mut stream, _) = stream(4);
    let late = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(20)).await;
        peer.read_exact(&mut [0; 8]).await.unwrap();
        peer
    });
    stream.write_all(&[b'x'; 8]).await.unwrap();
    stream.flush().await.unwrap();
    let _peer = late.await.unwrap();
    let began = Instant::now();
    assert!(stream.write_all(&[b'x'; 8]).await.is_err());
    assert!(is_about(began.elapsed(), 30));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_reads_too_slowly_times_out_at_the_write_deadline() {
    let (mut peer, mut stream, _) = stream(4);
    let began = Instant::now();
    let sips = tokio::spawn(async move {
        let mut pause = tokio::time::interval(Duration::from_secs(1));
        loop {
            pause.tick().await;
            peer.read_exact(&mut [0; 4]).await.unwrap();
        }
    });
    let written = stream.write_all(&[b'x'; 4096]).await;
    assert_eq!(written.unwrap_err().kind(), io::ErrorKind::TimedOut);
    assert!((30..32).contains(&began.elapsed().as_secs()));
    sips.abort();
}

#[tokio::test(start_paused = true)]
async fn the_write_time_earned_by_fast_reading_is_capped() {
    const MIB: usize = 1024 * 1024;
    let (mut peer, mut stream, _) = stream(64 * 1024);
    // The bytes that it reads earn 51 minutes.
    let reads = tokio::spawn(async move {
        peer.read_exact(&mut vec![0; 3 * MIB]).await.unwrap();
        peer
    });
    let began = Instant::now();
    let written = stream.write_all(&vec![b'x'; 4 * MIB]).await;
    assert_eq!(written.unwrap_err().kind(), io::ErrorKind::TimedOut);
    assert!(is_about(began.elapsed(), 30 + 384), "{:?}", began.elapsed());
    reads.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_reader_of_events_times_out_after_its_last_byte_whatever_was_written_before() {
    let (mut peer, mut stream, state) = stream(256 * 1024);
    let in_flight = ConnectionState::begin(&state);
    in_flight.mark_event_stream();
    // The system takes these bytes for a reader that has not read any of them.
    stream.write_all(&[b'x'; 256 * 1024]).await.unwrap();
    let began = Instant::now();
    let writing = tokio::spawn(async move { stream.write_all(&[b'x'; 1024]).await });
    tokio::time::sleep(Duration::from_secs(20)).await;
    peer.read_exact(&mut [0; 64]).await.unwrap();
    assert_eq!(
        writing.await.unwrap().unwrap_err().kind(),
        io::ErrorKind::TimedOut
    );
    assert!(is_about(began.elapsed(), 50));
}

#[tokio::test(start_paused = true)]
async fn the_wait_for_a_peer_restarts_when_it_reads_a_part_of_an_answer() {
    let (mut peer, mut stream, state) = stream(4);
    drop(ConnectionState::begin(&state));
    let writes = tokio::spawn(async move {
        stream.write_all(&[b'x'; 12]).await.unwrap();
        stream
    });
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(state.waited().unwrap() >= Duration::from_secs(1));
        peer.read_exact(&mut [0; 4]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert!(state.waited().unwrap() < Duration::from_millis(100));
    }
    // A request that waits for its body: its wait does not restart when the peer takes a part of an answer.
    let _in_flight = ConnectionState::begin(&state);
    state.wait_for_body();
    tokio::time::sleep(Duration::from_secs(2)).await;
    state.restart_wait();
    assert!(state.waited().unwrap() >= Duration::from_secs(1));
    writes.await.unwrap();
}

/// Number of bytes that the system of these tests buffers, and that a peer takes before the system reports room again.
const BUFFERED_BYTES: usize = 340 * 1024;

/// The time in which a peer at the minimum rate takes the buffered bytes.
const TAKES_BUFFERED: Duration = Duration::from_secs(340);

#[tokio::test(start_paused = true)]
async fn a_peer_that_reads_at_the_minimum_pace_never_times_out() {
    const PARTS: usize = 5;
    for flushes in [false, true] {
        let (mut peer, mut stream, _) = stream(BUFFERED_BYTES);
        let reads = tokio::spawn(async move {
            let mut pause = tokio::time::interval(TAKES_BUFFERED);
            pause.tick().await;
            for _ in 0..PARTS {
                pause.tick().await;
                peer.read_exact(&mut vec![0; BUFFERED_BYTES]).await.unwrap();
            }
        });
        for _ in 0..PARTS * 10 {
            let piece = vec![b'x'; BUFFERED_BYTES / 10];
            stream.write_all(&piece).await.unwrap();
            if flushes {
                stream.flush().await.unwrap();
            }
        }
        reads.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn shutdown_times_out_at_the_write_deadline_if_the_peer_does_not_read() {
    for (buffered, seconds) in [(4, 30), (BUFFERED_BYTES, 30 + 340)] {
        let (_peer, ours) = tokio::io::duplex(buffered);
        // A buffered writer writes its bytes at shutdown, as TLS does with close_notify.
        let ours = tokio::io::BufWriter::new(ours);
        let mut stream = DeadlineStream::new(ours, Arc::default(), Deadlines::default());
        stream.write_all(&vec![b'x'; buffered]).await.unwrap();
        stream.flush().await.unwrap();
        stream.write_all(b"goodbye").await.unwrap();
        let began = Instant::now();
        let shut = stream.shutdown().await;
        assert_eq!(shut.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(is_about(began.elapsed(), seconds), "{buffered}");
    }
}

/// Polls the stream as hyper does: reads, and then writes these bytes. Returns the time until the input ends.
async fn input_ends_after(stream: &mut DeadlineStream<DuplexStream>, mut bytes: &[u8]) -> Duration {
    let began = Instant::now();
    let ends = poll_fn(|cx| {
        let mut byte = [0];
        let read = Pin::new(&mut *stream).poll_read(cx, &mut ReadBuf::new(&mut byte));
        if let Poll::Ready(read) = read {
            return Poll::Ready(read);
        }
        while !bytes.is_empty() {
            let written = ready!(Pin::new(&mut *stream).poll_write(cx, bytes))?;
            bytes = &bytes[written..];
        }
        ready!(Pin::new(&mut *stream).poll_flush(cx))?;
        Poll::Pending
    });
    let ended = tokio::time::timeout(Duration::from_secs(3600), ends).await;
    ended.expect("the input does not end").unwrap();
    began.elapsed()
}

#[tokio::test(start_paused = true)]
async fn the_idle_time_of_an_http_2_connection_begins_when_the_peer_has_taken_the_answer() {
    // The last peer takes nothing until a little before the deadline.
    let late = Duration::from_secs(340 + 20);
    let rest = 60 * 1024;
    for (bytes, taken_by) in [
        (0, 0),
        (BUFFERED_BYTES, 340),
        (BUFFERED_BYTES + rest, 340 + 20 + 60),
    ] {
        for (leaves, idle) in [(false, 75), (true, 1)] {
            let (mut peer, ours) = tokio::io::duplex(BUFFERED_BYTES);
            let state = Arc::new(ConnectionState::default());
            let deadlines = Deadlines::default();
            let mut stream = DeadlineStream::multiplexed(ours, Arc::clone(&state), deadlines);
            drop(ConnectionState::begin(&state));
            if leaves {
                state.leave();
            }
            let takes = tokio::spawn(async move {
                tokio::time::sleep(late).await;
                peer.read_exact(&mut vec![0; bytes]).await.unwrap();
                peer
            });
            let ended = input_ends_after(&mut stream, &vec![b'x'; bytes]).await;
            assert!(
                is_about(ended, taken_by + idle),
                "{bytes} {leaves}: {ended:?}"
            );
            takes.abort();
        }
    }
}

#[tokio::test]
async fn an_http_2_peer_that_sends_while_it_reads_gets_the_whole_answer() {
    const ANSWER: usize = 64 * 1024;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    // The answer has to wait in the buffer of the server's side.
    socket.set_recv_buffer_size(4096).unwrap();
    let connects = socket.connect(listener.local_addr().unwrap());
    let (peer, accepted) = tokio::join!(connects, listener.accept());
    let (mut peer, (ours, _)) = (peer.unwrap(), accepted.unwrap());
    let mut stream = DeadlineStream::multiplexed(ours, Arc::default(), Deadlines::default());
    peer.write_all(b"WINDOW_UPDATE").await.unwrap();
    let closes = tokio::spawn(async move {
        stream.write_all(&[b'x'; ANSWER]).await.unwrap();
        stream.shutdown().await.unwrap();
    });
    let mut answer = Vec::new();
    let read = peer.read_to_end(&mut answer).await;
    assert!(
        read.is_ok() && answer.len() == ANSWER,
        "{read:?}, {} bytes",
        answer.len()
    );
    drop(peer);
    closes.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_head_deadline_of_a_later_request_starts_at_its_first_byte() {
    let (mut peer, mut stream, state) = stream(64);
    drop(ConnectionState::begin(&state));
    let late = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(50)).await;
        peer.write_all(b"G").await.unwrap();
        peer
    });
    stream.read_exact(&mut [0; 1]).await.unwrap();
    assert!(is_about(times_out_after(&mut stream).await, 10) && !ABORTED.get());
    late.await.unwrap();
}

fn multiplexed() -> (
    DuplexStream,
    DeadlineStream<DuplexStream>,
    Arc<ConnectionState>,
) {
    let (peer, ours) = tokio::io::duplex(64 * 1024);
    let state = Arc::new(ConnectionState::default());
    let stream = DeadlineStream::multiplexed(ours, Arc::clone(&state), Deadlines::default());
    (peer, stream, state)
}

#[tokio::test(start_paused = true)]
async fn the_earliest_request_deadline_resets_a_multiplexed_connection() {
    let (_peer, mut stream, state) = multiplexed();
    let mut requests =
        [60, 40, 50].map(|s| ConnectionState::begin_within(&state, Duration::from_secs(s)));
    assert!(is_about(times_out_after(&mut stream).await, 40) && ABORTED.get());
    requests[1].set_deadline(Instant::now() + Duration::from_secs(40));
    assert!(is_about(times_out_after(&mut stream).await, 10));
}

#[tokio::test(start_paused = true)]
async fn bytes_outside_of_bodies_are_limited_per_request() {
    let piece = [0; 1024];
    let pieces = CONTROL_BYTES_MAX / 1024;
    for (is_body, ends_requests, expected) in [
        (true, false, 2 * pieces),
        (false, true, 2 * pieces),
        (false, false, pieces),
    ] {
        let (mut peer, mut stream, state) = multiplexed();
        let mut read = 0;
        while read < 2 * pieces {
            peer.write_all(&piece).await.unwrap();
            if stream.read_exact(&mut [0; 1024]).await.is_err() {
                break;
            }
            read += 1;
            if is_body {
                state.count_body(1024);
            }
            if ends_requests && read % 100 == 0 {
                drop(ConnectionState::begin(&state));
            }
        }
        assert_eq!(read, expected, "{is_body} {ends_requests}");
    }
}

#[tokio::test]
async fn vectored_writes_send_all_bytes_in_order() {
    assert_eq!(gather(&[io::IoSlice::new(b"abc")], &mut [0; 2]), None);
    for length in [10, GATHER_BYTES_MAX] {
        let (mut peer, mut stream, _) = stream(64 * 1024);
        let (head, body) = (b"head ".as_slice(), vec![b'x'; length]);
        let pieces = [io::IoSlice::new(head), io::IoSlice::new(&body)];
        let mut sent = stream.write_vectored(&pieces).await.unwrap();
        if sent < head.len() + length {
            stream
                .write_all(&[head, &body].concat()[sent..])
                .await
                .unwrap();
            sent = head.len() + length;
        }
        let mut received = vec![0; sent];
        peer.read_exact(&mut received).await.unwrap();
        assert_eq!(received, [head, &body].concat());
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_rests_and_later_returns_unread_bytes_first() {
    let (mut peer, mut stream, state) = stream(64);
    drop(ConnectionState::begin(&state));
    let began = Instant::now();
    reads_nothing_for(999, &mut stream).await;
    assert!(!state.take_rest_request());
    reads_nothing_for(2, &mut stream).await;
    assert!(state.take_rest_request() && !state.take_rest_request());
    let ended = stream.readable().await.unwrap_err();
    assert_eq!(ended.kind(), io::ErrorKind::TimedOut);
    assert!(is_about(began.elapsed(), 75), "{:?}", began.elapsed());

    let mut stream = stream.with_unread(b"GE");
    stream.readable().await.unwrap();
    peer.write_all(b"T").await.unwrap();
    let mut head = [0; 3];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"GET");
    // A head has begun: the head deadline applies, and the connection does not rest.
    assert!(is_about(times_out_after(&mut stream).await, 10));
    assert!(!state.take_rest_request());
}

#[tokio::test(start_paused = true)]
async fn only_an_idle_connection_after_its_first_request_rests() {
    let (_peer, mut stream, state) = stream(64);
    times_out_after(&mut stream).await;
    assert!(!state.take_rest_request());
    let in_flight = ConnectionState::begin(&state);
    reads_nothing_for(20_000, &mut stream).await;
    assert!(!state.take_rest_request());
    drop(in_flight);
}
