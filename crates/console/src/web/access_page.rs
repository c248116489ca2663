//! One access: what it may, what is changed about it, and what was.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use serde_json::json;
use store::{Access, ChangeError};

use super::access_draft::draft;
use super::access_form::Form;
use super::accesses::{Made, state};
use super::changes::Told;
use super::door::{Order, Sent, Shared};
use super::fields::Fields;
use super::page::{Shell, html, see_other};
use super::preview::{self, Preview};
use super::sample::Sampler;
use super::text::{age, moment_of, visible};
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
    /// Whether the form was made from an access that has changed since.
    is_stale: bool,
    preview: Option<Preview>,
    sampler: Sampler,
    changes: Vec<Told>,
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
            is_stale: form.version != access.version,
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
        (
            "Tokens ended",
            access.tokens_since.map_or("never".to_owned(), moment_of),
        ),
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
    State(console): Shared,
    visitor: Visitor,
    Path(name): Path<String>,
    fields: Fields,
) -> Result<Response, Refusal> {
    let access = named(&console, &name)?;
    let mut page = Page::of(&console, &visitor, (&access, Form::of(&access))).await?;
    page.saved = fields.has("saved");
    page.sampler = Sampler::of(&console, &access, &fields);
    Ok(html(StatusCode::OK, &page))
}

/// Changes what the form says.
pub(super) async fn change(
    State(console): Shared,
    Path(name): Path<String>,
    order: Order,
) -> Result<Response, Refusal> {
    let Order {
        visitor,
        actor,
        fields,
    } = order;
    let expected = fields.get("version").parse().ok();
    let changed = match draft(&fields) {
        Ok(draft) => manage::change(&console, (&actor, &name, expected), draft).await,
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
    State(console): Shared,
    Path(name): Path<String>,
    headers: HeaderMap,
    sent: Sent,
) -> Result<Response, Refusal> {
    let is_piece = headers.contains_key("hx-request");
    let Sent { visitor, fields } = sent;
    let access = named(&console, &name)?;
    let seen = preview::of(&console, &access, &fields).await;
    let wrong = seen.as_ref().err().map(Problem::status);
    let (form, preview) = match seen {
        Ok(preview) => (Form::sent(&fields), preview),
        Err(problem) => {
            let preview = Preview::failed(problem.detail());
            (Form::again(&fields, &problem), preview)
        }
    };
    if is_piece {
        // A piece of a page is shown only if it is well.
        return Ok(html(StatusCode::OK, &PreviewAlone { preview }));
    }
    let mut page = Page::of(&console, &visitor, (&access, form)).await?;
    page.preview = Some(preview);
    Ok(html(wrong.unwrap_or(StatusCode::OK), &page))
}

/// Suspends and resumes.
pub(super) async fn switch(
    State(console): Shared,
    Path(name): Path<String>,
    order: Order,
) -> Result<Response, Refusal> {
    let Order { actor, fields, .. } = order;
    let wanted = json!({"state": fields.get("state")});
    let draft = serde_json::from_value(wanted).map_err(|_| Problem::not_found())?;
    manage::change(&console, (&actor, &name, None), draft).await?;
    Ok(see_other(&format!("/console/accesses/{name}?saved=1")))
}

#[derive(Template)]
#[template(path = "access_delete.html")]
struct Delete {
    shell: Shell,
    name: String,
    version: i64,
    facts: Vec<(&'static str, String)>,
}

/// Asks once more.
pub(super) async fn ask(
    State(console): Shared,
    visitor: Visitor,
    Path(name): Path<String>,
) -> Result<Response, Refusal> {
    visitor.operator()?;
    let access = named(&console, &name)?;
    let page = Delete {
        shell: Shell::of(&visitor, "accesses", format!("Delete {}", access.name)),
        name: access.name.clone(),
        version: access.version,
        facts: facts(&console, &access),
    };
    Ok(html(StatusCode::OK, &page))
}

/// Takes it away, if it is still what was asked about.
pub(super) async fn delete(
    State(console): Shared,
    Path(name): Path<String>,
    order: Order,
) -> Result<Response, Refusal> {
    let version = order.fields.get("version").parse();
    let version = version.map_err(|_| Problem::from(ChangeError::Stale))?;
    manage::delete(&console, (&order.actor, &name, Some(version))).await?;
    Ok(see_other(&format!("/console/accesses?deleted={name}")))
}

/// Ends every token that was issued so far.
pub(super) async fn revoke_tokens(
    State(console): Shared,
    Path(name): Path<String>,
    order: Order,
) -> Result<Response, Refusal> {
    manage::end_tokens(&console, (&order.actor, &name, None)).await?;
    Ok(see_other(&format!("/console/accesses/{name}?saved=1")))
}

/// Makes a new secret and shows it this once.
pub(super) async fn rotate(
    State(console): Shared,
    Path(name): Path<String>,
    order: Order,
) -> Result<Response, Refusal> {
    let Order {
        visitor,
        actor,
        fields,
    } = order;
    let wanted = Rotation {
        drop_old: fields.has("drop_old"),
        ..Rotation::default()
    };
    let (access, shown) = manage::rotate(&console, (&actor, &name, None), wanted).await?;
    let shell = Shell::of(&visitor, "accesses", "New secret");
    let page = Made::of(
        (shell, "The access has a new secret"),
        &console,
        (&access, &shown),
    );
    Ok(html(StatusCode::OK, &page))
}
