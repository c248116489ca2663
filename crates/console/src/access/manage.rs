//! Changes of accesses, made by a program through the admin API or by a person on the pages.

use std::sync::Arc;

use adapter::{OPERATIONS, Way};
use secrecy::SecretString;
use serde_json::Value;
use store::{Access, Change, ChangeAuthor, ChangeError, SECRETS_MAX, Secret, new_client_id};

use crate::access::draft::{AccessDraft, present};
use crate::access::secrets::NewSecret;
use crate::access::view::access_with_last_use;
use crate::problem::Problem;
use crate::state::Console;

/// Maximum number of changes of an access that one call reads.
const CHANGES_MAX: u32 = 100;

/// The access to change, the operator who changes it, and the expected version.
#[derive(Clone, Copy)]
pub(crate) struct ChangeTarget<'a> {
    /// The name of the operator's key.
    actor: &'a str,
    /// The name of the access.
    name: &'a str,
    /// The version that the operator has seen; `None` accepts any version.
    expected: Option<i64>,
}

impl<'a> ChangeTarget<'a> {
    pub(crate) fn new(actor: &'a str, name: &'a str, expected: Option<i64>) -> ChangeTarget<'a> {
        ChangeTarget {
            actor,
            name,
            expected,
        }
    }

    /// Returns the access, or an error if it does not exist or has changed since the operator saw it.
    fn check(self, access: Option<&Access>) -> Result<&Access, ChangeError> {
        let access = access.ok_or(ChangeError::Missing)?;
        match self.expected {
            Some(version) if version != access.version => Err(ChangeError::Stale),
            _ => Ok(access),
        }
    }
}

/// The request body of a rotation.
#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rotation {
    /// The password that the operator chose instead of a random secret.
    #[serde(default, deserialize_with = "present")]
    pub(crate) password: Option<SecretString>,
    /// The argon2id hash of a chosen password.
    #[serde(default, deserialize_with = "present")]
    pub(crate) password_hash: Option<SecretString>,
    /// True if the secret in use ends immediately.
    #[serde(default)]
    pub(crate) drop_old: bool,
}

/// Creates an access. Returns the access and its view with the secrets, which are shown only this once.
pub(crate) async fn create(
    console: &Console,
    actor: &str,
    draft: AccessDraft,
) -> Result<(Arc<Access>, Value), Problem> {
    let name = draft.name.clone().unwrap_or_default();
    store::check_name(&name).map_err(|text| Problem::wrong("name", text))?;
    let (password, hash) = (draft.password.clone(), draft.password_hash.clone());
    let secret = NewSecret::make(console, password, hash).await?;
    let mut access = blank(&name, vec![secret.stored.clone()])?;
    let applied = draft.apply_at(console.judged_now(), &mut access);
    applied.map_err(Problem::invalid)?;
    let create = |current: Option<&Access>| match current {
        Some(_) => Err(ChangeError::Exists),
        None => Ok(Some(access)),
    };
    let access = console
        .store
        .change_access(ChangeAuthor::new(actor, console.now()), &name, create)
        .await?;
    with_secret(console, access, &secret)
}

/// Changes the fields that the draft holds.
pub(crate) async fn change(
    console: &Console,
    target: ChangeTarget<'_>,
    draft: AccessDraft,
) -> Result<Arc<Access>, Problem> {
    if draft.name.as_ref().is_some_and(|new| new != target.name) {
        return Err(Problem::wrong("name", "a name can't be changed"));
    }
    let secrets = [
        ("password", &draft.password),
        ("password_hash", &draft.password_hash),
    ];
    if let Some((field, _)) = secrets.iter().find(|(_, secret)| secret.is_some()) {
        return Err(Problem::wrong(field, "use …/rotate to replace a secret"));
    }
    let mut mistakes = Vec::new();
    let changed = console
        .store
        .change_access(
            ChangeAuthor::new(target.actor, console.now()),
            target.name,
            |current| {
                let mut access = target.check(current)?.clone();
                draft
                    .apply_at(console.judged_now(), &mut access)
                    .map_err(|found| {
                        mistakes = found;
                        ChangeError::Refused(String::new())
                    })?;
                Ok(Some(access))
            },
        )
        .await;
    if !mistakes.is_empty() {
        return Err(Problem::invalid(mistakes));
    }
    Ok(changed?.ok_or(ChangeError::Missing)?)
}

