//! What moves an HTTP/1.1 connection on. Whoever waits for an answer does it, in its own task: in a task beside it, each request
//! and each answer would have to wake the other task, which was a twentieth of a forward.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;

/// hyper's half of a connection, and whom to wake when it can go on.
pub(crate) struct Driver {
    /// Unset once the connection has ended.
    connection: Option<Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>>,
    relay: Arc<Relay>,
    /// The relay as the connection knows it, whichever task polls it.
    waker: Waker,
}

/// Wakes the task that waits at this moment; a connection at rest wakes nobody.
#[derive(Default)]
struct Relay {
    task: AtomicWaker,
    /// Whether the connection has been woken since it was polled the last time.
    is_woken: AtomicBool,
}

impl Wake for Relay {
    fn wake(self: Arc<Relay>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Relay>) {
        self.is_woken.store(true, Ordering::Release);
        self.task.wake();
    }
}

impl Driver {
    pub(crate) fn new(
        connection: impl Future<Output = hyper::Result<()>> + Send + 'static,
    ) -> Driver {
        let relay = Arc::<Relay>::default();
        // A connection that has never been polled is to be polled.
        relay.is_woken.store(true, Ordering::Release);
        Driver {
            connection: Some(Box::pin(connection)),
            waker: Waker::from(Arc::clone(&relay)),
            relay,
        }
    }

    /// Moves the connection on until `awaited`, which nothing but the connection can complete, is complete.
    pub(crate) async fn drive<T>(&mut self, awaited: impl Future<Output = T>) -> T {
        let mut awaited = pin!(awaited);
        poll_fn(|cx| {
            let mut nobody = Context::from_waker(Waker::noop());
            if let Poll::Ready(output) = awaited.as_mut().poll(&mut nobody) {
                return Poll::Ready(output);
            }
            // This task may have been woken for something else.
            if self.relay.is_woken.load(Ordering::Acquire) {
                self.poll();
                if let Poll::Ready(output) = awaited.as_mut().poll(&mut nobody) {
                    return Poll::Ready(output);
                }
            }
            self.relay.task.register(cx.waker());
            if self.relay.is_woken.load(Ordering::Acquire) {
                cx.waker().wake_by_ref();
            }
            Poll::Pending
        })
        .await
    }

    /// Moves the connection on as far as it goes now. An error is the answer to the request under way, if there is one.
    pub(crate) fn poll(&mut self) {
        self.relay.is_woken.store(false, Ordering::Release);
        if let Some(connection) = &mut self.connection
            && connection
                .as_mut()
                .poll(&mut Context::from_waker(&self.waker))
                .is_ready()
        {
            // What waits for it hears of its end by this.
            self.connection = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::sync::oneshot;

    /// A connection that passes one word on.
    fn driver() -> (Driver, oneshot::Sender<u8>, oneshot::Receiver<u8>) {
        let (wire, received) = oneshot::channel();
        let (passed, answer) = oneshot::channel();
        let driver = Driver::new(async move {
            if let Ok(word) = received.await {
                let _ = passed.send(word);
            }
            Ok(())
        });
        (driver, wire, answer)
    }

    #[tokio::test]
    async fn the_task_that_waits_moves_the_connection_on() {
        let (mut driver, wire, answer) = driver();
        // Another task has polled it before, and is not the one to be woken.
        driver.poll();
        let waiting = tokio::spawn(async move { driver.drive(answer).await });
        tokio::task::yield_now().await;
        wire.send(7).unwrap();
        let word = tokio::time::timeout(Duration::from_secs(10), waiting).await;
        assert_eq!(word.unwrap().unwrap(), Ok(7));
    }

    #[tokio::test]
    async fn who_waits_hears_of_the_end() {
        let (mut driver, wire, answer) = driver();
        drop(wire);
        assert!(driver.drive(answer).await.is_err());
        assert!(driver.connection.is_none());
    }
}
