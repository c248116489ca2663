//! What the commands print: text, tables, documents.

use std::io::{ErrorKind, Write};

use serde_json::Value;
use unicode_width::UnicodeWidthStr;

use super::terminal::{GAP, HEAD, fitting, padded, painted, room, wrapped};

/// Prints on standard output. A reader that has gone away, such as `head`, is no failure of ours.
///
/// # Errors
/// When what is printed can't be kept, on a full disk for example.
pub(crate) fn print(text: impl AsRef<[u8]>) -> Result<(), String> {
    print_on(text).map(|_| ())
}

/// As [`print()`]; says whether there is a reader for more.
///
/// # Errors
/// As [`print()`].
pub(crate) fn print_on(text: impl AsRef<[u8]>) -> Result<bool, String> {
    let mut output = std::io::stdout().lock();
    let printed = output
        .write_all(text.as_ref())
        .and_then(|()| output.flush());
    match printed {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(format!("standard output: {error}")),
    }
}

/// Prints a document for a program to read.
///
/// # Errors
/// As [`print()`].
pub(crate) fn print_json(document: &Value) -> Result<(), String> {
    print(format!("{document:#}\n"))
}

/// One value of a document as a person reads it. What would steer the terminal is not passed on to it.
pub(crate) fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.replace(char::is_control, "\u{fffd}"),
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
        assert_eq!(cell(&value), "a\u{fffd}[2J\u{fffd}b\u{fffd}");
    }
}
