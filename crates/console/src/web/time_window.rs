//! The times that pages look back over, chosen by a link.

use crate::web::fields::Fields;

/// A time up to now.
#[derive(Debug)]
pub(crate) struct TimeWindow {
    /// The word in addresses, which the journal's filter understands too.
    pub(crate) word: &'static str,
    /// As people say it.
    pub(crate) text: &'static str,
    pub(crate) seconds: i64,
}

const WINDOWS: [TimeWindow; 4] = [
    TimeWindow::new("15m", "15 minutes", 900),
    TimeWindow::new("1h", "an hour", 3600),
    TimeWindow::new("1d", "a day", 86_400),
    TimeWindow::new("7d", "a week", 604_800),
];

impl TimeWindow {
    const fn new(word: &'static str, text: &'static str, seconds: i64) -> TimeWindow {
        TimeWindow {
            word,
            text,
            seconds,
        }
    }

    /// The one that a page's address names; else the shortest.
    pub(crate) fn chosen(fields: &Fields) -> &'static TimeWindow {
        let word = fields.get("window");
        let chosen = WINDOWS.iter().find(|window| window.word == word);
        chosen.unwrap_or(&WINDOWS[0])
    }

    /// All of them: word, text, and whether it is this one.
    pub(crate) fn links(&self) -> [(&'static str, &'static str, bool); WINDOWS.len()] {
        WINDOWS.map(|window| (window.word, window.text, window.word == self.word))
    }
}
