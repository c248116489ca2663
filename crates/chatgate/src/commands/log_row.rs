//! Renders a journal row as one line for people.

use anstyle::Style;
use serde_json::Value;
use unicode_width::UnicodeWidthStr;
use visible::escape_invisible;

use super::output::cell;
use super::terminal::{BAD, GAP, GOOD, HEAD, REFUSED, cut, padded, styled};

/// The columns, each with its usual width, so that the lines align.
const COLUMNS: [(&str, usize); 9] = [
    ("TIME", 24),
    ("ACCESS", 12),
    ("WAY", 5),
    ("METHOD", 17),
    ("CLIENT", 15),
    ("STATUS", 6),
    ("RESULT", 22),
    ("MS", 7),
    ("REQUEST", 36),
];

/// The columns for a terminal that is too narrow for all columns: the index among the usual ones, and the width. The last column
/// takes the rest of the line.
const NARROW: [(usize, usize); 6] = [(0, 14), (1, 10), (3, 13), (4, 15), (5, 6), (6, 0)];

/// Returns the header line of the rows.
pub(crate) fn header(width: Option<u16>) -> String {
    styled(
        HEAD,
        &line(&COLUMNS.map(|(name, _)| name.to_owned()), None, width),
    ) + "\n"
}

/// Renders a row as one line with a colored outcome. On a terminal the line is cut at the right edge; files and `--json` contain
/// the whole row.
pub(crate) fn render(row: &Value, width: Option<u16>) -> String {
    let style = match row["status"].as_u64() {
        Some(500..) => Some(BAD),
        // On some ways in an error has status 200.
        Some(400..) => Some(REFUSED),
        Some(_) if row["code"].is_string() => Some(REFUSED),
        Some(_) => Some(GOOD),
        None => None,
    };
    line(&cells(row), style, width) + "\n"
}

fn line(cells: &[String; 9], style: Option<Style>, width: Option<u16>) -> String {
    let gap = usize::from(GAP);
    let usual = COLUMNS.iter().map(|(_, width)| *width).enumerate();
    let needed: usize = usual.clone().map(|(_, width)| width + gap).sum();
    let mut left = width.map_or(usize::MAX, usize::from);
    let is_narrow = needed > left.saturating_add(gap);
    let columns = if is_narrow {
        NARROW.to_vec()
    } else {
        usual.collect()
    };
    let mut line = String::new();
    for (at, width) in columns {
        let most = if is_narrow && width > 0 {
            width.min(left)
        } else {
            left
        };
        // The part of a time that distinguishes rows, such as 01-31 12:00:00.
        let short = cells[at].get(5..19).filter(|_| is_narrow && at == 0);
        let text = short.map_or_else(|| cells[at].clone(), |time| time.replace('T', " "));
        let text = padded(&cut(&text, most), width.min(left));
        left = left.saturating_sub(text.width() + gap);
        match style.filter(|_| matches!(COLUMNS[at].0, "STATUS" | "RESULT")) {
            Some(style) => line += &styled(style, &text),
            None => line += &text,
        }
        if left == 0 {
            break;
        }
        line += &" ".repeat(gap);
    }
    line.trim_end().to_owned()
}

/// Returns the cells of a row. A row other than a request shows the actor and the action.
fn cells(row: &Value) -> [String; 9] {
    let kind = row["kind"].as_str().unwrap_or_default();
    let by = |what: &str| format!("{what} by {}", cell(&row["actor"]));
    let result = match kind {
        "request" => {
            let usual = match row["open"] == true {
                true => "in progress",
                false => "SUCCESS",
            };
            // The code is escaped because the upstream chooses its own codes.
            let code = escape_invisible(row["code"].as_str().unwrap_or(usual));
            let outcome = [&*code, row["delivery"].as_str().unwrap_or_default()].join(" ");
            // The count comes first, so that a narrow terminal cuts the code and not the count.
            match row["count"].as_u64() {
                Some(count @ 2..) => format!("×{count} {outcome}"),
                _ => outcome,
            }
        }
        "change" => match (&row["before"], &row["after"]) {
            (Value::Null, Value::Null) => by(&cell(&row["cause"])),
            (Value::Null, _) => by("made"),
            (_, Value::Null) => by("deleted"),
            _ => by("changed"),
        },
        "operator" => operator_result(row),
        _ => by(&cell(&row["cause"])),
    };
    let ms = row["total_us"]
        .as_f64()
        .map(|us| format!("{:.1}", us / 1000.0));
    let method = if kind == "request" {
        cell(&row["method"])
    } else {
        kind.to_owned()
    };
    [
        cell(&row["time"]),
        cell(&row["access"]),
        cell(&row["way"]),
        method,
        cell(&row["client"]),
        cell(&row["status"]),
        result.trim_end().to_owned(),
        ms.unwrap_or_else(|| "-".to_owned()),
        match row["caller_request_id"].as_str() {
            Some(callers) => format!("{} caller: {callers}", cell(&row["request_id"])),
            None => cell(&row["request_id"]),
        },
    ]
}

