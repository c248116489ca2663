//! The journal as a table for spreadsheets (RFC 4180). A cell that a spreadsheet would read as a formula gets an apostrophe in
//! front, which makes it a text.

use serde_json::Value;
use store::JournalRow;

use crate::journal::rows::row_view;

/// The columns: all fields of a row that are not objects.
const COLUMNS: &str = "time id kind open count request_id caller_request_id trace_id access way method http_method path peer client \
    status canonical code upstream_code delivery attempts queue_us upstream_us total_us cache limited_by \
    limit_left user_agent cause would_refuse actor parameters";

/// Writes the header line.
pub(crate) fn head() -> String {
    record(COLUMNS.split(' ').map(str::to_owned))
}

/// Writes one row.
pub(crate) fn line(row: JournalRow) -> String {
    let row = row_view(row, false);
    record(COLUMNS.split(' ').map(|column| match &row[column] {
        Value::Null => String::new(),
        Value::String(text) => cell(text),
        other => cell(&other.to_string()),
    }))
}

/// Writes a line in which every cell is quoted, because some programs also split at semicolons or tabs.
fn record(cells: impl Iterator<Item = String>) -> String {
    let mut writer = csv::WriterBuilder::new()
        .quote_style(csv::QuoteStyle::Always)
        .terminator(csv::Terminator::CRLF)
        .from_writer(Vec::new());
    // Writing into memory can't fail, and all cells are text.
    let _ = writer.write_record(cells);
    let written = writer.into_inner().unwrap_or_default();
    String::from_utf8(written).unwrap_or_default()
}

/// Makes a cell harmless: marks a formula as text, and replaces NUL, which ends a text in some programs.
fn cell(text: &str) -> String {
    let starts = [
        '=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠', '|', '%',
    ];
    // Spreadsheets skip blanks and invisible characters.
    let hides = |c: char| {
        c.is_whitespace()
            || c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    let is_formula = text.trim_start_matches(hides).starts_with(starts) || text.starts_with(starts);
    let apostrophe = if is_formula { "'" } else { "" };
    format!("{apostrophe}{}", text.replace('\0', "\u{fffd}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_that_could_be_a_formula_gets_an_apostrophe() {
        assert_eq!(cell("plain, \"quoted\""), "plain, \"quoted\"");
        for formula in [
            "=1+1",
            "+1",
            "-1",
            "@SUM(A1)",
            "\t=1",
            "\r=1",
            " =1",
            "\u{feff}=1",
            "＝1",
            "\n=1",
            "%0A=1",
        ] {
            assert!(
                cell(formula).starts_with('\''),
                "{formula:?}: {}",
                cell(formula)
            );
        }
    }
}
