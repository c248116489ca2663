//! The queue of log lines before the thread that writes them (`log_writer.rs`). Its memory is bounded: a stalled reader of standard
//! output causes dropped lines but delays no request.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use memchr::memchr_iter;
use parking_lot::{Condvar, Mutex, MutexGuard};

/// Maximum size of the known lines in the queue, in bytes: about 16,000 lines of calls, a second or two of a busy gateway.
const KNOWN_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Maximum size of the unknown lines in the queue, in bytes. Strangers can cause any number of lines, so more room would not help.
const UNKNOWN_BYTES_MAX: usize = 1024 * 1024;

/// Maximum size of one write, in bytes. A pipe accepts this much at once, and a known line waits for at most one such piece of
/// unknown lines.
pub(crate) const PIECE_BYTES: usize = 64 * 1024;

/// The time that the writing thread sleeps after each write. The lines that arrive meanwhile are written together, without a
/// wake-up for each.
const REST: Duration = Duration::from_millis(5);

/// The class of a line, which determines its room in the queue. Neither class uses the room of the other, and known lines are
/// written first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogClass {
    /// A call by an authenticated caller, a change, or an event of the gateway itself.
    Known,
    /// A call that was rejected before its caller authenticated, or an event below the level INFO.
    Unknown,
}

impl LogClass {
    /// Both classes, in the order of their numbers.
    pub(crate) const ALL: [LogClass; 2] = [LogClass::Known, LogClass::Unknown];

    /// Returns the class of lines about a caller that has authenticated or has not.
    #[must_use]
    pub fn of(is_known: bool) -> LogClass {
        if is_known {
            LogClass::Known
        } else {
            LogClass::Unknown
        }
    }

    /// Returns the word in the metric.
    pub(crate) fn word(self) -> &'static str {
        match self {
            LogClass::Known => "known",
            LogClass::Unknown => "unknown",
        }
    }

    fn bytes_max(self) -> usize {
        match self {
            LogClass::Known => KNOWN_BYTES_MAX,
            LogClass::Unknown => UNKNOWN_BYTES_MAX,
        }
    }
}

/// The queue of one log.
#[derive(Default)]
pub(crate) struct LogQueue {
    waiting: Mutex<LogQueueState>,
    /// Wakes the writing thread.
    work: Condvar,
    /// Wakes the caller that waits until all lines are written.
    written: Condvar,
    dropped: [AtomicU64; 2],
}

#[derive(Default)]
struct LogQueueState {
    rooms: [ClassLines; 2],
    /// The class and number of lines of the piece that is being written.
    writing: Option<(LogClass, u64)>,
    writer: WriterState,
    /// True if the queue contains an urgent line.
    is_urgent: bool,
    is_ending: bool,
    /// The buffer of the last piece, for reuse.
    spare: Vec<u8>,
}

/// The state of the writing thread, with the event for which it waits.
#[derive(Default, PartialEq, Eq)]
enum WriterState {
    #[default]
    Works,
    /// Waits until [`REST`] has passed, a whole piece is queued, or a line is urgent.
    Rests,
    /// Waits until a line is queued.
    Sleeps,
}

/// The lines of one class.
#[derive(Default)]
struct ClassLines {
    pieces: VecDeque<Vec<u8>>,
    /// Size of the lines, including the piece that is being written.
    bytes: usize,
}

impl ClassLines {
    /// Adds the lines for which there is room, and returns the number of the others.
    fn put(&mut self, lines: &[u8], bytes_max: usize, spare: &mut Vec<u8>) -> u64 {
        let room = bytes_max.saturating_sub(self.bytes);
        let fit = if lines.len() <= room {
            lines.len()
        } else {
            let last_end = lines[..room].iter().rposition(|b| *b == b'\n');
            last_end.map_or(0, |at| at + 1)
        };
        let (fit, dropped) = lines.split_at(fit);
        if !fit.is_empty() {
            self.bytes += fit.len();
            match self.pieces.back_mut() {
                Some(last) if last.len() + fit.len() <= PIECE_BYTES => last.extend_from_slice(fit),
                Some(_) | None => {
                    let mut piece = std::mem::take(spare);
                    piece.extend_from_slice(fit);
                    self.pieces.push_back(piece);
                }
            }
        }
        count_lines(dropped)
    }
}

impl LogQueueState {
    fn is_empty(&self) -> bool {
        self.rooms.iter().all(|room| room.pieces.is_empty())
    }

