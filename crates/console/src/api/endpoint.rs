//! The declaration of one endpoint of the admin API. The router and the OpenAPI document are both made from the declarations.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::handler::Handler;
use axum::response::{IntoResponse, Response};
use axum::routing::{self, MethodFilter, MethodRouter};
use futures_util::future::BoxFuture;
use http::Request;
use serde_json::{Value, json};

use crate::api::auth::Actor;
use crate::problem::Problem;
use crate::route_kind::RouteKind;
use crate::routes::Routes;
use crate::state::{Console, ConsoleState};

/// The kind of key that an endpoint requires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequiredKey {
    /// No key.
    None,
    /// Any admin key.
    Viewer,
    /// A key that may change things.
    Operator,
}

impl RequiredKey {
    /// Wraps a handler, so that it runs only for requests with the required key. The key is checked before path and body are read.
    fn guard<H: Handler<T, Arc<Console>>, T: 'static>(
        self,
        handler: H,
    ) -> impl Fn(ConsoleState, Request<Body>) -> BoxFuture<'static, Response> + Clone {
        move |State(console), mut request| {
            let handler = handler.clone();
            Box::pin(async move {
                if let Err(problem) = self.check(&console, &mut request) {
                    return problem.into_response();
                }
                handler.call(request, console).await
            })
        }
    }

    /// Checks the key, and passes its name to the handler as [`Actor`].
    fn check(self, console: &Console, request: &mut Request<Body>) -> Result<(), Problem> {
        let name = match self {
            RequiredKey::None => return Ok(()),
            RequiredKey::Viewer => console.any_key_name(request.headers())?,
            RequiredKey::Operator => console.operator_key_name(request.headers())?,
        };
        request.extensions_mut().insert(Actor(name));
        Ok(())
    }
}

/// A successful answer, as the OpenAPI document describes it.
pub(crate) struct AnswerSpec {
    pub(crate) status: u16,
    pub(crate) media_type: &'static str,
    /// The name of the schema; `None` if the body is not JSON or is empty.
    pub(crate) schema: Option<&'static str>,
}

/// An endpoint: one method on one path.
pub(crate) struct AdminEndpoint {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    /// The name of the operation in generated clients.
    pub(crate) id: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) key: RequiredKey,
    kind: RouteKind,
    /// Parameters in addition to the path parameters.
    pub(crate) parameters: Vec<Value>,
    /// The name of the body's schema, and whether the body is required.
    pub(crate) body: Option<(&'static str, bool)>,
    pub(crate) answers: Vec<AnswerSpec>,
    /// The statuses of error answers, except those that follow from key, path and body.
    pub(crate) refusals: &'static [u16],
    /// True if the answers carry an ETag.
    pub(crate) tagged: bool,
    /// The ids of the endpoints that take the `name` in the answer.
    pub(crate) links: &'static [&'static str],
    route: MethodRouter<Arc<Console>>,
}

/// Generates one constructor for each HTTP method.
macro_rules! constructors {
    ($($method:ident $filter:ident)*) => {
        $(
            pub(crate) fn $method<H: Handler<T, Arc<Console>>, T: 'static>(
                key: RequiredKey,
                path: &'static str,
                handler: H,
            ) -> AdminEndpoint {
                let route = routing::on(MethodFilter::$filter, key.guard(handler));
                AdminEndpoint::new(key, stringify!($method), path, route)
            }
        )*
    };
}

impl AdminEndpoint {
    constructors!(get GET post POST patch PATCH delete DELETE);

    fn new(
        key: RequiredKey,
        method: &'static str,
        path: &'static str,
        route: MethodRouter<Arc<Console>>,
    ) -> AdminEndpoint {
        AdminEndpoint {
            method,
            path,
            id: "",
            summary: "",
            key,
            kind: RouteKind::default(),
            parameters: Vec::new(),
            body: None,
            answers: Vec::new(),
            refusals: &[],
            tagged: false,
            links: &[],
            route,
        }
    }

    /// Sets the name in generated clients, and a one-line summary for people.
    pub(crate) fn named(self, id: &'static str, summary: &'static str) -> AdminEndpoint {
        AdminEndpoint {
            id,
            summary,
            ..self
        }
    }

    /// Sets the kind of the path.
    pub(crate) fn kind(self, kind: RouteKind) -> AdminEndpoint {
        AdminEndpoint { kind, ..self }
    }

    /// Declares a required JSON body of this schema.
    pub(crate) fn accepts(self, schema: &'static str) -> AdminEndpoint {
        AdminEndpoint {
            body: Some((schema, true)),
            ..self
        }
    }

    /// Declares an optional JSON body of this schema. An absent body is read as an empty object.
    pub(crate) fn accepts_optional(self, schema: &'static str) -> AdminEndpoint {
        AdminEndpoint {
            body: Some((schema, false)),
            ..self
        }
    }

    /// Declares an answer with JSON of this schema.
    pub(crate) fn answers(self, status: u16, schema: &'static str) -> AdminEndpoint {
        self.answering(AnswerSpec {
            status,
            media_type: "application/json",
            schema: Some(schema),
        })
    }

    /// Declares an answer in a form other than JSON.
    pub(crate) fn answers_in(self, status: u16, media_type: &'static str) -> AdminEndpoint {
        self.answering(AnswerSpec {
            status,
            media_type,
            schema: None,
        })
    }

    /// Declares an answer without a body.
    pub(crate) fn answers_empty(self) -> AdminEndpoint {
        self.answers_in(204, "")
    }

    fn answering(mut self, answer: AnswerSpec) -> AdminEndpoint {
        self.answers.push(answer);
        self
    }

    pub(crate) fn refuses(self, refusals: &'static [u16]) -> AdminEndpoint {
        AdminEndpoint { refusals, ..self }
    }

    /// Declares that the answers carry an ETag.
    pub(crate) fn with_etag(self) -> AdminEndpoint {
        AdminEndpoint {
            tagged: true,
            ..self
        }
    }

    /// Declares the header with the version that the caller has seen.
    pub(crate) fn if_match(mut self) -> AdminEndpoint {
        let text = "The ETag of the version that the client has read. If the resource has changed since then, the request is rejected.";
        let schema = json!({"type": "string", "pattern": "^(\\*|\"v[0-9]{1,18}\")$"});
        self.parameters.push(
            json!({"name": "If-Match", "in": "header", "description": text, "schema": schema, "example": "*"}),
        );
        self
    }

    /// Declares a query parameter.
    pub(crate) fn query(mut self, name: &str, schema: &Value) -> AdminEndpoint {
        self.parameters
            .push(json!({"name": name, "in": "query", "schema": schema}));
        self
    }

    pub(crate) fn links(self, links: &'static [&'static str]) -> AdminEndpoint {
        AdminEndpoint { links, ..self }
    }

    /// Returns whether the endpoint may change something.
    pub(crate) fn changes(&self) -> bool {
        self.method != "get" && self.kind != RouteKind::Query
    }

    /// Returns whether a replica refuses the endpoint while it may not know that the key of the request was deleted.
    pub(crate) fn needs_lease(&self) -> bool {
        self.key != RequiredKey::None && self.kind != RouteKind::Local
    }

    /// Adds the route to others.
    pub(super) fn add_to(self, routes: Routes) -> Routes {
        routes.route_as(self.kind, self.path, self.route)
    }
}
