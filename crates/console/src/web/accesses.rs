//! Who may call: the list, and a new one.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde_json::Value;
use store::Access;

use super::access_draft::draft;
use super::access_form::Form;
use super::door::{Order, Shared};
use super::fields::Fields;
use super::page::{Shell, html};
use super::sample::Sampler;
use super::text::{moment_of, or_dash, visible};
use super::visitor::{Refusal, Visitor};
use crate::Console;
use crate::manage;

/// Most lines of the list; a search finds the others.
const LINES_MAX: usize = 200;

/// One line of the list.
pub(super) struct Line {
    pub(super) name: String,
    pub(super) state: &'static str,
    pub(super) user: String,
    pub(super) owner: String,
    pub(super) networks: String,
    pub(super) rate: String,
    pub(super) last: String,
}

#[derive(Template)]
#[template(path = "accesses.html")]
struct List {
    shell: Shell,
    wanted: String,
    lines: Vec<Line>,
    found: usize,
    all: usize,
    /// What has just been taken away.
    deleted: Option<String>,
}

impl List {
    fn is_cut(&self) -> bool {
        self.found > self.lines.len()
    }
}

#[derive(Template)]
#[template(path = "access_new.html")]
struct New {
    shell: Shell,
    form: Form,
}

#[derive(Template)]
#[template(path = "access_made.html")]
pub(super) struct Made {
    pub(super) shell: Shell,
    pub(super) name: String,
    pub(super) heading: &'static str,
    pub(super) user: String,
    pub(super) client_id: String,
    pub(super) secret: String,
    pub(super) sampler: Sampler,
}

impl Made {
    /// Shows a secret, this once.
    pub(super) fn of(
        (shell, heading): (Shell, &'static str),
        console: &Console,
        (access, shown): (&Access, &Value),
    ) -> Made {
        Made {
            shell,
            heading,
            name: access.name.clone(),
            user: visible(&access.user),
            client_id: access.client_id.clone(),
            secret: shown["password"].as_str().unwrap_or_default().to_owned(),
            sampler: Sampler::of(console, access, &Fields::default()),
        }
    }
}

/// The list, and what a search finds in it.
pub(super) async fn list(
    State(console): Shared,
    visitor: Visitor,
    fields: Fields,
) -> Result<Response, Refusal> {
    let wanted = fields.get("q").to_lowercase();
    let accesses = console.store.accesses();
    let found: Vec<_> = accesses
        .all()
        .iter()
        .filter(|access| fits(access, &wanted))
        .collect();
    let lines = found
        .iter()
        .take(LINES_MAX)
        .map(|access| line(&console, access))
        .collect();
    let page = List {
        shell: Shell::of(&visitor, "accesses", "Accesses"),
        wanted: fields.get("q").to_owned(),
        lines,
        found: found.len(),
        all: accesses.len(),
        deleted: Some(fields.get("deleted"))
            .filter(|name| !name.is_empty() && accesses.named(name).is_none())
            .map(visible),
    };
    Ok(html(StatusCode::OK, &page))
}

fn fits(access: &Access, wanted: &str) -> bool {
    let texts = [
        &access.name,
        &access.user,
        &access.owner,
        &access.note,
        &access.client_id,
    ];
    texts
        .iter()
        .any(|text| text.to_lowercase().contains(wanted))
}

fn line(console: &Console, access: &Access) -> Line {
    let shown: Vec<_> = access
        .allow
        .iter()
        .take(2)
        .map(ToString::to_string)
        .collect();
    let more = access.allow.len().saturating_sub(2);
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    let last = console.store.last_use(access);
    Line {
        name: access.name.clone(),
        state: state(access, console.now()),
        user: visible(&access.user),
        owner: or_dash(Some(&access.owner)),
        networks: if shown.is_empty() {
            "nobody".to_owned()
        } else {
            shown.join(", ") + &more
        },
        rate: access
            .limits
            .per_minute
            .map_or_else(|| "–".to_owned(), |rate| format!("{}/min", rate.per_minute)),
        last: last.map_or_else(|| "never".to_owned(), |last| moment_of(last.at)),
    }
}

/// Whether it gets in, in a word.
pub(super) fn state(access: &Access, now: i64) -> &'static str {
    match (access.active, access.is_live(now)) {
        (false, _) => "suspended",
        (true, false) => "out of time",
        (true, true) => "active",
    }
}

/// The form of a new one.
pub(super) async fn blank(visitor: Visitor) -> Result<Response, Refusal> {
    visitor.operator()?;
    let shell = Shell::of(&visitor, "accesses", "New access");
    Ok(html(
        StatusCode::OK,
        &New {
            shell,
            form: Form::blank(),
        },
    ))
}

/// Makes it, and shows its secret this once.
pub(super) async fn create(State(console): Shared, order: Order) -> Result<Response, Refusal> {
    let Order {
        visitor,
        actor,
        fields,
    } = order;
    let made = match draft(&fields) {
        Ok(draft) => manage::create(&console, &actor, draft).await,
        Err(problem) => Err(problem),
    };
    match made {
        Ok((access, shown)) => {
            let shell = Shell::of(&visitor, "accesses", "Access made");
            let page = Made::of((shell, "The access is made"), &console, (&access, &shown));
            Ok(html(StatusCode::CREATED, &page))
        }
        Err(problem) => {
            let shell = Shell::of(&visitor, "accesses", "New access");
            let form = Form::again(&fields, &problem);
            Ok(html(problem.status(), &New { shell, form }))
        }
    }
}
