//! Drives an HTTP/1 connection within the task of its exchange. As a task of its own it woke and was woken twice in each
//! exchange, and each time the caller's connection was polled as a whole: a twentieth of a forward.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;

/// Turns of connection and exchange before others have theirs. An exchange takes three; more are asked for when the runtime
/// wants the task to yield.
const TURNS_MAX: usize = 8;

/// A connection, which moves only while somebody waits for something of it.
pub(crate) struct Driver {
    /// None once it has ended.
    connection: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    wakes_connection: Signal,
    /// Of what is waited for.
    wakes_work: Signal,
    /// The task that waits.
    task: Arc<AtomicWaker>,
}

impl Driver {
    pub(crate) fn new(connection: impl Future<Output = ()> + Send + 'static) -> Driver {
        let task = Arc::<AtomicWaker>::default();
        Driver {
            connection: Some(Box::pin(connection)),
            wakes_connection: Signal::new(&task),
            wakes_work: Signal::new(&task),
            task,
        }
    }

    /// Waits for something that this connection brings.
    pub(crate) async fn drive<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        self.wakes_work.set();
        poll_fn(|context| self.poll_both(work.as_mut(), context)).await
    }

    /// Takes in what has happened while nobody waited: the peer may have closed the connection.
    pub(crate) fn catch_up(&mut self) {
        if self.wakes_connection.take() {
            self.poll_connection();
        }
    }

    fn poll_both<T>(
        &mut self,
        mut work: Pin<&mut impl Future<Output = T>>,
        context: &mut Context<'_>,
    ) -> Poll<T> {
        // What is signalled from here on is seen here; waking the task for it would poll all of it once more.
        drop(self.task.take());
        for _ in 0..TURNS_MAX {
            if self.wakes_work.take() {
                let mut context = Context::from_waker(&self.wakes_work.waker);
                let worked = work.as_mut().poll(&mut context);
                if worked.is_ready() {
                    return worked;
                }
            }
            if self.wakes_connection.take() {
                self.poll_connection();
                continue;
            }
            self.task.register(context.waker());
            // Another thread may have signalled before that.
            if !self.wakes_work.is_set() && !self.wakes_connection.is_set() {
                return Poll::Pending;
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_connection(&mut self) {
        let Some(connection) = &mut self.connection else {
            return;
        };
        let mut context = Context::from_waker(&self.wakes_connection.waker);
        if connection.as_mut().poll(&mut context).is_ready() {
            self.connection = None;
        }
    }
}

/// Says that one of the two has to be polled. In the beginning both have.
struct Signal {
    flag: Arc<WakeFlag>,
    /// Sets the flag.
    waker: Waker,
}

struct WakeFlag {
    is_set: AtomicBool,
    task: Arc<AtomicWaker>,
}

impl Signal {
    fn new(task: &Arc<AtomicWaker>) -> Signal {
        let flag = Arc::new(WakeFlag {
            is_set: AtomicBool::new(true),
            task: Arc::clone(task),
        });
        Signal {
            waker: Waker::from(Arc::clone(&flag)),
            flag,
        }
    }

    fn set(&self) {
        self.flag.is_set.store(true, Ordering::Release);
    }

    fn is_set(&self) -> bool {
        self.flag.is_set.load(Ordering::Acquire)
    }

    fn take(&self) -> bool {
        self.flag.is_set.swap(false, Ordering::AcqRel)
    }
}

impl Wake for WakeFlag {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_set.store(true, Ordering::Release);
        self.task.wake();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::{mpsc, oneshot};
    use tokio::time::timeout;

    use super::*;

    /// Answers each question with itself, and ends without more of them.
    fn echo() -> (mpsc::Sender<oneshot::Sender<u8>>, Driver) {
        let (questions, mut asked) = mpsc::channel::<oneshot::Sender<u8>>(1);
        let driver = Driver::new(async move {
            while let Some(answer) = asked.recv().await {
                let _ = answer.send(1);
            }
        });
        (questions, driver)
    }

    #[tokio::test]
    async fn a_connection_moves_while_somebody_waits_for_it() {
        let (questions, mut driver) = echo();
        for _ in 0..1000 {
            let (answer, answered) = oneshot::channel();
            let asking = async {
                questions.send(answer).await.unwrap();
                answered.await
            };
            assert_eq!(driver.drive(asking).await, Ok(1));
        }
        let (answer, answered) = oneshot::channel();
        questions.send(answer).await.unwrap();
        let waited = timeout(Duration::from_millis(10), answered).await;
        assert!(waited.is_err(), "it moved by itself");
    }

    #[tokio::test]
    async fn what_another_thread_brings_wakes_the_task() {
        let (answer, answered) = oneshot::channel();
        let mut driver = Driver::new(async move {
            let (woken, wakes) = oneshot::channel();
            std::thread::spawn(move || woken.send(()));
            let _ = wakes.await;
            let _ = answer.send(2);
        });
        let answered = timeout(Duration::from_secs(60), driver.drive(answered)).await;
        assert_eq!(answered.unwrap(), Ok(2));
    }

    #[tokio::test]
    async fn what_happened_meanwhile_is_taken_in_and_an_end_is_seen() {
        let (questions, mut driver) = echo();
        driver.catch_up();
        assert!(driver.connection.is_some());
        drop(questions);
        driver.catch_up();
        assert!(driver.connection.is_none());
        // A driver that has ended brings nothing, and does not hang.
        assert_eq!(driver.drive(async { 3 }).await, 3);
    }
}
