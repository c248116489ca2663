//! Makes foreign text harmless and formats values. askama escapes markup. Characters that are invisible or change the writing
//! direction are replaced by their code.

/// Returns the text with hidden characters replaced by their code.
pub(crate) fn escape_invisible(text: &str) -> String {
    visible::escape_invisible_in_text(text).into_owned()
}

/// Returns the visible text, or a dash if there is none.
pub(crate) fn or_dash(text: Option<&str>) -> String {
    text.filter(|text| !text.is_empty())
        .map_or_else(|| "–".to_owned(), escape_invisible)
}

/// Formats a time for people: `2026-01-31 12:00:00`, UTC.
pub(crate) fn moment(rfc3339: &str) -> String {
    let text = rfc3339.replace('T', " ");
    text.trim_end_matches('Z').to_owned()
}

/// Formats seconds since 1970 in the same way.
pub(crate) fn moment_of(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds)
        .map_or_else(|_| "never".to_owned(), |time| moment(&time.to_string()))
}

/// Formats the time of day of seconds since 1970, UTC: `12:00`.
pub(crate) fn clock(seconds: i64) -> String {
    let minutes = seconds.div_euclid(60);
    format!("{:02}:{:02}", minutes / 60 % 24, minutes % 60)
}

/// Formats a duration in the largest unit that fits.
pub(crate) fn age(seconds: i64) -> String {
    let units = [(86_400, "day"), (3600, "hour"), (60, "minute")];
    for (length, name) in units {
        let count = seconds / length;
        if count >= 1 {
            let plural = if count == 1 { "" } else { "s" };
            return format!("{count} {name}{plural}");
        }
    }
    "less than a minute".to_owned()
}

/// Formats microseconds for people.
pub(crate) fn duration(us: i64) -> String {
    match us {
        ..1000 => format!("{us} µs"),
        1000..1_000_000 => format!("{:.1} ms", us as f64 / 1e3),
        _ => format!("{:.2} s", us as f64 / 1e6),
    }
}

/// Formats a number with thin spaces between groups of thousands.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_characters_are_escaped_and_others_are_unchanged() {
        assert_eq!(
            escape_invisible("a\u{202e}b\u{200b}\0"),
            "a\\u{202e}b\\u{200b}\\u{0}"
        );
        assert_eq!(escape_invisible("عربى 中文 😀\n"), "عربى 中文 😀\n");
        assert_eq!(grouped(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(
            (duration(999), duration(1500), duration(2_500_000)),
            (
                "999 µs".to_owned(),
                "1.5 ms".to_owned(),
                "2.50 s".to_owned()
            )
        );
    }
}
