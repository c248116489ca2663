//! The list of accesses, and the form of a new one.

use askama::Template;
use axum::extract::State;
use http::StatusCode;
use store::Access;

use crate::access::manage;
use crate::state::{Console, ConsoleState};
use crate::web::access::form::AccessForm;
use crate::web::access::form_draft::draft;
use crate::web::access::secret::SecretPage;
use crate::web::extract::OperatorForm;
use crate::web::fields::Fields;
use crate::web::layout::{PageLayout, html};
use crate::web::page_error::PageResult;
use crate::web::text::{moment_of, or_dash, visible};
use crate::web::visitor::Visitor;

/// Most lines of the list; a search finds the others.
const LINES_MAX: usize = 200;

/// One line of the list.
pub(crate) struct AccessLine {
    pub(crate) name: String,
    pub(crate) state: &'static str,
    pub(crate) user: String,
    pub(crate) owner: String,
    pub(crate) networks: String,
    pub(crate) rate: String,
    pub(crate) last: String,
}

#[derive(Template)]
#[template(path = "accesses.html")]
struct AccessListPage {
    layout: PageLayout,
    search: String,
    lines: Vec<AccessLine>,
    found: usize,
    all: usize,
    /// The access that has just been deleted.
    deleted: Option<String>,
}

impl AccessListPage {
    fn is_cut(&self) -> bool {
        self.found > self.lines.len()
    }
}

#[derive(Template)]
#[template(path = "access_new.html")]
struct NewAccessPage {
    layout: PageLayout,
    form: AccessForm,
}

/// Shows the list, or what a search finds in it.
pub(crate) async fn list(
    State(console): ConsoleState,
    visitor: Visitor,
    fields: Fields,
) -> PageResult {
    let search = fields.get("q").to_lowercase();
    let accesses = console.store.accesses();
    let found: Vec<_> = accesses
        .iter()
        .filter(|access| matches_search(access, &search))
        .collect();
    let lines = found
        .iter()
        .take(LINES_MAX)
        .map(|access| access_line(&console, access))
        .collect();
    let page = AccessListPage {
        layout: visitor.layout("accesses", "Accesses"),
        search: fields.get("q").to_owned(),
        lines,
        found: found.len(),
        all: accesses.len(),
        deleted: Some(fields.get("deleted"))
            .filter(|name| !name.is_empty() && accesses.named(name).is_none())
            .map(visible),
    };
    Ok(html(StatusCode::OK, &page))
}

fn matches_search(access: &Access, search: &str) -> bool {
    let texts = [
        &access.name,
        &access.user,
        &access.owner,
        &access.note,
        &access.client_id,
    ];
    texts
        .iter()
        .any(|text| text.to_lowercase().contains(search))
}

fn access_line(console: &Console, access: &Access) -> AccessLine {
    let networks = access.allow.iter().take(2).map(ToString::to_string);
    let networks: Vec<_> = networks.collect();
    let last = console.store.last_use(access);
    AccessLine {
        name: access.name.clone(),
        state: state_word(access, console.now()),
        user: visible(&access.user),
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
    }
}

/// Names the state of an access.
pub(crate) fn state_word(access: &Access, now: i64) -> &'static str {
    match (access.active, access.is_live(now)) {
        (false, _) => "suspended",
        (true, false) => "out of time",
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

/// Makes the access, and shows its secret this once.
pub(crate) async fn create(State(console): ConsoleState, form: OperatorForm) -> PageResult {
    let (visitor, fields) = (form.visitor, form.fields);
    let made = match draft(&fields) {
        Ok(draft) => manage::create(&console, &form.actor, draft).await,
        Err(problem) => Err(problem),
    };
    match made {
        Ok((access, view)) => {
            let layout = visitor.layout("accesses", "Access made");
            let page = SecretPage::of(layout, "The access is made", &console, &access, &view);
            Ok(html(StatusCode::CREATED, &page))
        }
        Err(problem) => {
            let layout = visitor.layout("accesses", "New access");
            let form = AccessForm::again(&fields, &problem);
            Ok(html(problem.status(), &NewAccessPage { layout, form }))
        }
    }
}
