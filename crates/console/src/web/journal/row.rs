//! The page with all details of one journal row.

use askama::Template;
use axum::extract::State;
use http::StatusCode;
use serde_json::Value;
use store::{JournalKind, JournalRow};

use crate::journal::query::id_from_text;
use crate::journal::rows::row_view;
use crate::path_names::PagePath;
use crate::problem::Problem;
use crate::state::ConsoleState;
use crate::web::changes::{FieldChange, differences};
use crate::web::journal::line::JournalLine;
use crate::web::layout::{PageLayout, html};
use crate::web::page_error::PageResult;
use crate::web::text::{duration, escape_invisible};
use crate::web::visitor::Visitor;

/// The fields of a row, by group.
const GROUPS: [(&str, &str); 4] = [
    (
        "Source",
        "peer client http_method path user_agent request_id caller_request_id trace_id",
    ),
    ("Call", "access way method parameters"),
    (
        "Outcome",
        "status count canonical code upstream_code cause would_refuse delivery answer actor before \
         after",
    ),
    (
        "Metadata",
        "id time kind open attempts cache limited_by limit_max limit_left generation",
    ),
];

#[derive(Template)]
#[template(path = "row.html")]
struct RowPage {
    layout: PageLayout,
    line: JournalLine,
    groups: Vec<(&'static str, Vec<(String, String)>)>,
    /// The changed fields of an access.
    what: Vec<FieldChange>,
    /// The timing bars: name, duration, and the bar's start and width in percent.
    timings: Vec<(&'static str, String, String, String)>,
    /// The name of the access, and the query that finds all its calls.
    access: Option<(String, String)>,
    /// The query that finds all rows with this request id.
    request_id: Option<String>,
    explain: Option<String>,
    /// The address at which a person can view the trace.
    trace: Option<String>,
}

/// Shows the page of a row.
pub(crate) async fn page(
    State(console): ConsoleState,
    visitor: Visitor,
    PagePath(id): PagePath,
) -> PageResult {
    let id = id_from_text(&id).ok_or_else(Problem::not_found)?;
    let _ = console.store.journal().flush().await;
    let row = console.store.journal_row(id).await?;
    let row = row.ok_or_else(Problem::not_found)?;
    let page = RowPage {
        layout: visitor.layout("journal", "Journal row"),
        line: JournalLine::of(&row),
        timings: timings(&row),
        access: row
            .access
            .as_deref()
            .map(|name| (escape_invisible(name), query("access", name))),
        request_id: row.request_id.as_deref().map(|id| query("request_id", id)),
        explain: explain(&row),
        trace: row
            .trace_id
            .as_deref()
            .and_then(|id| console.gateway.trace_url(id)),
        what: what(&row),
        groups: groups(row),
    };
    Ok(html(StatusCode::OK, &page))
}

fn what(row: &JournalRow) -> Vec<FieldChange> {
    if row.kind == JournalKind::Change {
        differences(row.before.as_deref(), row.after.as_deref())
    } else {
        Vec::new()
    }
}

fn groups(row: JournalRow) -> Vec<(&'static str, Vec<(String, String)>)> {
    let view = row_view(row, true);
    let text = |value: &Value| match value {
        Value::String(text) => escape_invisible(text),
        Value::Object(_) | Value::Array(_) => escape_invisible(&format!("{value:#}")),
        other => other.to_string(),
    };
    let groups = GROUPS.into_iter().map(|(title, names)| {
        let names = names.split(' ').filter(|name| !view[*name].is_null());
        let fields = names.map(|name| (name.replace('_', " "), text(&view[name])));
        (title, fields.collect::<Vec<_>>())
    });
    groups.filter(|(_, fields)| !fields.is_empty()).collect()
}

/// Divides the duration of a call into the gateway's part, waiting, and the upstream's part.
fn timings(row: &JournalRow) -> Vec<(&'static str, String, String, String)> {
    let Some(total) = row.total_us else {
        return Vec::new();
    };
    let queue = row.queue_us.unwrap_or(0).min(total);
    let upstream = row.upstream_us.unwrap_or(0).min(total - queue);
    let own = total - queue - upstream;
    let part = |us: i64| 100.0 * us as f64 / total.max(1) as f64;
    let mut begin = 0.0;
    let rows = [("gateway", own), ("queue", queue), ("upstream", upstream)];
    let bars = rows
        .into_iter()
        .filter(|(_, us)| *us > 0)
        .map(|(name, us)| {
            let bar = (
                name,
                duration(us),
                format!("{begin:.2}"),
                format!("{:.2}", part(us).max(0.3)),
            );
            begin += part(us);
            bar
        });
    let mut bars: Vec<_> = bars.collect();
    bars.push(("total", duration(total), "0".to_owned(), "100".to_owned()));
    bars
}

fn query(name: &str, value: &str) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair(name, value).finish()
}

/// Returns the query of the page that explains this call.
fn explain(row: &JournalRow) -> Option<String> {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("peer", &row.client?.to_string());
    query.append_pair("access", row.access.as_deref()?);
    query.append_pair("method", row.method.as_deref()?);
    query.append_pair("way", row.way.as_deref()?);
    Some(query.finish())
}
