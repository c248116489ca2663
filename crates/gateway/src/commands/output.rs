//! What the commands print: text, tables, documents.

use std::io::{ErrorKind, Write};

use serde_json::Value;

/// Spaces between two columns.
const GAP: usize = 2;

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

/// One value of a document as a person reads it.
pub(crate) fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(values) if values.iter().all(Value::is_string) => {
            values.iter().map(cell).collect::<Vec<_>>().join(",")
        }
        other => other.to_string(),
    }
}

/// Rows under a header, each column as wide as its widest cell.
pub(crate) fn table<const N: usize>(header: [&str; N], rows: &[[String; N]]) -> String {
    let header = header.map(str::to_owned);
    let lines = || std::iter::once(&header).chain(rows);
    let width = |column: usize| lines().map(|line| line[column].chars().count()).max();
    let mut text = String::new();
    for line in lines() {
        let mut spaces = 0;
        for (column, cell) in line.iter().enumerate() {
            text.push_str(&" ".repeat(spaces));
            text.push_str(cell);
            spaces = width(column).unwrap_or(0) - cell.chars().count() + GAP;
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_their_header_and_lines_end_with_their_last_cell() {
        let rows = [["a", "b"], ["longer", ""]].map(|row| row.map(str::to_owned));
        assert_eq!(
            table(["X", "YY"], &rows),
            "X       YY\na       b\nlonger  \n"
        );
    }
}
