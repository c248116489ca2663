//! One access: what it may, what is changed about it, and what was.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;
use http::{HeaderMap, Request, StatusCode, Uri};
use serde_json::{Value, json};
use store::{Access, Change, ChangeError};

use super::access_form::{Form, draft};
use super::accesses::{Made, state};
use super::fields::Fields;
use super::page::{Shell, html, see_other};
use super::preview::{self, Preview};
use super::sample::Sampler;
use super::text::{age, moment_of, or_dash, visible};
use super::visitor::{Refusal, Visitor};
use crate::Console;
use crate::accesses::CHANGES_MAX;
use crate::manage::{self, Rotation};
use crate::problem::Problem;

#[derive(Template)]
#[template(path = "access.html")]
struct Page {
    shell: Shell,
    form: Form,
    name: String,
    state: &'static str,
    facts: Vec<(&'static str, String)>,
    saved: bool,
    preview: Option<Preview>,
    sampler: Sampler,
    changes: Vec<Told>,
}

/// One change.
struct Told {
    at: String,
    actor: String,
    what: Vec<(String, String, String)>,
}

/// Nothing but the preview.
#[derive(Template)]
#[template(path = "preview.html")]
struct PreviewAlone {
    preview: Preview,
}

impl Page {
    async fn of(
        console: &Console,
        visitor: &Visitor,
        (access, form): (&Access, Form),
    ) -> Result<Page, Refusal> {
        let changes = console.store.changes(&access.name, CHANGES_MAX).await;
        let changes = changes.map_err(ChangeError::Store)?;
        Ok(Page {
            shell: Shell::of(visitor, "accesses", format!("Access {}", access.name)),
            form,
            name: access.name.clone(),
            state: state(access, console.now()),
            facts: facts(console, access),
            saved: false,
            preview: None,
            sampler: Sampler::of(console, access, &Fields::default()),
            changes: changes.iter().map(Told::of).collect(),
        })
    }
}

fn facts(console: &Console, access: &Access) -> Vec<(&'static str, String)> {
    let now = console.now();
    let secrets = access
        .secrets
        .iter()
        .map(|secret| format!("{} old", age(now - secret.created)));
    let last = console.store.last_use(access).map_or_else(
        || "never".to_owned(),
        |last| {
            format!(
                "{} from {} by {}",
                moment_of(last.at),
                last.address,
                last.way
            )
        },
    );
    vec![
        ("User name", visible(&access.user)),
        ("Client id", access.client_id.clone()),
        ("Secrets", secrets.collect::<Vec<_>>().join(", ")),
        ("Last used", last),
        ("Version", access.version.to_string()),
    ]
}

fn named(console: &Console, name: &str) -> Result<Arc<Access>, Problem> {
    let accesses = console.store.accesses();
    Ok(Arc::clone(
        accesses.named(name).ok_or(ChangeError::Missing)?,
    ))
}

/// The page.
pub(super) async fn page(
    State(console): State<Arc<Console>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Refusal> {
    let visitor = Visitor::of(&console, &headers, &uri)?;
    let access = named(&console, &name)?;
    let fields = Fields::read(uri.query().unwrap_or_default().as_bytes());
    let mut page = Page::of(&console, &visitor, (&access, Form::of(&access))).await?;
    page.saved = fields.has("saved");
    page.sampler = Sampler::of(&console, &access, &fields);
    Ok(html(StatusCode::OK, &page))
}

/// Changes what the form says.
pub(super) async fn change(
    State(console): State<Arc<Console>>,
    Path(name): Path<String>,
    request: Request<Body>,
) -> Result<Response, Refusal> {
    let (visitor, fields) = Visitor::sending(&console, request).await?;
    let actor = visitor.operator()?;
    let expected = fields.get("version").parse().ok();
    let changed = match draft(&fields) {
        Ok(draft) => manage::change(&console, (actor, &name, expected), draft).await,
        Err(problem) => Err(problem),
    };
    match changed {
        Ok(_) => Ok(see_other(&format!("/console/accesses/{name}?saved=1"))),
        Err(problem) => {
            let access = named(&console, &name)?;
            let form = Form::again(&fields, &problem);
            let page = Page::of(&console, &visitor, (&access, form)).await?;
            Ok(html(problem.status(), &page))
        }
    }
}

/// Says which journalled calls the form would refuse, and changes nothing.
pub(super) async fn preview(
    State(console): State<Arc<Console>>,
    Path(name): Path<String>,
    request: Request<Body>,
) -> Result<Response, Refusal> {
    let is_piece = request.headers().contains_key("hx-request");
    let (visitor, fields) = Visitor::sending(&console, request).await?;
    let access = named(&console, &name)?;
    let seen = preview::of(&console, &access, &fields).await;
    let (status, preview) = match seen {
        Ok(preview) => (StatusCode::OK, preview),
        // A piece of a page is shown only if it is well.
        Err(problem) if is_piece => (StatusCode::OK, Preview::failed(problem.detail())),
        Err(problem) => (problem.status(), Preview::failed(problem.detail())),
    };
    if is_piece {
        return Ok(html(status, &PreviewAlone { preview }));
    }
    let kept = Problem::new(
        status,
        "preview",
        "This is a preview: nothing is changed yet.",
    );
    let form = Form::again(&fields, &kept);
    let mut page = Page::of(&console, &visitor, (&access, form)).await?;
    page.preview = Some(preview);
    Ok(html(status, &page))
}

/// Suspends and resumes.
pub(super) async fn switch(
    State(console): State<Arc<Console>>,
    Path(name): Path<String>,
    request: Request<Body>,
) -> Result<Response, Refusal> {
    let (visitor, fields) = Visitor::sending(&console, request).await?;
    let actor = visitor.operator()?;
    let wanted = json!({"state": fields.get("state")});
    let draft = serde_json::from_value(wanted).map_err(|_| Problem::not_found())?;
    manage::change(&console, (actor, &name, None), draft).await?;
    Ok(see_other(&format!("/console/accesses/{name}?saved=1")))
}

/// Makes a new secret and shows it this once.
pub(super) async fn rotate(
    State(console): State<Arc<Console>>,
    Path(name): Path<String>,
    request: Request<Body>,
) -> Result<Response, Refusal> {
    let (visitor, fields) = Visitor::sending(&console, request).await?;
    let actor = visitor.operator()?;
    let wanted = Rotation {
        drop_old: fields.has("drop_old"),
        ..Rotation::default()
    };
    let (access, shown) = manage::rotate(&console, (actor, &name, None), wanted).await?;
    let shell = Shell::of(&visitor, "accesses", "New secret");
    let page = Made::of(
        (shell, "The access has a new secret"),
        &console,
        (&access, &shown),
    );
    Ok(html(StatusCode::OK, &page))
}

impl Told {
    fn of(change: &Change) -> Told {
        let (before, after) = (change.before.as_ref(), change.after.as_ref());
        let what = match (before, after) {
            (None, _) => vec![("made".to_owned(), String::new(), String::new())],
            (_, None) => vec![("deleted".to_owned(), String::new(), String::new())],
            (Some(before), Some(after)) => differences(before, after),
        };
        Told {
            at: moment_of(change.at),
            actor: visible(&change.actor),
            what,
        }
    }
}

/// Each field that is another: its name, before, after.
fn differences(before: &Value, after: &Value) -> Vec<(String, String, String)> {
    let (before, after) = (flat(before), flat(after));
    let mut names: Vec<_> = before
        .keys()
        .chain(after.keys())
        .filter(|name| *name != "version")
        .collect();
    names.sort();
    names.dedup();
    let text = |value: Option<&Value>| match value {
        None | Some(Value::Null) => "–".to_owned(),
        Some(Value::String(text)) => or_dash(Some(text)),
        Some(Value::Array(items)) if items.iter().all(Value::is_string) => {
            let items: Vec<_> = items
                .iter()
                .filter_map(Value::as_str)
                .map(visible)
                .collect();
            or_dash(Some(&items.join(", ")))
        }
        Some(other) => visible(&other.to_string()),
    };
    let differing = names
        .into_iter()
        .filter(|name| before.get(*name) != after.get(*name));
    differing
        .map(|name| {
            (
                name.replace('_', " "),
                text(before.get(name)),
                text(after.get(name)),
            )
        })
        .collect()
}

/// The fields, those of an object within under both names.
fn flat(document: &Value) -> BTreeMap<String, Value> {
    let mut fields = BTreeMap::new();
    for (name, value) in document.as_object().into_iter().flatten() {
        match value {
            Value::Object(inner) => {
                fields.extend(
                    inner
                        .iter()
                        .map(|(n, v)| (format!("{name} {n}"), v.clone())),
                );
            }
            value => drop(fields.insert(name.clone(), value.clone())),
        }
    }
    fields
}
