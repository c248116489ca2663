//! The list of accesses, and the form of a new one.

use askama::Template;
use axum::extract::State;
use http::StatusCode;
use store::{Access, AccessCalls, check_name};
use url::form_urlencoded;

use crate::access::{manage, pages};
use crate::state::{Console, ConsoleState};
use crate::web::access::form::AccessForm;
use crate::web::access::form_draft::new_draft;
use crate::web::access::secret::SecretPage;
use crate::web::extract::OperatorForm;
use crate::web::fields::Fields;
use crate::web::layout::{PageLayout, html};
use crate::web::page_error::PageResult;
use crate::web::text::{escape_invisible, grouped, moment_of, or_dash};
use crate::web::visitor::Visitor;

/// Maximum number of lines on a page of the list.
const LINES_MAX: usize = 100;

/// Maximum number of rows that are counted for each access's last day: 10,000 for a page, some tens of milliseconds.
const ROWS_MAX: u32 = 100;

/// A day, in seconds.
const DAY_S: i64 = 86_400;

/// A line of the list.
pub(crate) struct AccessLine {
    pub(crate) name: String,
    pub(crate) state: &'static str,
    pub(crate) user: String,
    pub(crate) owner: String,
    pub(crate) networks: String,
    pub(crate) rate: String,
    pub(crate) last: String,
    /// The number of calls in the last day, as text.
    pub(crate) day: String,
}

#[derive(Template)]
#[template(path = "accesses.html")]
struct AccessListPage {
    layout: PageLayout,
    search: String,
    lines: Vec<AccessLine>,
    all: usize,
    /// The query of the next page, if there is one.
    next: Option<String>,
    /// The name of the access that was just deleted.
    deleted: Option<String>,
}

#[derive(Template)]
#[template(path = "access_new.html")]
struct NewAccessPage {
    layout: PageLayout,
    form: AccessForm,
}

/// Shows the list of accesses, or the accesses that a search finds.
pub(crate) async fn list(
    State(console): ConsoleState,
    visitor: Visitor,
    fields: Fields,
) -> PageResult {
    let accesses = console.store.accesses();
    let from = (fields.get("q"), fields.get("after"));
    let found = pages::page(&accesses, from, LINES_MAX).await;
    let names: Vec<_> = found.accesses.iter().map(|a| a.name.as_str()).collect();
    let day_ms = (console.judged_now() - DAY_S).saturating_mul(1000);
    // If the flush fails, the unwritten rows are missing, but all others can still be read.
    let _ = console.store.journal().flush().await;
    let calls = console.store.access_calls(&names, day_ms, ROWS_MAX).await?;
    let lines = found.accesses.iter().zip(calls);
    let lines = lines.map(|(access, calls)| access_line(&console, access, calls));
    let lines = lines.collect();
    let next = found.next.map(|after| {
        let mut query = form_urlencoded::Serializer::new(String::new());
        if !from.0.is_empty() {
            query.append_pair("q", from.0);
        }
        query.append_pair("after", &after).finish()
    });
    let page = AccessListPage {
        layout: visitor.layout("accesses", "Accesses"),
        search: fields.get("q").to_owned(),
        lines,
        all: accesses.len(),
        next,
        deleted: Some(fields.get("deleted"))
            .filter(|name| check_name(name).is_ok() && accesses.named(name).is_none())
            .map(str::to_owned),
    };
    Ok(html(StatusCode::OK, &page))
}

/// Describes the number of calls that an access made within a day.
fn day_text(calls: AccessCalls) -> String {
    let AccessCalls {
        calls,
        failed,
        is_cut,
    } = calls;
    let least = if is_cut { "at least " } else { "" };
    let part = match (failed, is_cut) {
        (0, _) => String::new(),
        (_, false) => format!(", {} rejected or failed", grouped(failed)),
        (_, true) => format!(
            ", {} of the last {ROWS_MAX} rejected or failed",
            grouped(failed)
        ),
    };
    let plural = if calls == 1 { "" } else { "s" };
    format!("{least}{} call{plural}{part}", grouped(calls))
}

fn access_line(console: &Console, access: &Access, calls: AccessCalls) -> AccessLine {
    let networks = access.allow.iter().take(2).map(ToString::to_string);
    let networks: Vec<_> = networks.collect();
    let last = console.store.last_use(access);
    AccessLine {
        name: access.name.clone(),
        state: state_word(access, console.judged_now()),
        user: escape_invisible(&access.user),
        owner: or_dash(Some(&access.owner)),
        networks: match access.allow.len() {
            0 => "nobody".to_owned(),
            1 | 2 => networks.join(", "),
            count => format!("{} and {} more", networks.join(", "), count - 2),
        },
        rate: access
            .limits
            .per_minute
            .map_or_else(|| "–".to_owned(), |rate| format!("{}/min", rate.per_minute)),
        last: last.map_or_else(|| "never".to_owned(), |last| moment_of(last.at)),
        day: day_text(calls),
    }
}

/// Maximum number of names that a field suggests.
const NAMES_MAX: usize = 50;

#[derive(Template)]
#[template(path = "access_names.html")]
struct SuggestedNames {
    accesses: Vec<String>,
}

/// Shows the names that a field for an access suggests for the text written so far.
pub(crate) async fn names(
    State(console): ConsoleState,
    _visitor: Visitor,
    fields: Fields,
) -> PageResult {
    let accesses = suggested_names(&console, fields.get("access")).await;
    Ok(html(StatusCode::OK, &SuggestedNames { accesses }))
}

/// Returns the names of the first accesses that contain this text.
pub(crate) async fn suggested_names(console: &Console, search: &str) -> Vec<String> {
    let accesses = console.store.accesses();
    let found = pages::page(&accesses, (search, ""), NAMES_MAX).await;
    let names = found.accesses.iter();
    names.map(|access| access.name.clone()).collect()
}

/// Returns the word for the state of an access.
pub(crate) fn state_word(access: &Access, now: i64) -> &'static str {
    if access.is_unreadable {
        return "unreadable";
    }
    match (access.active, access.is_live(now)) {
        (false, _) => "suspended",
        (true, false) => "not valid now",
        (true, true) => "active",
    }
}

/// Shows the form of a new access.
pub(crate) async fn new(visitor: Visitor) -> PageResult {
    visitor.operator()?;
    let page = NewAccessPage {
        layout: visitor.layout("accesses", "New access"),
        form: AccessForm::new(),
    };
    Ok(html(StatusCode::OK, &page))
}

/// Creates the access, and shows its secret only this once.
pub(crate) async fn create(State(console): ConsoleState, form: OperatorForm) -> PageResult {
    let (visitor, fields) = (form.visitor, form.fields);
    let made = match new_draft(&fields) {
        Ok(draft) => manage::create(&console, &form.actor, draft).await,
        Err(problem) => Err(problem),
    };
    match made {
        Ok((access, view)) => {
            let layout = visitor.layout("accesses", "Access created");
            let page = SecretPage::of(layout, "The access was created", &console, &access, &view);
            Ok(html(StatusCode::CREATED, &page))
        }
        Err(problem) => {
            let layout = visitor.layout("accesses", "New access");
            let form = AccessForm::resubmitted(&fields, &problem);
            Ok(html(problem.status(), &NewAccessPage { layout, form }))
        }
    }
}