    /// Returns whether the writing thread should write immediately.
    fn is_write_due(&self) -> bool {
        let bytes: usize = self.rooms.iter().map(|room| room.bytes).sum();
        self.is_urgent || self.is_ending || bytes >= PIECE_BYTES
    }

    /// Returns the next piece. Known lines come before unknown ones.
    fn take(&mut self) -> Option<(LogClass, Vec<u8>)> {
        let found = LogClass::ALL
            .into_iter()
            .find_map(|class| Some((class, self.rooms[class as usize].pieces.pop_front()?)));
        if self.is_empty() {
            self.is_urgent = false;
        }
        let (class, piece) = found?;
        self.writing = Some((class, count_lines(&piece)));
        Some((class, piece))
    }
}

impl LogQueue {
    /// Adds lines of both classes, and counts the lines for which there is no room. An urgent line is written immediately.
    pub(crate) fn put(&self, known: &[u8], unknown: &[u8], is_urgent: bool) {
        let mut waiting = self.waiting.lock();
        let LogQueueState { rooms, spare, .. } = &mut *waiting;
        for (class, lines) in LogClass::ALL.into_iter().zip([known, unknown]) {
            if !lines.is_empty() {
                let dropped = rooms[class as usize].put(lines, class.bytes_max(), spare);
                self.drop_lines(class, dropped);
            }
        }
        waiting.is_urgent |= is_urgent;
        let wakes = match waiting.writer {
            WriterState::Works => false,
            WriterState::Rests => waiting.is_write_due(),
            WriterState::Sleeps => true,
        };
        if wakes {
            waiting.writer = WriterState::Works;
            drop(waiting);
            self.work.notify_one();
        }
    }

    /// Returns the next piece to the writing thread, after its sleep. Returns `None` if there is none until the deadline.
    pub(crate) fn next(&self, until: Option<Instant>) -> Option<(LogClass, Vec<u8>)> {
        let mut waiting = self.waiting.lock();
        if !waiting.is_write_due() {
            self.pause(&mut waiting, WriterState::Rests, Some(REST));
        }
        while waiting.is_empty() {
            let remaining = until.map(|until| until.saturating_duration_since(Instant::now()));
            if remaining.is_some_and(|remaining| remaining.is_zero()) {
                return None;
            }
            self.pause(&mut waiting, WriterState::Sleeps, remaining);
        }
        waiting.take()
    }

    fn pause(
        &self,
        waiting: &mut MutexGuard<'_, LogQueueState>,
        how: WriterState,
        at_most: Option<Duration>,
    ) {
        waiting.writer = how;
        let is_paused = |waiting: &mut LogQueueState| waiting.writer != WriterState::Works;
        match at_most {
            None => self.work.wait_while(waiting, is_paused),
            Some(time) => {
                self.work.wait_while_for(waiting, is_paused, time);
            }
        }
        waiting.writer = WriterState::Works;
    }

    /// Records that the writing thread has written a piece, except for `lost` lines.
    pub(crate) fn done(&self, class: LogClass, mut piece: Vec<u8>, lost: u64) {
        let mut waiting = self.waiting.lock();
        if waiting.writing.take().is_none() {
            // `finish` has already dropped and counted this piece.
            return;
        }
        self.drop_lines(class, lost);
        let room = &mut waiting.rooms[class as usize];
        room.bytes = room.bytes.saturating_sub(piece.len());
        piece.clear();
        // A line may be longer than a piece; its buffer is not reused.
        if piece.capacity() <= 2 * PIECE_BYTES {
            waiting.spare = piece;
        }
        if waiting.is_ending && waiting.is_empty() {
            self.written.notify_all();
        }
    }

    /// Waits until all lines are written. At the deadline, drops and counts the remaining lines, and returns their number.
    pub(crate) fn finish(&self, within: Duration) -> u64 {
        let mut waiting = self.waiting.lock();
        waiting.is_ending = true;
        waiting.writer = WriterState::Works;
        self.work.notify_one();
        let is_unwritten =
            |waiting: &mut LogQueueState| !waiting.is_empty() || waiting.writing.is_some();
        self.written
            .wait_while_for(&mut waiting, is_unwritten, within);
        let mut dropped = 0;
        let mut give_up = |class, lines| {
            self.drop_lines(class, lines);
            dropped += lines;
        };
        if let Some((class, lines)) = waiting.writing.take() {
            give_up(class, lines);
        }
        while let Some((class, _)) = waiting.take() {
            let lines = waiting.writing.take().map_or(0, |(_, lines)| lines);
            give_up(class, lines);
        }
        dropped
    }

