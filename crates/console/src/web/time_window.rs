//! The time ranges that pages cover, which a visitor chooses by a link.

use crate::web::fields::Fields;

/// A time range that ends now.
#[derive(Debug)]
pub(crate) struct TimeWindow {
    /// The word in addresses. The journal's filter also understands it.
    pub(crate) word: &'static str,
    /// The text for people.
    pub(crate) text: &'static str,
    pub(crate) seconds: i64,
}

const WINDOWS: [TimeWindow; 4] = [
    TimeWindow::new("15m", "15 minutes", 900),
    TimeWindow::new("1h", "1 hour", 3600),
    TimeWindow::new("1d", "1 day", 86_400),
    TimeWindow::new("7d", "1 week", 604_800),
];

impl TimeWindow {
    const fn new(word: &'static str, text: &'static str, seconds: i64) -> TimeWindow {
        TimeWindow {
            word,
            text,
            seconds,
        }
    }

    /// Returns the time range that a page's address names, or the shortest one.
    pub(crate) fn chosen(fields: &Fields) -> &'static TimeWindow {
        let word = fields.get("window");
        let chosen = WINDOWS.iter().find(|window| window.word == word);
        chosen.unwrap_or(&WINDOWS[0])
    }

    /// Returns the links to all time ranges: word, text, and whether it is this one.
    pub(crate) fn links(&self) -> [(&'static str, &'static str, bool); WINDOWS.len()] {
        WINDOWS.map(|window| (window.word, window.text, window.word == self.word))
    }
}
