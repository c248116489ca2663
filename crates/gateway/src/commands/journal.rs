//! `chatgate log`, `replay` and `journal`: what happened, what would have happened, and forgetting it.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use url::form_urlencoded::Serializer;

use super::admin::{Admin, COMMAND_TIMEOUT};
use super::output::{cell, print, print_json, print_on, table};
use crate::cli::journal::{EraseArgs, JournalCommand, LogArgs, ReplayArgs};

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
    ("REQUEST", 0),
];

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
        line(&COLUMNS.map(|(name, _)| name.to_owned()))
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
            format!("{row}\n")
        } else {
            line(&shown(row))
        }
    };
    rows.iter().map(one).collect()
}

fn line(cells: &[String; 9]) -> String {
    let mut text = String::new();
    for (cell, (_, width)) in cells.iter().zip(COLUMNS) {
        text.push_str(&format!("{cell:<width$}  "));
    }
    format!("{}\n", text.trim_end())
}

/// A row for a person. What no request is tells who did it, and what.
fn shown(row: &Value) -> [String; 9] {
    let kind = row["kind"].as_str().unwrap_or_default();
    let result = match kind {
        "request" => {
            let code = row["code"].as_str().unwrap_or("SUCCESS");
            [code, row["delivery"].as_str().unwrap_or_default()].join(" ")
        }
        "change" => match (&row["before"], &row["after"]) {
            (Value::Null, _) => format!("made by {}", cell(&row["actor"])),
            (_, Value::Null) => format!("deleted by {}", cell(&row["actor"])),
            _ => format!("changed by {}", cell(&row["actor"])),
        },
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
        cell(&row["request_id"]),
    ]
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
    let told = admin.send(Method::POST, "/admin/v1/replay", &wish).await?;
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
    let told = admin
        .send(Method::POST, "/admin/v1/journal/erase", &wish)
        .await?;
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
        let header = line(&COLUMNS.map(|(name, _)| name.to_owned()));
        let shown = line(&shown(&row));
        assert_eq!(shown.find("10.0.0.1"), header.find("CLIENT"));
        assert!(
            shown.contains("SUCCESS sent") && shown.contains("12.3") && shown.ends_with("  r\n")
        );
    }

    #[test]
    fn a_change_tells_who_and_what() {
        let made = json!({"kind": "change", "actor": "ann", "after": {}});
        let deleted = json!({"kind": "change", "actor": "ann", "before": {}});
        assert_eq!(shown(&made)[6], "made by ann");
        assert_eq!(shown(&deleted)[6], "deleted by ann");
    }
}
