//! The page of one access: its rules, the form to change them, and its latest changes.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use serde_json::json;
use store::{Access, ChangeError, JournalFilter};

use crate::access::manage::{self, Rotation};
use crate::journal::summary::JournalSummary;
use crate::path_names::PagePath;
use crate::problem::Problem;
use crate::state::{Console, ConsoleState};
use crate::web::access::form::AccessForm;
use crate::web::access::form_draft::draft;
use crate::web::access::list::state_word;
use crate::web::access::preview::{self, Preview};
use crate::web::access::sample::Sampler;
use crate::web::access::secret::SecretPage;
use crate::web::changes::ChangeView;
use crate::web::extract::{OperatorForm, SessionForm};
use crate::web::fields::Fields;
use crate::web::layout::{PageLayout, html, see_other};
use crate::web::page_error::{PageError, PageResult};
use crate::web::text::{age, escape_invisible, grouped, moment_of};
use crate::web::visitor::Visitor;

/// A day, in seconds.
const DAY_S: i64 = 86_400;

#[derive(Template)]
#[template(path = "access.html")]
struct AccessPage {
    layout: PageLayout,
    form: AccessForm,
    name: String,
    /// The current version; the form may be older.
    version: i64,
    /// True if a secret other than the newest is still accepted. The next new secret ends it.
    has_old_secret: bool,
    state: &'static str,
    facts: Vec<(&'static str, String)>,
    saved: bool,
    /// True if the access has changed since the form was made.
    is_stale: bool,
    preview: Option<Preview>,
    sampler: Sampler,
    changes: Vec<ChangeView>,
}

/// The preview alone, without the page around it.
#[derive(Template)]
#[template(path = "preview.html")]
struct PreviewPiece {
    preview: Preview,
}

/// Describes the number of calls that the access made within the last day.
async fn use_of_last_day(console: &Console, access: &Access) -> Result<String, PageError> {
    let filter = JournalFilter {
        access: Some(access.name.clone()),
        since_ms: Some((console.judged_now() - DAY_S).saturating_mul(1000)),
        ..JournalFilter::default()
    };
    let summary = JournalSummary::of(&console.store, &filter).await?;
    let more = if summary.examined_to_ms.is_some() {
        "more than "
    } else {
        ""
    };
    let (calls, failed) = (grouped(summary.calls), grouped(summary.failed));
    Ok(format!(
        "{more}{calls} calls, {failed} of them rejected or failed"
    ))
}

impl AccessPage {
    async fn of(
        console: &Console,
        visitor: &Visitor,
        access: &Access,
        form: AccessForm,
    ) -> Result<AccessPage, PageError> {
        let changes = manage::latest_changes(console, &access.name).await?;
        let mut facts = facts(console, access);
        facts.push(("Last day", use_of_last_day(console, access).await?));
        Ok(AccessPage {
            layout: visitor.layout("accesses", format!("Access {}", access.name)),
            is_stale: form.version != access.version,
            form,
            name: access.name.clone(),
            version: access.version,
            has_old_secret: access.secrets.len() > 1,
            state: state_word(access, console.judged_now()),
            facts,
            saved: false,
            preview: None,
            sampler: Sampler::of(console, access, &Fields::default()),
            changes: changes.iter().map(ChangeView::of).collect(),
        })
    }
}

fn facts(console: &Console, access: &Access) -> Vec<(&'static str, String)> {
    let now = console.judged_now();
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
        ("User name", escape_invisible(&access.user)),
        ("Client id", access.client_id.clone()),
        ("Secrets", secrets.collect::<Vec<_>>().join(", ")),
        ("Last used", last),
        (
            "Tokens revoked",
            access.tokens_since.map_or("never".to_owned(), moment_of),
        ),
        ("Version", access.version.to_string()),
    ]
}

fn find(console: &Console, name: &str) -> Result<Arc<Access>, Problem> {
    let accesses = console.store.accesses();
    Ok(Arc::clone(
        accesses.named(name).ok_or(ChangeError::Missing)?,
    ))
}

fn saved(name: &str) -> Response {
    see_other(&format!("/console/accesses/{name}?saved=1"))
}

/// Shows the page of an access.
pub(crate) async fn page(
    State(console): ConsoleState,
    visitor: Visitor,
    PagePath(name): PagePath,
    fields: Fields,
) -> PageResult {
    let access = find(&console, &name)?;
    let mut page = AccessPage::of(&console, &visitor, &access, AccessForm::of(&access)).await?;
    page.saved = fields.has("saved");
    page.sampler = Sampler::of(&console, &access, &fields);
    Ok(html(StatusCode::OK, &page))
}

