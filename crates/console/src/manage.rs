//! What is done to accesses, whether a program asks for it or a person on the console's pages.

use std::sync::Arc;

use secrecy::SecretString;
use serde_json::{Value, json};
use store::{Access, ChangeError, SECRETS_MAX, Secret, new_client_id};

use crate::Console;
use crate::draft::{Draft, given};
use crate::problem::Problem;
use crate::secrets::Wanted;
use crate::view::view;

/// A new secret, as it is wanted.
#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rotation {
    /// A chosen password in place of a random secret.
    #[serde(default, deserialize_with = "given")]
    pub(crate) password: Option<SecretString>,
    /// The argon2id hash of one.
    #[serde(default, deserialize_with = "given")]
    pub(crate) password_hash: Option<SecretString>,
    /// Whether the secret in use ends at once.
    #[serde(default)]
    pub(crate) drop_old: bool,
}

/// An access with its last use.
pub(crate) fn seen(console: &Console, access: &Access) -> Value {
    view(access, console.store.last_use(access))
}

/// Makes an access. Gives it, and what is shown of it: its secrets, this once.
pub(crate) async fn create(
    console: &Console,
    actor: &str,
    draft: Draft,
) -> Result<(Arc<Access>, Value), Problem> {
    let name = draft.name.clone().unwrap_or_default();
    store::check_name(&name).map_err(|text| Problem::invalid(vec![("name".to_owned(), text)]))?;
    let wanted = Wanted {
        password: draft.password.clone(),
        password_hash: draft.password_hash.clone(),
    };
    let made = wanted.make(console).await?;
    let mut access = blank(&name, std::slice::from_ref(&made.secret))?;
    draft.apply(&mut access).map_err(Problem::invalid)?;
    let create = |there: Option<&Access>| match there {
        Some(_) => Err(ChangeError::Exists),
        None => Ok(Some(access)),
    };
    let access = console
        .store
        .change_access((actor, console.now()), &name, create)
        .await?;
    let access = access.ok_or(ChangeError::Missing)?;
    let mut shown = seen(console, &access);
    made.show(&mut shown);
    Ok((access, shown))
}

/// Changes what the draft names, if the access is still as the caller has seen it.
pub(crate) async fn change(
    console: &Console,
    (actor, name, expected): (&str, &str, Option<i64>),
    draft: Draft,
) -> Result<Arc<Access>, Problem> {
    if draft.name.as_ref().is_some_and(|new| new != name) {
        return Err(Problem::invalid(vec![(
            "name".to_owned(),
            "a name can't be changed".to_owned(),
        )]));
    }
    let secrets = [
        ("password", &draft.password),
        ("password_hash", &draft.password_hash),
    ];
    if let Some((field, _)) = secrets.iter().find(|(_, given)| given.is_some()) {
        let text = "a secret is replaced by …/rotate".to_owned();
        return Err(Problem::invalid(vec![((*field).to_owned(), text)]));
    }
    let mut mistakes = Vec::new();
    let changed = console
        .store
        .change_access((actor, console.now()), name, |there| {
            let mut access = current(there, expected)?.clone();
            draft.apply(&mut access).map_err(|wrong| {
                mistakes = wrong;
                ChangeError::Refused(String::new())
            })?;
            Ok(Some(access))
        })
        .await;
    if !mistakes.is_empty() {
        return Err(Problem::invalid(mistakes));
    }
    Ok(changed?.ok_or(ChangeError::Missing)?)
}

/// Takes an access away, if it is still as the caller has seen it.
pub(crate) async fn delete(
    console: &Console,
    (actor, name, expected): (&str, &str, Option<i64>),
) -> Result<(), Problem> {
    let delete = |there: Option<&Access>| current(there, expected).map(|_| None);
    let change = console
        .store
        .change_access((actor, console.now()), name, delete);
    change.await?;
    Ok(())
}

/// What is wrong with a draft, whatever access it is for.
pub(crate) fn mistakes(draft: Draft) -> Vec<(String, String)> {
    let nobody = blank("nobody", &[]).ok();
    let applied = nobody.map(|mut access| draft.apply(&mut access));
    applied.and_then(Result::err).unwrap_or_default()
}

/// A new secret beside the one in use, so that there is no gap; the one before that goes.
pub(crate) async fn rotate(
    console: &Console,
    (actor, name, expected): (&str, &str, Option<i64>),
    wanted: Rotation,
) -> Result<(Arc<Access>, Value), Problem> {
    let secret = Wanted {
        password: wanted.password,
        password_hash: wanted.password_hash,
    };
    let made = secret.make(console).await?;
    let fresh = made.secret.clone();
    let rotate = |there: Option<&Access>| {
        let mut access = current(there, expected)?.clone();
        let kept = if wanted.drop_old { 0 } else { SECRETS_MAX - 1 };
        let surplus = access.secrets.len().saturating_sub(kept);
        access.secrets.drain(..surplus);
        access.secrets.push(fresh);
        Ok(Some(access))
    };
    let access = console
        .store
        .change_access((actor, console.now()), name, rotate)
        .await?;
    let access = access.ok_or(ChangeError::Missing)?;
    let mut shown = seen(console, &access);
    made.show(&mut shown);
    Ok((access, shown))
}

/// Ends all tokens that name the access and were issued so far.
pub(crate) async fn end_tokens(
    console: &Console,
    (actor, name, expected): (&str, &str, Option<i64>),
) -> Result<Arc<Access>, Problem> {
    let check = |there: Option<&Access>| current(there, expected).map(|there| Some(there.clone()));
    let ended = console
        .store
        .end_tokens((actor, console.now()), name, check)
        .await?;
    Ok(ended.ok_or(ChangeError::Missing)?)
}

/// The access, unless it is gone or has changed since the caller saw it.
pub(crate) fn current(
    there: Option<&Access>,
    expected: Option<i64>,
) -> Result<&Access, ChangeError> {
    let access = there.ok_or(ChangeError::Missing)?;
    match expected {
        Some(version) if version != access.version => Err(ChangeError::Stale),
        _ => Ok(access),
    }
}

fn blank(name: &str, secrets: &[Secret]) -> Result<Access, Problem> {
    let client_id = new_client_id().map_err(|error| ChangeError::Refused(error.to_string()))?;
    let ways = adapter::Way::ALL.map(adapter::Way::name);
    let methods = adapter::OPERATIONS
        .each_ref()
        .map(|operation| operation.method);
    let document = json!({"name": name, "user": name, "client_id": client_id, "secrets": secrets, "active": true,
        "allow": [], "ways": ways, "methods": methods});
    serde_json::from_value(document).map_err(|error| ChangeError::Refused(error.to_string()).into())
}
