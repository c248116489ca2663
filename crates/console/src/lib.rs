//! The operators' listener: health, readiness and metrics without a key, the admin API behind named keys, and web pages behind
//! sessions.

mod access;
mod api;
mod audit;
mod explain;
mod host;
mod journal;
mod json_schema;
mod moment;
mod operation;
mod path_names;
mod poll;
mod port;
mod problem;
mod propagation;
mod query;
mod route_kind;
mod routes;
mod state;
mod web;
mod webhooks;
mod whole_numbers;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;

pub use moment::rfc3339;
pub use port::{
    AnswerFuture, Backups, CountsNotShared, ExplainQuestion, Explains, Gateway, KeyRow, Keys,
    OperationError, OperationFuture, Reloads,
};
pub use state::Console;

impl Console {
    /// Returns the routes of the admin listener, and the background work that has to run until the gateway ends.
    pub fn open(mut self) -> (Router, impl Future<Output = ()> + Send + use<>) {
        let routes = api::routes().merge(web::routes());
        self.route_kinds = routes.kinds;
        let console = Arc::new(self);
        let router = routes
            .router
            .fallback(api::fallback::not_found)
            .method_not_allowed_fallback(api::fallback::method_not_allowed)
            .with_state(Arc::clone(&console))
            .layer(from_fn_with_state(
                Arc::clone(&console),
                propagation::acknowledge,
            ))
            .layer(from_fn_with_state(Arc::clone(&console), audit::record))
            .layer(from_fn_with_state(Arc::clone(&console), host::guard));
        (router, poll::run(console))
    }
}