    /// Returns the number of dropped lines of each class since the start.
    pub(crate) fn dropped(&self) -> [u64; 2] {
        self.dropped
            .each_ref()
            .map(|count| count.load(Ordering::Relaxed))
    }

    fn drop_lines(&self, class: LogClass, count: u64) {
        if count > 0 {
            self.dropped[class as usize].fetch_add(count, Ordering::Relaxed);
        }
    }
}

/// Counts lines, including an unfinished last line.
pub(super) fn count_lines(lines: &[u8]) -> u64 {
    let ends = memchr_iter(b'\n', lines).count();
    let is_open = lines.last().is_some_and(|b| *b != b'\n');
    u64::try_from(ends + usize::from(is_open)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(count: usize, byte: u8) -> Vec<u8> {
        let mut line = vec![byte; 1023];
        line.push(b'\n');
        line.repeat(count)
    }

    /// Returns the next piece, if there is one.
    fn next(queue: &LogQueue) -> Option<(LogClass, Vec<u8>)> {
        queue.next(Some(Instant::now()))
    }

    fn all(queue: &LogQueue, class: LogClass) -> usize {
        let mut bytes = 0;
        while let Some((found, piece)) = next(queue) {
            assert_eq!(found, class);
            bytes += piece.len();
            queue.done(found, piece, 0);
        }
        bytes
    }

    #[test]
    fn each_log_class_has_its_own_bound_and_dropped_lines_are_counted() {
        let queue = LogQueue::default();
        for _ in 0..20 {
            queue.put(&[], &lines(100, b'u'), false);
        }
        queue.put(&lines(10, b'k'), &[], false);
        assert_eq!(queue.dropped(), [0, 2000 - 1024]);
        let (class, piece) = next(&queue).unwrap();
        assert_eq!((class, piece), (LogClass::Known, lines(10, b'k')));
        queue.done(class, lines(10, b'k'), 0);
        assert_eq!(all(&queue, LogClass::Unknown), UNKNOWN_BYTES_MAX);
        for _ in 0..100 {
            queue.put(&lines(100, b'k'), &[], false);
        }
        assert_eq!(queue.dropped()[0], 10_000 - 8 * 1024);
        assert_eq!(all(&queue, LogClass::Known), KNOWN_BYTES_MAX);
    }

    #[test]
    fn lines_being_written_occupy_the_queue_until_they_are_done() {
        let queue = LogQueue::default();
        queue.put(&[], &lines(1024, b'u'), false);
        let (class, piece) = next(&queue).unwrap();
        queue.put(&[], &lines(1, b'u'), false);
        assert_eq!(queue.dropped(), [0, 1]);
        queue.done(class, piece, 3);
        assert_eq!(queue.dropped(), [0, 4]);
        queue.put(&[], &lines(1, b'u'), false);
        assert_eq!(queue.dropped(), [0, 4]);
    }

    #[test]
    fn finish_drops_the_remaining_lines_and_counts_them_once() {
        let queue = LogQueue::default();
        queue.put(&lines(3, b'k'), &lines(2, b'u'), false);
        let (class, piece) = next(&queue).unwrap();
        assert_eq!(queue.finish(Duration::ZERO), 5);
        queue.done(class, piece, 3);
        assert_eq!(queue.dropped(), [3, 2]);
        assert_eq!(queue.finish(Duration::ZERO), 0);
    }

    #[test]
    fn a_new_line_wakes_the_writer_and_finish_waits_for_it() {
        let queue = LogQueue::default();
        std::thread::scope(|scope| {
            let writing = scope.spawn(|| {
                let (class, piece) = queue.next(None).unwrap();
                queue.done(class, piece.clone(), 0);
                piece
            });
            queue.put(b"a\n", &[], true);
            assert_eq!(queue.finish(Duration::from_secs(60)), 0);
            assert_eq!(writing.join().unwrap(), b"a\n");
        });
        assert_eq!(queue.dropped(), [0, 0]);
    }

    #[test]
    fn count_lines_includes_an_unterminated_last_line() {
        for (lines, count) in [("", 0), ("a\n", 1), ("a\nb", 2), ("\n\n", 2)] {
            assert_eq!(count_lines(lines.as_bytes()), count, "{lines:?}");
        }
    }
}
