//! The person who requests a page, and their rights.

use http::HeaderMap;
use store::{Role, StoreError};

use crate::problem::Problem;
use crate::state::Console;
use crate::state::sessions::Session;
use crate::web::cookie::session_id;
use crate::web::layout::{LayoutUser, PageLayout};

/// A signed-in person.
pub(crate) struct Visitor {
    session: Session,
    /// The notice about a change that has not reached all replicas, taken from the page's address.
    pub(crate) notice: Option<String>,
}

impl Visitor {
    /// Finds the visitor by the session cookie of the request. `is_use` resets the session's idle time.
    ///
    /// # Errors
    /// Returns an error if the store of the sessions can't be read.
    pub(crate) async fn find(
        console: &Console,
        headers: &HeaderMap,
        is_use: bool,
    ) -> Result<Option<Visitor>, StoreError> {
        let Some(id) = session_id(console, headers) else {
            return Ok(None);
        };
        let keys = console.store.admin_keys();
        let finding = console.sessions.find(&id, &keys, console.now(), is_use);
        let notice = None;
        Ok(finding.await?.map(|session| Visitor { session, notice }))
    }

    /// Returns the name of the key if the key may change things.
    pub(crate) fn operator(&self) -> Result<&str, Problem> {
        match self.session.key.role {
            Role::Operator => Ok(&self.session.key.name),
            Role::Viewer => Err(Problem::operator_required()),
        }
    }

    /// Returns the name of the key.
    pub(crate) fn name(&self) -> &str {
        &self.session.key.name
    }

    /// Returns the token that the session's forms carry.
    pub(crate) fn token(&self) -> &str {
        &self.session.token
    }

    /// Returns the role of the key.
    pub(crate) fn role(&self) -> Role {
        self.session.key.role
    }

    /// Returns the layout of a page for this visitor.
    pub(crate) fn layout(&self, place: &'static str, title: impl Into<String>) -> PageLayout {
        let user = LayoutUser {
            name: self.name().to_owned(),
            role: self.role(),
            token: self.token().to_owned(),
        };
        PageLayout {
            notice: self.notice.clone(),
            ..PageLayout::of(user, place, title)
        }
    }
}

/// Returns the name of the key of the request's session. Does not reset the session's idle time.
pub(crate) async fn signed_in(console: &Console, headers: &HeaderMap) -> Option<String> {
    let visitor = Visitor::find(console, headers, false).await.ok()??;
    Some(visitor.session.key.name)
}
