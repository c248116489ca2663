//! `chatgate log`, `replay` and `journal`: what happened, what would have happened, and forgetting it.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr;
use url::form_urlencoded::Serializer;

use super::admin::{Admin, COMMAND_TIMEOUT};
use super::output::{cell, print, print_json, print_on, table};
use super::terminal::{
    BAD, GAP, GOOD, HEAD, Progress, REFUSED, cut, during, fitting, padded, painted, room,
};
use crate::cli::journal::{EraseArgs, JournalCommand, LogArgs, ReplayArgs};
use crate::visible::{visible, visible_json};

const JOURNAL: &str = "/admin/v1/journal";

/// Rows asked for at a time.
const PAGE_ROWS: u32 = 100;

/// Pause between two looks for what is new: a person takes it for at once.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(500);

/// Longest wait for a replay, which judges every call of the access.
const REPLAY_TIMEOUT: Duration = Duration::from_secs(600);

/// The columns, each with its usual width: lines that come later stand under those before.
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

/// What a narrow terminal does without, in this order.
const DISPENSABLE: [&str; 3] = ["REQUEST", "MS", "WAY"];

/// What is left of a time there, in characters.
const SHORT_TIME: usize = 14;

/// Prints the latest rows, the newest last, and what is new after them if that is wanted.
pub(crate) async fn log_command(args: LogArgs) -> Result<(), String> {
    let admin = Admin::new(&args.admin, COMMAND_TIMEOUT)?;
    let rows = latest(&admin, &args).await?;
    let mut cursor = rows
        .last()
        .map_or_else(|| "0".to_owned(), |row| cell(&row["id"]));
    let header = if args.json {
        String::new()
    } else {
        header(room())
    };
    if !print_on(header + &lines(&args, &rows))? || !args.follow {
        return Ok(());
    }
    loop {
        let query = [("order", "oldest"), ("cursor", &cursor)];
        let page = admin.get(&path(&args, &query, PAGE_ROWS)).await?;
        let rows = rows_of(&page);
        if let Some(last) = rows.last() {
            cursor = cell(&last["id"]);
        }
        if !print_on(lines(&args, rows))? {
            return Ok(());
        }
        if page["next"].is_null() {
            tokio::time::sleep(FOLLOW_INTERVAL).await;
        }
    }
}

/// The latest rows that fit, the newest last.
async fn latest(admin: &Admin, args: &LogArgs) -> Result<Vec<Value>, String> {
    let mut rows = Vec::new();
    let mut cursor = String::new();
    loop {
        let left = args
            .limit
            .saturating_sub(u32::try_from(rows.len()).unwrap_or(u32::MAX));
        let count = left.min(PAGE_ROWS);
        let query = [("cursor", cursor.as_str())];
        let query = if cursor.is_empty() {
            &[][..]
        } else {
            &query[..]
        };
        let page = admin.get(&path(args, query, count)).await?;
        rows.extend_from_slice(rows_of(&page));
        match page["next"].as_str() {
            Some(next) if left > count => next.clone_into(&mut cursor),
            _ => break,
        }
    }
    rows.reverse();
    Ok(rows)
}

fn rows_of(page: &Value) -> &[Value] {
    page["rows"].as_array().map_or(&[], Vec::as_slice)
}

fn path(args: &LogArgs, query: &[(&str, &str)], count: u32) -> String {
    let filters = [
        ("access", &args.access),
        ("method", &args.method),
        ("status", &args.status),
        ("since", &args.since),
        ("until", &args.until),
        ("ip", &args.ip),
        ("request_id", &args.request_id),
        ("delivery", &args.delivery),
    ];
    let filters = filters
        .iter()
        .filter_map(|(name, value)| Some((*name, value.as_deref()?)));
    let mut written = Serializer::new(String::new());
    written.extend_pairs(filters).extend_pairs(query);
    written.append_pair("limit", &count.to_string());
    format!("{JOURNAL}?{}", written.finish())
}

fn lines(args: &LogArgs, rows: &[Value]) -> String {
    let one = |row: &Value| {
        if args.json {
            visible_json(&format!("{row}\n")).into_owned()
        } else {
            painted_line(row, room())
        }
    };
    rows.iter().map(one).collect()
}

fn header(room: Option<usize>) -> String {
    let names = COLUMNS.map(|(name, _)| name.to_owned());
    painted(HEAD, joined(&columns(names, room)).trim_end()) + "\n"
}

