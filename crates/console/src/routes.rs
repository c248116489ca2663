//! The routes of the listener, each with the kind of its path.

use std::sync::Arc;

use axum::Router;
use axum::routing::MethodRouter;

use crate::route_kind::{RouteKind, RouteKinds};
use crate::state::Console;

/// A router and the kinds of its paths.
#[derive(Default)]
pub(crate) struct Routes {
    pub(crate) router: Router<Arc<Console>>,
    pub(crate) kinds: RouteKinds,
}

impl Routes {
    /// Adds methods of a path of the kind [`RouteKind::Usual`].
    pub(crate) fn route(self, path: &'static str, methods: MethodRouter<Arc<Console>>) -> Routes {
        self.route_as(RouteKind::Usual, path, methods)
    }

    /// Adds methods of a path of this kind.
    pub(crate) fn route_as(
        mut self,
        kind: RouteKind,
        path: &'static str,
        methods: MethodRouter<Arc<Console>>,
    ) -> Routes {
        self.kinds.set(path, kind);
        self.router = self.router.route(path, methods);
        self
    }

    /// Adds the routes of another router.
    pub(crate) fn merge(mut self, other: Routes) -> Routes {
        self.kinds.extend(other.kinds);
        self.router = self.router.merge(other.router);
        self
    }
}