/// Returns the request of an admin key, its code unless it succeeded, and the owner of the key; for wrong keys also their number.
fn operator_result(row: &Value) -> String {
    let mut parts = Vec::new();
    if let Some(count @ 2..) = row["count"].as_u64() {
        parts.push(format!("×{count}"));
    }
    for name in ["http_method", "path", "code"] {
        if let Some(text) = row[name].as_str() {
            parts.push(escape_invisible(text).to_string());
        }
    }
    if let Some(cause) = row["cause"].as_str() {
        parts.push(format!("({})", escape_invisible(cause)));
    }
    if let Some(actor) = row["actor"].as_str() {
        parts.push(format!("by {}", escape_invisible(actor)));
    }
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use anstream::adapter::strip_str;
    use serde_json::json;

    use super::*;

    fn without_styles(text: &str) -> String {
        strip_str(text).to_string()
    }

    #[test]
    fn a_journal_row_is_aligned_with_its_header() {
        let row = json!({"kind": "request", "time": "2026-01-31T12:00:00.123Z", "access": "shop", "way": "http",
            "method": "sendmessage", "client": "10.0.0.1", "status": 200, "delivery": "sent", "total_us": 12345,
            "request_id": "r"});
        let header = without_styles(&header(None));
        let shown = without_styles(&render(&row, None));
        assert_eq!(shown.find("10.0.0.1"), header.find("CLIENT"));
        assert!(
            shown.contains("SUCCESS sent") && shown.contains("12.3") && shown.ends_with("  r\n")
        );
    }

    #[test]
    fn a_journal_row_fits_into_the_width_of_the_terminal() {
        let row = json!({"kind": "request", "time": "2026-01-31T12:00:00.123Z", "access": "shop",
            "status": 200, "request_id": "0123456789"});
        let shown = without_styles(&render(&row, Some(80)));
        assert!(shown.trim_end().chars().count() <= 80, "{shown}");
        assert!(shown.starts_with("01-31 12:00:00  shop"), "{shown}");
        assert_eq!(
            shown.find("200"),
            without_styles(&header(Some(80))).find("STATUS")
        );
        assert!(!shown.contains("0123456789"), "{shown}");
        assert!(render(&row, Some(165)).contains("0123456789"));
    }

    #[test]
    fn a_row_for_several_calls_shows_their_number() {
        let row =
            json!({"kind": "request", "status": 429, "code": "RATE_LIMITED", "count": 57_000});
        assert_eq!(cells(&row)[6], "×57000 RATE_LIMITED");
        let row = json!({"kind": "request", "status": 429, "code": "RATE_LIMITED", "count": 1});
        assert_eq!(cells(&row)[6], "RATE_LIMITED");
    }

    #[test]
    fn an_open_row_is_in_progress() {
        let row = json!({"kind": "request", "method": "sendmessage", "open": true});
        assert_eq!(cells(&row)[6], "in progress");
    }

    #[test]
    fn a_change_row_shows_the_actor_and_the_action() {
        let operator = json!({"kind": "operator", "actor": "ann", "http_method": "POST", "path": "/admin/v1/reload",
            "status": 422, "code": "invalid"});
        assert_eq!(cells(&operator)[6], "POST /admin/v1/reload invalid by ann");
        let wrong = json!({"kind": "operator", "path": "/admin/", "code": "unauthorized", "count": 40,
            "cause": "a wrong admin key"});
        assert_eq!(
            cells(&wrong)[6],
            "×40 /admin/ unauthorized (a wrong admin key)"
        );
        let made = json!({"kind": "change", "actor": "ann", "after": {}});
        let deleted = json!({"kind": "change", "actor": "ann", "before": {}});
        assert_eq!(cells(&made)[6], "made by ann");
        assert_eq!(cells(&deleted)[6], "deleted by ann");
    }
}