/// A row as one line, its outcome in a colour.
fn painted_line(row: &Value, room: Option<usize>) -> String {
    let mut cells = columns(shown(row), room);
    let style = match row["status"].as_u64() {
        Some(500..) => Some(BAD),
        // By some ways an error comes with 200.
        Some(400..) => Some(REFUSED),
        Some(_) if row["code"].is_string() => Some(REFUSED),
        Some(_) => Some(GOOD),
        None => None,
    };
    for (column, cell) in &mut cells {
        if let Some(style) = style.filter(|_| matches!(COLUMNS[*column].0, "STATUS" | "RESULT")) {
            *cell = painted(style, cell);
        }
    }
    joined(&cells).trim_end().to_owned() + "\n"
}

fn joined(cells: &[(usize, String)]) -> String {
    let cells: Vec<_> = cells.iter().map(|(_, cell)| cell.as_str()).collect();
    cells.join(&" ".repeat(GAP))
}

/// The cells of a line, each with its column and as wide as that. On a terminal a line is one line: what it has no room
/// for is left out or cut off, and `--json` or a file has it.
fn columns(mut cells: [String; 9], room: Option<usize>) -> Vec<(usize, String)> {
    let usual = COLUMNS.map(|(_, width)| width);
    let all = || (0..COLUMNS.len()).zip(usual);
    let as_usual = |(at, width): (usize, usize)| (at, padded(&cells[at], width));
    let whole: Vec<_> = all().map(as_usual).collect();
    let line = joined(&whole);
    let usually: usize = usual.iter().map(|width| width + GAP).sum();
    // The header has to find the same room as the rows.
    let fits = |room: usize| usually <= room + GAP && line.trim_end().width() <= room;
    let Some(room) = room.filter(|room| !fits(*room)) else {
        return whole;
    };
    let needed = |widths: &[(usize, usize)]| widths.iter().map(|(_, w)| w + GAP).sum::<usize>();
    let mut widths: Vec<_> = all().collect();
    if needed(&widths) > room + GAP {
        // Of the time, what tells rows apart: 01-31 12:00:00.
        widths[0].1 = SHORT_TIME;
        if let Some(short) = cells[0].get(5..5 + SHORT_TIME) {
            cells[0] = short.replace('T', " ");
        }
    }
    for name in DISPENSABLE {
        if needed(&widths) > room + GAP {
            widths.retain(|(at, _)| COLUMNS[*at].0 != name);
        }
    }
    let (time, others) = (widths[0].1, widths[1..].iter().map(|(_, width)| *width));
    let others = fitting(others.collect(), Some(room.saturating_sub(time + GAP)));
    let fitted = std::iter::once(time).chain(others);
    let fitted = widths
        .iter()
        .zip(fitted)
        .map(|((at, _), width)| (*at, width));
    let cut_to = |(at, width): (usize, usize)| (at, padded(&cut(&cells[at], width), width));
    fitted.map(cut_to).collect()
}

/// A row for a person. What no request is tells who did it, and what.
fn shown(row: &Value) -> [String; 9] {
    let kind = row["kind"].as_str().unwrap_or_default();
    let result = match kind {
        "request" => {
            // An upstream's own words are its to choose.
            let code = visible(row["code"].as_str().unwrap_or("SUCCESS"));
            let told = [&*code, row["delivery"].as_str().unwrap_or_default()].join(" ");
            // First, so that a narrow terminal cuts the code and not the number.
            match row["count"].as_u64() {
                Some(count @ 2..) => format!("×{count} {told}"),
                _ => told,
            }
        }
        "change" => match (&row["before"], &row["after"]) {
            (Value::Null, Value::Null) => {
                format!("{} by {}", cell(&row["cause"]), cell(&row["actor"]))
            }
            (Value::Null, _) => format!("made by {}", cell(&row["actor"])),
            (_, Value::Null) => format!("deleted by {}", cell(&row["actor"])),
            _ => format!("changed by {}", cell(&row["actor"])),
        },
        "operator" => operator_result(row),
        _ => format!("{} by {}", cell(&row["cause"]), cell(&row["actor"])),
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
            Some(callers) => format!("{} caller: {}", cell(&row["request_id"]), callers),
            None => cell(&row["request_id"]),
        },
    ]
}

/// What an admin key did, how it ended unless well, and whose key it was; of wrong keys how many there were.
fn operator_result(row: &Value) -> String {
    let mut parts = Vec::new();
    if let Some(count @ 2..) = row["count"].as_u64() {
        parts.push(format!("×{count}"));
    }
    for name in ["http_method", "path", "code"] {
        if let Some(text) = row[name].as_str() {
            parts.push(visible(text).to_string());
        }
    }
    if let Some(cause) = row["cause"].as_str() {
        parts.push(format!("({})", visible(cause)));
    }
    if let Some(actor) = row["actor"].as_str() {
        parts.push(format!("by {}", visible(actor)));
    }
    parts.join(" ")
}

