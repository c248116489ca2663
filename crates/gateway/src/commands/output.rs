//! What the commands print: text, tables, documents.

use std::io::{ErrorKind, Write};

use serde_json::Value;
use unicode_width::UnicodeWidthStr;

use super::terminal::{GAP, HEAD, fitting, padded, painted, room, wrapped};
use crate::visible::{visible, visible_json, visible_lines};

/// Prints text for people on standard output. A reader that has gone away, such as `head`, is no failure of ours. Characters
/// that nobody sees are shown, but for line ends, tabs and the escape character, which styles need.
///
/// # Errors
/// When what is printed can't be kept, on a full disk for example.
pub(crate) fn print(text: impl AsRef<str>) -> Result<(), String> {
    print_on(text).map(|_| ())
}

/// As [`print()`]; says whether there is a reader for more.
///
/// # Errors
/// As [`print()`].
pub(crate) fn print_on(text: impl AsRef<str>) -> Result<bool, String> {
    print_bytes(visible_lines(text.as_ref()).as_bytes())
}

/// Prints what is for a program to read, byte for byte.
///
/// # Errors
/// As [`print()`].
pub(crate) fn print_exactly(bytes: impl AsRef<[u8]>) -> Result<(), String> {
    print_bytes(bytes.as_ref()).map(|_| ())
}

fn print_bytes(bytes: &[u8]) -> Result<bool, String> {
    let mut output = std::io::stdout().lock();
    let printed = output.write_all(bytes).and_then(|()| output.flush());
    match printed {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(format!("standard output: {error}")),
    }
}

/// Prints a document for a program to read. Characters that nobody sees stand in it as JSON's escapes.
///
/// # Errors
/// As [`print()`].
pub(crate) fn print_json(document: &Value) -> Result<(), String> {
    print_exactly(visible_json(&format!("{document:#}\n")).as_bytes())
}

/// Prints a line on standard error. That it can't be printed is nothing that a command fails by.
pub(crate) fn print_aside(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// One value of a document as a person reads it. What would steer the terminal is shown as an escape.
pub(crate) fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => visible(text).into_owned(),
        Value::Array(values) if values.iter().all(Value::is_string) => {
            values.iter().map(cell).collect::<Vec<_>>().join(",")
        }
        other => other.to_string(),
    }
}

/// Rows under a header, each column as wide as its widest cell; on a terminal no wider than that, so that what is too
/// long goes on in the next line.
pub(crate) fn table<const N: usize>(header: [&str; N], rows: &[[String; N]]) -> String {
    laid_out(header, rows, room())
}

fn laid_out<const N: usize>(
    header: [&str; N],
    rows: &[[String; N]],
    room: Option<usize>,
) -> String {
    let header = header.map(str::to_owned);
    let width = |column: usize| {
        let cells = std::iter::once(&header).chain(rows);
        cells.map(|line| line[column].width()).max().unwrap_or(0)
    };
    let widths = fitting((0..N).map(width).collect(), room);
    let mut text = String::new();
    for line in row_lines(&header, &widths) {
        text.push_str(&painted(HEAD, &line));
        text.push('\n');
    }
    for row in rows {
        for line in row_lines(row, &widths) {
            text.push_str(&line);
            text.push('\n');
        }
    }
    text
}

/// The lines that a row takes.
fn row_lines<const N: usize>(row: &[String; N], widths: &[usize]) -> Vec<String> {
    let cells = row.iter().zip(widths);
    let cells: Vec<_> = cells.map(|(cell, width)| wrapped(cell, *width)).collect();
    let most = cells.iter().map(Vec::len).max().unwrap_or(0);
    let gap = " ".repeat(GAP);
    let line = |at: usize| {
        let pieces = cells.iter().zip(widths);
        let pieces = pieces.map(|(cell, width)| padded(cell.get(at).map_or("", |c| c), *width));
        pieces.collect::<Vec<_>>().join(&gap).trim_end().to_owned()
    };
    (0..most).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rows: &[[&str; 2]], room: Option<usize>, expected: &str) {
        let rows: Vec<_> = rows.iter().map(|row| row.map(str::to_owned)).collect();
        assert_eq!(laid_out(["X", "YY"], &rows, room), expected);
    }

    #[test]
    fn columns_stand_under_their_header_and_lines_end_with_their_last_cell() {
        let rows = [["a", "b"], ["longer", ""]];
        check(&rows, None, "X       YY\na       b\nlonger\n");
        check(&[["部", "b"]], None, "X   YY\n部  b\n");
    }

    #[test]
    fn what_is_too_long_for_the_terminal_goes_on_in_the_next_line() {
        let rows = [["10.0.0.0/8,192.0.2.0/24", "shop"], ["b", "c"]];
        check(
            &rows,
            Some(20),
            "X               YY\n10.0.0.0/8,     shop\n192.0.2.0/24\nb               c\n",
        );
    }

    #[test]
    fn nothing_steers_the_terminal() {
        let value = Value::from("a\u{1b}[2J\nb\u{9b}");
        assert_eq!(cell(&value), r"a\u{1b}[2J\u{a}b\u{9b}");
    }
}
