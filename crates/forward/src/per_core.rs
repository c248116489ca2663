//! Identifies the thread among those that serve connections. Connections to the upstream stay with the thread that opened them.

use std::cell::Cell;
use std::num::NonZeroUsize;

thread_local! {
    static WORKER: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Returns the number of such threads: the number of cores that the process may use.
#[must_use]
pub fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

/// Makes this thread the worker with this number.
pub fn enter_worker(number: usize) {
    WORKER.set(Some(number));
}

/// One value for each worker, and one for all other threads.
pub(crate) struct PerCore<T> {
    workers: Box<[T]>,
    others: T,
}

impl<T> PerCore<T> {
    /// Creates all values.
    pub(crate) fn new(make: impl Fn() -> T) -> PerCore<T> {
        PerCore {
            workers: (0..workers()).map(|_| make()).collect(),
            others: make(),
        }
    }

    /// Returns all values.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.workers.iter().chain([&self.others])
    }

    /// Returns the value of this thread.
    pub(crate) fn local(&self) -> &T {
        let mine = WORKER.get().and_then(|number| self.workers.get(number));
        mine.unwrap_or(&self.others)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_worker_has_its_own_value_and_other_threads_share_one() {
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
                let thread = scope.spawn(move || {
                    enter_worker(number);
                    *made.local()
                });
                assert_eq!(thread.join().unwrap(), number + 1);
            }
        });
    }
}
