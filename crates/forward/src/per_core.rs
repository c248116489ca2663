//! Which of the threads that serve connections this is. Connections to the upstream stay with the thread that opened them.

use std::cell::Cell;
use std::num::NonZeroUsize;

thread_local! {
    static WORKER: Cell<Option<usize>> = const { Cell::new(None) };
}

/// How many such threads there are: as many as the process may use cores.
#[must_use]
pub fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

/// From here on this thread is the worker with this number.
pub fn enter_worker(number: usize) {
    WORKER.set(Some(number));
}

/// One of something for each worker, and one for everybody else.
pub(crate) struct PerCore<T> {
    workers: Box<[T]>,
    others: T,
}

impl<T> PerCore<T> {
    /// Makes all of them.
    pub(crate) fn new(make: impl Fn() -> T) -> PerCore<T> {
        PerCore {
            workers: (0..workers()).map(|_| make()).collect(),
            others: make(),
        }
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.workers.iter().chain([&self.others])
    }

    /// The one of this thread.
    pub(crate) fn local(&self) -> &T {
        let mine = WORKER.get().and_then(|number| self.workers.get(number));
        mine.unwrap_or(&self.others)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_worker_has_its_own_and_all_others_share_one() {
        let numbers = Cell::new(0);
        let made = PerCore::new(|| {
            numbers.set(numbers.get() + 1);
            numbers.get()
        });
        let made = &made;
        let of_others = workers() + 1;
        assert_eq!(*made.local(), of_others);
        std::thread::scope(|scope| {
            for number in 0..=workers() {
                let there = scope.spawn(move || {
                    enter_worker(number);
                    *made.local()
                });
                assert_eq!(there.join().unwrap(), number + 1);
            }
        });
    }
}
