//! `chatgate log`: searches the journal.

use std::time::Duration;

use serde_json::Value;
use url::form_urlencoded::Serializer;
use visible::visible_json;

use super::admin::{Admin, COMMAND_TIMEOUT};
use super::log_row::{header, render};
use super::output::{cell, print_while_read};
use super::terminal::width;
use crate::args::journal::LogArgs;

/// Rows of one page.
const PAGE_ROWS: u32 = 100;

/// The pause between two requests for new rows: a person takes it for at once.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(500);

/// Prints the latest rows, the newest last, and with `--follow` the new ones as they come.
pub(crate) async fn run(args: LogArgs) -> Result<(), String> {
    let admin = Admin::new(&args.admin, COMMAND_TIMEOUT)?;
    let rows = latest(&admin, &args).await?;
    let mut cursor = rows
        .last()
        .map_or_else(|| "0".to_owned(), |row| cell(&row["id"]));
    let header = if args.json {
        String::new()
    } else {
        header(width())
    };
    if !print_while_read(header + &lines(&args, &rows))? || !args.follow {
        return Ok(());
    }
    loop {
        let query = [("order", "oldest"), ("cursor", &cursor)];
        let page = admin.get(&path(&args, &query, PAGE_ROWS)).await?;
        let rows = rows_of(&page);
        // A page may end with no row, and have a next one.
        let next = page["next"].as_str().map(str::to_owned);
        let last = || rows.last().map(|row| cell(&row["id"]));
        cursor = next.or_else(last).unwrap_or(cursor);
        if !print_while_read(lines(&args, rows))? {
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
        let query: &[_] = match cursor.as_str() {
            "" => &[],
            cursor => &[("cursor", cursor)],
        };
        let page = admin.get(&path(args, query, count)).await?;
        rows.extend_from_slice(rows_of(&page));
        match page["next"].as_str() {
            Some(next) if rows.len() < args.limit as usize => next.clone_into(&mut cursor),
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
    format!("/admin/v1/journal?{}", written.finish())
}

fn lines(args: &LogArgs, rows: &[Value]) -> String {
    let one = |row: &Value| {
        if args.json {
            visible_json(&format!("{row}\n")).into_owned()
        } else {
            render(row, width())
        }
    };
    rows.iter().map(one).collect()
}
