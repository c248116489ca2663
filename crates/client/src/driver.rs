//! Drives an HTTP/1.1 connection. The task that waits for an answer drives the connection itself. With a separate task, each
//! request and each answer would have to wake the other task, which cost a twentieth of a forward.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;

/// hyper's half of a connection, and the task to wake when it can make progress.
pub(crate) struct Driver {
    /// `None` after the connection has ended.
    connection: Option<Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>>,
    relay: Arc<Relay>,
    /// The relay as a waker. The connection gets this waker, whichever task polls it.
    waker: Waker,
}

/// Wakes the task that currently waits for the connection. Without such a task it wakes nobody.
#[derive(Default)]
struct Relay {
    task: AtomicWaker,
    /// True if the connection has been woken since the last poll.
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
        // A new connection needs a first poll.
        relay.is_woken.store(true, Ordering::Release);
        Driver {
            connection: Some(Box::pin(connection)),
            waker: Waker::from(Arc::clone(&relay)),
            relay,
        }
    }

    /// Drives the connection until `awaited` is complete. Nothing but the connection can complete `awaited`.
    pub(crate) async fn drive<T>(&mut self, awaited: impl Future<Output = T>) -> T {
        let mut awaited = pin!(awaited);
        poll_fn(|cx| {
            let mut nobody = Context::from_waker(Waker::noop());
            if let Poll::Ready(output) = awaited.as_mut().poll(&mut nobody) {
                return Poll::Ready(output);
            }
            // Poll only if the connection was woken, because this task may have been woken for something else.
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

    /// Drives the connection as far as possible now. An error reaches the request in progress, if there is one.
    pub(crate) fn poll(&mut self) {
        self.relay.is_woken.store(false, Ordering::Release);
        if let Some(connection) = &mut self.connection
            && connection
                .as_mut()
                .poll(&mut Context::from_waker(&self.waker))
                .is_ready()
        {
            // Dropping the connection informs the tasks that wait for it.
            self.connection = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::sync::oneshot;

    /// Returns a connection that passes one word on.
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
    async fn the_waiting_task_drives_the_connection() {
        let (mut driver, wire, answer) = driver();
        // Another task has polled the connection before, and must not be the one that is woken.
        driver.poll();
        let waiting = tokio::spawn(async move { driver.drive(answer).await });
        tokio::task::yield_now().await;
        wire.send(7).unwrap();
        let word = tokio::time::timeout(Duration::from_secs(10), waiting).await;
        assert_eq!(word.unwrap().unwrap(), Ok(7));
    }

    #[tokio::test]
    async fn the_waiting_task_gets_an_error_when_the_connection_ends() {
        let (mut driver, wire, answer) = driver();
        drop(wire);
        assert!(driver.drive(answer).await.is_err());
        assert!(driver.connection.is_none());
    }
}
