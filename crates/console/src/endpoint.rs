//! One path of the admin listener, declared once: the router and the OpenAPI document are both made from these.

use std::sync::Arc;

use axum::Router;
use axum::handler::Handler;
use axum::routing::{MethodFilter, MethodRouter, on};
use serde_json::{Value, json};

use crate::Console;

/// Who may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// Anybody who reaches the listener.
    None,
    /// Every admin key.
    Viewer,
    /// Keys that may change things.
    Operator,
}

/// An answer that is no refusal.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) media_type: &'static str,
    /// The name of its schema; absent for a body that is no JSON, or for none.
    pub(crate) schema: Option<&'static str>,
}

/// One method on one path.
pub(crate) struct Endpoint {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    /// What generated clients call it.
    pub(crate) id: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) key: Key,
    /// Parameters besides those of the path.
    pub(crate) parameters: Vec<Value>,
    /// The name of the body's schema, and whether there has to be a body.
    pub(crate) body: Option<(&'static str, bool)>,
    pub(crate) answers: Vec<Answer>,
    /// The statuses of its refusals beyond those that follow from key, path and body.
    pub(crate) refusals: &'static [u16],
    /// Whether its answers carry the version of what they show.
    pub(crate) tagged: bool,
    /// What can be asked about the `name` in its answer, by id.
    pub(crate) links: &'static [&'static str],
    route: MethodRouter<Arc<Console>>,
}

impl Endpoint {
    fn new<H, T>(
        (filter, method): (MethodFilter, &'static str),
        path: &'static str,
        handler: H,
    ) -> Endpoint
    where
        H: Handler<T, Arc<Console>>,
        T: 'static,
    {
        Endpoint {
            method,
            path,
            id: "",
            summary: "",
            key: Key::None,
            parameters: Vec::new(),
            body: None,
            answers: Vec::new(),
            refusals: &[],
            tagged: false,
            links: &[],
            route: on(filter, handler),
        }
    }

    pub(crate) fn get<H: Handler<T, Arc<Console>>, T: 'static>(
        path: &'static str,
        handler: H,
    ) -> Endpoint {
        Endpoint::new((MethodFilter::GET, "get"), path, handler)
    }

    pub(crate) fn post<H: Handler<T, Arc<Console>>, T: 'static>(
        path: &'static str,
        handler: H,
    ) -> Endpoint {
        Endpoint::new((MethodFilter::POST, "post"), path, handler)
    }

    pub(crate) fn patch<H: Handler<T, Arc<Console>>, T: 'static>(
        path: &'static str,
        handler: H,
    ) -> Endpoint {
        Endpoint::new((MethodFilter::PATCH, "patch"), path, handler)
    }

    pub(crate) fn delete<H: Handler<T, Arc<Console>>, T: 'static>(
        path: &'static str,
        handler: H,
    ) -> Endpoint {
        Endpoint::new((MethodFilter::DELETE, "delete"), path, handler)
    }

    /// Its name for generated clients, and one line for people.
    pub(crate) fn named(self, id: &'static str, summary: &'static str) -> Endpoint {
        Endpoint {
            id,
            summary,
            ..self
        }
    }

    /// The handler has to ask for this key; a test holds it to that.
    pub(crate) fn wants(self, key: Key) -> Endpoint {
        Endpoint { key, ..self }
    }

    /// A JSON body of this schema.
    pub(crate) fn takes(self, schema: &'static str) -> Endpoint {
        Endpoint {
            body: Some((schema, true)),
            ..self
        }
    }

    /// The same, where an absent body is an empty object.
    pub(crate) fn may_take(self, schema: &'static str) -> Endpoint {
        Endpoint {
            body: Some((schema, false)),
            ..self
        }
    }

    /// A JSON answer of this schema.
    pub(crate) fn answers(self, status: u16, schema: &'static str) -> Endpoint {
        self.answering(Answer {
            status,
            media_type: "application/json",
            schema: Some(schema),
        })
    }

    /// An answer in another form.
    pub(crate) fn answers_in(self, status: u16, media_type: &'static str) -> Endpoint {
        self.answering(Answer {
            status,
            media_type,
            schema: None,
        })
    }

    /// An answer without a body.
    pub(crate) fn answers_nothing(self) -> Endpoint {
        self.answers_in(204, "")
    }

    fn answering(mut self, answer: Answer) -> Endpoint {
        self.answers.push(answer);
        self
    }

    pub(crate) fn refuses(self, refusals: &'static [u16]) -> Endpoint {
        Endpoint { refusals, ..self }
    }

    /// Its answers carry an ETag.
    pub(crate) fn tagged(self) -> Endpoint {
        Endpoint {
            tagged: true,
            ..self
        }
    }

    /// It takes the version that the caller has seen.
    pub(crate) fn if_match(mut self) -> Endpoint {
        let text = "The ETag of the access as the caller has seen it: if it has changed since, nothing is done.";
        let schema = json!({"type": "string", "pattern": "^(\\*|\"v[0-9]{1,18}\")$"});
        self.parameters.push(
            json!({"name": "If-Match", "in": "header", "description": text, "schema": schema, "example": "*"}),
        );
        self
    }

    /// It takes this parameter in the query.
    pub(crate) fn query(mut self, name: &str, schema: &Value) -> Endpoint {
        self.parameters
            .push(json!({"name": name, "in": "query", "schema": schema}));
        self
    }

    pub(crate) fn links(self, links: &'static [&'static str]) -> Endpoint {
        Endpoint { links, ..self }
    }
}

/// Routes every endpoint. This is the one place where a path of the listener comes from.
pub(crate) fn router(endpoints: Vec<Endpoint>) -> Router<Arc<Console>> {
    endpoints
        .into_iter()
        .fold(Router::new(), |router, endpoint| {
            router.route(endpoint.path, endpoint.route)
        })
}