/// Deletes an access.
pub(crate) async fn delete(console: &Console, target: ChangeTarget<'_>) -> Result<(), Problem> {
    let delete = |current: Option<&Access>| target.check(current).map(|_| None);
    let change = console.store.change_access(
        ChangeAuthor::new(target.actor, console.now()),
        target.name,
        delete,
    );
    change.await?;
    Ok(())
}

/// Returns the mistakes in a draft that do not depend on the access that the draft is for.
pub(crate) fn mistakes(draft: AccessDraft) -> Vec<(String, String)> {
    let nobody = blank("nobody", Vec::new()).ok();
    let applied = nobody.map(|mut access| draft.apply(&mut access));
    applied.and_then(Result::err).unwrap_or_default()
}

/// Adds a new secret next to the one in use, so that no call fails in between. An older secret is dropped.
pub(crate) async fn rotate(
    console: &Console,
    target: ChangeTarget<'_>,
    rotation: Rotation,
) -> Result<(Arc<Access>, Value), Problem> {
    let secret = NewSecret::make(console, rotation.password, rotation.password_hash).await?;
    let stored = secret.stored.clone();
    let rotate = |current: Option<&Access>| {
        let mut access = target.check(current)?.clone();
        let kept = if rotation.drop_old {
            0
        } else {
            SECRETS_MAX - 1
        };
        let surplus = access.secrets.len().saturating_sub(kept);
        access.secrets.drain(..surplus);
        access.secrets.push(stored);
        Ok(Some(access))
    };
    let access = console
        .store
        .change_access(
            ChangeAuthor::new(target.actor, console.now()),
            target.name,
            rotate,
        )
        .await?;
    with_secret(console, access, &secret)
}

/// Returns the access, and its view with the new secret.
fn with_secret(
    console: &Console,
    access: Option<Arc<Access>>,
    secret: &NewSecret,
) -> Result<(Arc<Access>, Value), Problem> {
    let access = access.ok_or(ChangeError::Missing)?;
    let mut view = access_with_last_use(console, &access);
    secret.show_in(&mut view);
    Ok((access, view))
}

/// Ends all tokens issued so far that name the access.
pub(crate) async fn end_tokens(
    console: &Console,
    target: ChangeTarget<'_>,
) -> Result<Arc<Access>, Problem> {
    let check = |current: Option<&Access>| target.check(current).map(|access| Some(access.clone()));
    let ended = console
        .store
        .end_tokens(
            ChangeAuthor::new(target.actor, console.now()),
            target.name,
            check,
        )
        .await?;
    Ok(ended.ok_or(ChangeError::Missing)?)
}

/// Returns the latest changes of an access, newest first.
pub(crate) async fn latest_changes(
    console: &Console,
    name: &str,
) -> Result<Vec<Change>, ChangeError> {
    let changes = console.store.changes(name, CHANGES_MAX).await;
    changes.map_err(ChangeError::Store)
}

/// Returns an access that may use every way in and every method, but from no network yet.
fn blank(name: &str, secrets: Vec<Secret>) -> Result<Access, Problem> {
    let client_id = new_client_id().map_err(|error| ChangeError::Refused(error.to_string()))?;
    let methods = OPERATIONS.iter().map(|operation| operation.method.into());
    Ok(Access {
        secrets,
        ways: Way::ALL.map(|way| way.name().into()).to_vec(),
        methods: methods.collect(),
        ..Access::new(name, name, &client_id)
    })
}