/// Judges journalled calls by networks that are not in force.
pub(crate) async fn replay_command(args: ReplayArgs) -> Result<(), String> {
    let mut wish = json!({"access": args.access, "since": args.since});
    for (name, list) in [("allow", args.allow), ("deny", args.deny)] {
        if let Some(list) = list {
            wish[name] = list.into();
        }
    }
    let admin = Admin::new(&args.admin, REPLAY_TIMEOUT)?;
    let judging = admin.send(Method::POST, "/admin/v1/replay", &wish);
    let told = during(
        "Judging the journalled calls",
        &Progress::default(),
        judging,
    )
    .await?;
    if args.json {
        return print_json(&told);
    }
    let list = |name: &str| told[name].as_array().cloned().unwrap_or_default();
    let mut text = format!(
        "{} of {} calls would have been refused, {} of them newly; {} refused ones would have been let in.\n",
        told["refused"], told["judged"], told["newly_refused"], told["newly_admitted"]
    );
    let addresses = list("addresses");
    if !addresses.is_empty() {
        let fields = ["address", "refused", "newly_refused", "verdict"];
        let rows: Vec<_> = addresses
            .iter()
            .map(|row| fields.map(|name| cell(&row[name])))
            .collect();
        text.push('\n');
        text.push_str(&table(["ADDRESS", "REFUSED", "NEWLY", "WHY"], &rows));
        let fields = ["time", "client", "method", "code", "request_id"];
        let rows: Vec<_> = list("rows")
            .iter()
            .map(|row| fields.map(|name| cell(&row[name])))
            .collect();
        text.push('\n');
        text.push_str(&table(
            ["TIME", "CLIENT", "METHOD", "CODE THEN", "REQUEST"],
            &rows,
        ));
    }
    print(text)
}

pub(crate) async fn journal_command(command: JournalCommand) -> Result<(), String> {
    let JournalCommand::Erase(EraseArgs {
        destination,
        json,
        admin,
    }) = command;
    let admin = Admin::new(&admin, REPLAY_TIMEOUT)?;
    let wish = json!({ "destination": destination });
    let erasing = admin.send(Method::POST, "/admin/v1/journal/erase", &wish);
    let told = during("Erasing", &Progress::default(), erasing).await?;
    if json {
        print_json(&told)
    } else {
        print(format!("{} rows have lost what was said\n", told["erased"]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_one_line_under_its_header() {
        let row = json!({"kind": "request", "time": "2026-01-31T12:00:00.123Z", "access": "shop", "way": "http",
            "method": "sendmessage", "client": "10.0.0.1", "status": 200, "delivery": "sent", "total_us": 12345,
            "request_id": "r"});
        let header = header(None);
        let shown = painted_line(&row, None);
        assert_eq!(shown.find("10.0.0.1"), header.find("CLIENT"));
        assert!(
            shown.contains("SUCCESS sent") && shown.contains("12.3") && shown.ends_with("  r\n")
        );
    }

    #[test]
    fn a_row_has_no_more_than_its_line_on_a_terminal() {
        let row = json!({"kind": "request", "time": "2026-01-31T12:00:00.123Z", "access": "shop",
            "status": 200, "request_id": "0123456789"});
        let shown = painted_line(&row, Some(80));
        assert!(shown.trim_end().chars().count() <= 80, "{shown}");
        assert!(shown.starts_with("01-31 12:00:00  shop"), "{shown}");
        assert_eq!(shown.find("200"), header(Some(80)).find("STATUS"));
        assert!(!shown.contains("0123456789"), "{shown}");
        assert!(painted_line(&row, Some(165)).contains("0123456789"));
    }

    #[test]
    fn a_row_of_many_calls_says_how_many() {
        let row =
            json!({"kind": "request", "status": 429, "code": "RATE_LIMITED", "count": 57_000});
        assert_eq!(shown(&row)[6], "×57000 RATE_LIMITED");
        let row = json!({"kind": "request", "status": 429, "code": "RATE_LIMITED", "count": 1});
        assert_eq!(shown(&row)[6], "RATE_LIMITED");
    }

    #[test]
    fn a_change_tells_who_and_what() {
        let operator = json!({"kind": "operator", "actor": "ann", "http_method": "POST", "path": "/admin/v1/reload",
            "status": 422, "code": "invalid"});
        assert_eq!(shown(&operator)[6], "POST /admin/v1/reload invalid by ann");
        let wrong = json!({"kind": "operator", "path": "/admin/", "code": "unauthorized", "count": 40,
            "cause": "a wrong admin key"});
        assert_eq!(
            shown(&wrong)[6],
            "×40 /admin/ unauthorized (a wrong admin key)"
        );
        let made = json!({"kind": "change", "actor": "ann", "after": {}});
        let deleted = json!({"kind": "change", "actor": "ann", "before": {}});
        assert_eq!(shown(&made)[6], "made by ann");
        assert_eq!(shown(&deleted)[6], "deleted by ann");
    }
}
