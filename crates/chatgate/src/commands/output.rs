//! Prints the output of the commands: text, tables, documents.

use std::io::{ErrorKind, Write};

use anstream::AutoStream;
use comfy_table::{ContentArrangement, Table, presets};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::Value;
use visible::{escape_invisible, escape_invisible_in_json, escape_invisible_in_lines};

use super::terminal::{GAP, HEAD, styled, width};

/// Prints text for people on standard output. Invisible characters are escaped, except line ends, tabs and the escape character of
/// styles. A closed pipe, as with `head`, is not an error.
///
/// # Errors
/// The text cannot be written, for example on a full disk.
pub(crate) fn print(text: impl AsRef<str>) -> Result<(), String> {
    print_while_read(text).map(|_| ())
}

/// Prints like [`print()`]. Returns whether standard output still has a reader.
///
/// # Errors
/// The errors of [`print()`].
pub(crate) fn print_while_read(text: impl AsRef<str>) -> Result<bool, String> {
    let text = escape_invisible_in_lines(text.as_ref());
    write(AutoStream::auto(std::io::stdout()), text.as_bytes())
}

/// Prints text for a program, byte for byte.
///
/// # Errors
/// The errors of [`print()`].
pub(crate) fn print_exactly(bytes: impl AsRef<[u8]>) -> Result<(), String> {
    write(std::io::stdout(), bytes.as_ref()).map(|_| ())
}

fn write(mut output: impl Write, bytes: &[u8]) -> Result<bool, String> {
    printed(output.write_all(bytes).and_then(|()| output.flush()))
}

/// Returns whether standard output still has a reader, from the result of a write.
///
/// # Errors
/// The errors of [`print()`].
pub(crate) fn printed(written: std::io::Result<()>) -> Result<bool, String> {
    match written {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(format!("standard output: {error}")),
    }
}

/// Returns whether standard output still has a reader, without writing anything. Only the end of a pipe or terminal is noticed.
pub(crate) fn has_reader() -> bool {
    let stdout = std::io::stdout();
    let mut polled = [PollFd::new(&stdout, PollFlags::empty())];
    let without_waiting = poll(&mut polled, Some(&Timespec::default()));
    let is_closed = polled[0]
        .revents()
        .intersects(PollFlags::ERR | PollFlags::HUP);
    without_waiting.is_err() || !is_closed
}

/// Prints a document for a program. Invisible characters in it become JSON escapes.
///
/// # Errors
/// The errors of [`print()`].
pub(crate) fn print_json(document: &Value) -> Result<(), String> {
    print_exactly(escape_invisible_in_json(&format!("{document:#}\n")).as_bytes())
}

/// Renders one value of a document for people. Characters that would control the terminal are escaped.
pub(crate) fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => escape_invisible(text).into_owned(),
        Value::Array(values) if values.iter().all(Value::is_string) => {
            values.iter().map(cell).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

/// Returns the rows of a list of documents, with one column for each field.
pub(crate) fn rows<const N: usize>(list: &Value, fields: [&str; N]) -> Vec<[String; N]> {
    let list = list.as_array().into_iter().flatten();
    list.map(|row| fields.map(|name| cell(&row[name])))
        .collect()
}

/// Renders rows under a header, each column as wide as its widest cell. On a narrower terminal the cells are wrapped.
pub(crate) fn table<const N: usize>(header: [&str; N], rows: Vec<[String; N]>) -> String {
    laid_out(header, rows, width())
}

fn laid_out<const N: usize>(
    header: [&str; N],
    rows: Vec<[String; N]>,
    width: Option<u16>,
) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header)
        .add_rows(rows);
    if let Some(width) = width {
        table.set_width(width);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, GAP));
    }
    let text = table.trim_fmt();
    match text.split_once('\n') {
        Some((header, rows)) => format!("{}\n{rows}\n", styled(HEAD, header)),
        None => styled(HEAD, &text) + "\n",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rows: &[[&str; 2]], width: Option<u16>, expected: &str) {
        let rows = rows.iter().map(|row| row.map(str::to_owned)).collect();
        let (header, rows_expected) = expected.split_once('\n').unwrap();
        let expected = format!("{}\n{rows_expected}", styled(HEAD, header));
        assert_eq!(laid_out(["X", "YY"], rows, width), expected);
    }

    #[test]
    fn columns_align_with_their_header_and_lines_have_no_trailing_spaces() {
        let rows = [["a", "b"], ["longer", ""]];
        check(&rows, None, "X       YY\na       b\nlonger\n");
        check(&[["部", "b"]], None, "X   YY\n部  b\n");
    }

    #[test]
    fn a_table_wider_than_the_terminal_wraps_its_cells() {
        let rows = [["10.0.0.0/8, 192.0.2.0/24", "shop"], ["b", "c"]];
        check(
            &rows,
            Some(22),
            "X               YY\n10.0.0.0/8,     shop\n192.0.2.0/24\nb               c\n",
        );
    }

    #[test]
    fn control_characters_in_table_cells_are_escaped() {
        let value = Value::from("a\u{1b}[2J\nb\u{9b}");
        assert_eq!(cell(&value), r"a\u{1b}[2J\u{a}b\u{9b}");
    }
}
