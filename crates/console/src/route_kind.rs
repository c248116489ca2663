//! The kinds of paths, by which the layers around all routes journal and acknowledge requests.

use std::collections::HashMap;

use axum::extract::MatchedPath;
use http::Request;

/// What the requests to a path do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum RouteKind {
    /// GET changes nothing and leaves no row; all other methods change something.
    #[default]
    Usual,
    /// No method changes anything, although a body or form is sent by POST.
    Query,
    /// GET exports hashes of secrets or the whole journal, which leaves a row.
    Export,
    /// GET reads the journal. Reading it as lines is an export, reading a page is not.
    JournalRead,
    /// A change leaves a row of the kind `change` or `erasure`, written in the transaction of the change itself.
    JournaledChange,
    /// The form only opens or ends sessions.
    Session,
    /// The requests concern only this process, and have to work while the store fails.
    Local,
}

/// The kinds of the paths that are not [`RouteKind::Usual`], by path template.
#[derive(Default)]
pub(crate) struct RouteKinds(HashMap<&'static str, RouteKind>);

impl RouteKinds {
    /// Sets the kind of a path.
    pub(crate) fn set(&mut self, path: &'static str, kind: RouteKind) {
        if kind != RouteKind::Usual {
            let other = self.0.insert(path, kind);
            debug_assert!(other.is_none_or(|other| other == kind), "{path}");
        }
    }

    /// Adds the kinds of other paths.
    pub(crate) fn extend(&mut self, others: RouteKinds) {
        self.0.extend(others.0);
    }

    /// Returns the kind of the path of a request.
    pub(crate) fn of<B>(&self, request: &Request<B>) -> RouteKind {
        let path = request.extensions().get::<MatchedPath>();
        let kind = path.and_then(|path| self.0.get(path.as_str()));
        kind.copied().unwrap_or_default()
    }
}
