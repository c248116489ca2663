//! `chatgate log`: searches the journal.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use url::form_urlencoded::Serializer;
use visible::escape_invisible_in_json;

use super::admin::{Admin, COMMAND_TIMEOUT};
use super::log_row::{header, render};
use super::output::{cell, has_reader, print_while_read};
use super::terminal::width;
use crate::args::journal::LogArgs;

/// Number of rows per page.
const PAGE_ROWS: u32 = 100;

/// Number of rows per page while following. It is larger because some rows are read again.
const FOLLOW_ROWS: u32 = 1000;

/// The pause between two requests for new rows. It is short enough to appear immediate to a person.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(500);

/// Prints the latest rows, newest last. With `--follow`, also prints new rows as they arrive.
pub(crate) async fn run(args: LogArgs) -> Result<(), String> {
    let admin = Admin::new(&args.admin, COMMAND_TIMEOUT)?;
    let (rows, follow) = latest(&admin, &args).await?;
    let header = if args.json {
        String::new()
    } else {
        header(width())
    };
    if !print_while_read(header + &lines(&args, &rows))? || !args.follow {
        return Ok(());
    }
    let follow = follow.unwrap_or_else(|| "0".to_owned());
    tokio::select! {
        ended = follow_rows(&admin, &args, &rows, follow) => ended,
        () = reader_leaves() => Ok(()),
    }
}

/// Prints new rows after the given ones, and a send in progress a second time when it has ended. Returns when standard output is
/// closed.
async fn follow_rows(
    admin: &Admin,
    args: &LogArgs,
    first: &[Value],
    mut follow: String,
) -> Result<(), String> {
    // Each row that was read, and whether it was open.
    let mut shown: BTreeMap<String, bool> =
        first.iter().map(|row| (id_of(row), is_open(row))).collect();
    // If the limit omitted rows, rows that are older than the oldest shown row are read again and must be skipped.
    let is_full = first.len() >= args.limit as usize;
    let mut oldest = shown.keys().next().cloned().filter(|_| is_full);
    let mut cursor = follow.clone();
    loop {
        let query = [("order", "oldest"), ("follow", "true"), ("cursor", &cursor)];
        let page = admin
            .get_patiently(&path(args, &query, FOLLOW_ROWS))
            .await?;
        let mut rows = rows_of(&page).to_vec();
        // Rows of several gateways arrive late and out of order, and open rows change, so some rows are read again.
        rows.retain(|row| {
            let before = shown.insert(id_of(row), is_open(row));
            let is_omitted =
                before.is_none() && oldest.as_ref().is_some_and(|oldest| id_of(row) < *oldest);
            before.is_none_or(|was_open| was_open && !is_open(row)) && !is_omitted
        });
        if !print_while_read(lines(args, &rows))? {
            return Ok(());
        }
        if let Some(again) = page["follow"]
            .as_str()
            .filter(|again| *again > follow.as_str())
        {
            again.clone_into(&mut follow);
        }
        match page["next"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => {
                oldest = None;
                // All ids have the same length, so the order of the text is the order of the rows.
                shown = shown.split_off(&follow);
                cursor.clone_from(&follow);
                tokio::time::sleep(FOLLOW_INTERVAL).await;
            }
        }
    }
}

/// Waits until standard output has no reader.
async fn reader_leaves() {
    while has_reader() {
        tokio::time::sleep(FOLLOW_INTERVAL).await;
    }
}

fn is_open(row: &Value) -> bool {
    row["open"] == true
}

fn id_of(row: &Value) -> String {
    cell(&row["id"])
}

/// Returns the latest rows within the limit, newest last, and the cursor for following.
async fn latest(admin: &Admin, args: &LogArgs) -> Result<(Vec<Value>, Option<String>), String> {
    let (mut rows, mut follow) = (Vec::new(), None);
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
        follow = follow.or_else(|| page["follow"].as_str().map(str::to_owned));
        match page["next"].as_str() {
            Some(next) if rows.len() < args.limit as usize => next.clone_into(&mut cursor),
            _ => break,
        }
    }
    rows.reverse();
    Ok((rows, follow))
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
            escape_invisible_in_json(&format!("{row}\n")).into_owned()
        } else {
            render(row, width())
        }
    };
    rows.iter().map(one).collect()
}