/// Changes the access according to the form.
pub(crate) async fn change(
    State(console): ConsoleState,
    PagePath(name): PagePath,
    form: OperatorForm,
) -> PageResult {
    let target = form.target(&name, form.fields.get("version").parse().ok());
    let shown = find(&console, &name)?;
    let changed = match draft(&form.fields, &shown) {
        Ok(draft) => manage::change(&console, target, draft).await,
        Err(problem) => Err(problem),
    };
    match changed {
        Ok(_) => Ok(saved(&name)),
        Err(problem) => {
            let access = find(&console, &name)?;
            let again = AccessForm::resubmitted(&form.fields, &problem);
            let page = AccessPage::of(&console, &form.visitor, &access, again).await?;
            Ok(html(problem.status(), &page))
        }
    }
}

/// Shows which journalled calls the form's rules would have rejected, without changing anything.
pub(crate) async fn preview(
    State(console): ConsoleState,
    PagePath(name): PagePath,
    headers: HeaderMap,
    form: SessionForm,
) -> PageResult {
    let is_piece = headers.contains_key("hx-request");
    let SessionForm { visitor, fields } = form;
    let access = find(&console, &name)?;
    let previewed = preview::of(&console, &access, &fields).await;
    let wrong = previewed.as_ref().err().map(Problem::status);
    let (form, preview) = match previewed {
        Ok(preview) => (AccessForm::sent(&fields), preview),
        Err(problem) => {
            let preview = Preview::failed(problem.detail());
            (AccessForm::resubmitted(&fields, &problem), preview)
        }
    };
    if is_piece {
        // htmx only shows a fragment whose status is a success.
        return Ok(html(StatusCode::OK, &PreviewPiece { preview }));
    }
    let mut page = AccessPage::of(&console, &visitor, &access, form).await?;
    page.preview = Some(preview);
    Ok(html(wrong.unwrap_or(StatusCode::OK), &page))
}

/// Suspends or resumes the access.
pub(crate) async fn set_state(
    State(console): ConsoleState,
    PagePath(name): PagePath,
    form: OperatorForm,
) -> PageResult {
    let body = json!({"state": form.fields.get("state")});
    let draft = serde_json::from_value(body).map_err(|_| Problem::not_found())?;
    manage::change(&console, form.target(&name, None), draft).await?;
    Ok(saved(&name))
}

#[derive(Template)]
#[template(path = "access_delete.html")]
struct DeletePage {
    layout: PageLayout,
    name: String,
    version: i64,
    /// The number of webhooks that are deleted together with the access.
    webhooks: usize,
    facts: Vec<(&'static str, String)>,
}

/// Asks for confirmation before the access is deleted.
pub(crate) async fn confirm_deletion(
    State(console): ConsoleState,
    visitor: Visitor,
    PagePath(name): PagePath,
) -> PageResult {
    visitor.operator()?;
    let access = find(&console, &name)?;
    let webhooks = console.webhooks().list().await.map_err(Problem::from)?;
    let of_it = webhooks
        .iter()
        .filter(|(_, of)| of.client_id == access.client_id);
    let page = DeletePage {
        webhooks: of_it.count(),
        layout: visitor.layout("accesses", format!("Delete {}", access.name)),
        name: access.name.clone(),
        version: access.version,
        facts: facts(&console, &access),
    };
    Ok(html(StatusCode::OK, &page))
}

/// Returns the version from which the form was made. A form without a version counts as stale.
fn form_version(fields: &Fields) -> Result<i64, ChangeError> {
    let version = fields.get("version").parse();
    version.map_err(|_| ChangeError::Stale)
}

/// Deletes the access, unless it has changed since the confirmation page was shown.
pub(crate) async fn delete(
    State(console): ConsoleState,
    PagePath(name): PagePath,
    form: OperatorForm,
) -> PageResult {
    let target = form.target(&name, Some(form_version(&form.fields)?));
    manage::delete(&console, target).await?;
    Ok(see_other(&format!("/console/accesses?deleted={name}")))
}

/// Ends every token that was issued so far.
pub(crate) async fn revoke_tokens(
    State(console): ConsoleState,
    PagePath(name): PagePath,
    form: OperatorForm,
) -> PageResult {
    manage::end_tokens(&console, form.target(&name, None)).await?;
    Ok(saved(&name))
}

/// Makes a new secret and shows it only this once, unless the access has changed since the page was shown. Without this check, an
/// operator who presses the button twice would see only the second secret, and the second press would end the secret in use.
pub(crate) async fn rotate(
    State(console): ConsoleState,
    PagePath(name): PagePath,
    form: OperatorForm,
) -> PageResult {
    let rotation = Rotation {
        drop_old: form.fields.has("drop_old"),
        ..Rotation::default()
    };
    let target = form.target(&name, Some(form_version(&form.fields)?));
    let (access, view) = manage::rotate(&console, target, rotation).await?;
    let layout = form.visitor.layout("accesses", "New secret");
    let heading = "The access has a new secret";
    let page = SecretPage::of(layout, heading, &console, &access, &view);
    Ok(html(StatusCode::OK, &page))
}
