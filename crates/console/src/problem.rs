//! Errors of the admin API in the format of RFC 9457.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use store::{ChangeError, StoreError};

use crate::audit::notes::RefusalCode;

/// The result of a handler of the admin API.
pub(crate) type ApiResult = Result<Response, Problem>;

/// An error answer of the admin API.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    /// The mistakes in the request, one object each.
    errors: Vec<Value>,
}

impl Problem {
    pub(crate) fn new(
        status: StatusCode,
        code: &'static str,
        detail: impl Into<String>,
    ) -> Problem {
        Problem {
            status,
            code,
            detail: detail.into(),
            errors: Vec::new(),
        }
    }

    /// Returns the code by which programs distinguish errors.
    pub(crate) fn code(&self) -> &'static str {
        self.code
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns the sentence that describes the problem.
    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    /// Returns the mistake in this field.
    pub(crate) fn about(&self, field: &str) -> Option<&str> {
        let mut errors = self.errors.iter();
        errors.find(|error| error["field"] == field)?["detail"].as_str()
    }

    pub(crate) fn unauthorized() -> Problem {
        Problem::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "The request needs an admin key.",
        )
    }

    /// Makes the error for a viewer's key where an operator's key is required.
    pub(crate) fn operator_required() -> Problem {
        let text = "This key may read but not change anything.";
        Problem::new(StatusCode::FORBIDDEN, "viewer", text)
    }

    pub(crate) fn not_found() -> Problem {
        Problem::new(
            StatusCode::NOT_FOUND,
            "not_found",
            "There is nothing at this path.",
        )
    }

    pub(crate) fn method_not_allowed() -> Problem {
        Problem::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "This HTTP method is not allowed here.",
        )
    }

    /// Makes the error for all mistakes of a query. The status is that of a malformed request, because a query changes nothing.
    pub(crate) fn unreadable(errors: Vec<(String, String)>) -> Problem {
        Problem {
            status: StatusCode::BAD_REQUEST,
            ..Problem::invalid(errors)
        }
    }

    /// Makes the error for one mistake of a body.
    pub(crate) fn wrong(field: &str, text: impl Into<String>) -> Problem {
        Problem::invalid(vec![(field.to_owned(), text.into())])
    }

    /// Makes the error for all mistakes of a body.
    pub(crate) fn invalid(errors: Vec<(String, String)>) -> Problem {
        let texts: Vec<_> = errors
            .iter()
            .map(|(field, text)| format!("{field}: {text}"))
            .collect();
        let objects = errors
            .into_iter()
            .map(|(field, text)| json!({"field": field, "detail": text}));
        Problem::mistaken(texts.join("; "), objects.collect())
    }

    /// Makes the error for all mistakes as the operation describes them.
    pub(crate) fn mistaken(detail: String, errors: Vec<Value>) -> Problem {
        Problem {
            errors,
            ..Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail)
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = json!({
            "type": format!("urn:chatgate:problem:{}", self.code),
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "code": self.code,
            "detail": self.detail,
        });
        if !self.errors.is_empty() {
            body["errors"] = self.errors.into();
        }
        let mut response = answer(self.status, "application/problem+json", body.to_string());
        response.extensions_mut().insert(RefusalCode(self.code));
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer realm=\"chatgate-admin\"");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

impl From<ChangeError> for Problem {
    fn from(error: ChangeError) -> Problem {
        let detail = error.to_string();
        let (status, code) = match &error {
            ChangeError::Missing => (StatusCode::NOT_FOUND, "no_such_access"),
            ChangeError::Exists => (StatusCode::CONFLICT, "exists"),
            ChangeError::Taken => (StatusCode::CONFLICT, "taken"),
            ChangeError::Stale => (StatusCode::PRECONDITION_FAILED, "changed_since"),
            ChangeError::Refused(_) => (StatusCode::UNPROCESSABLE_ENTITY, "refused"),
            ChangeError::Store(cause) => {
                tracing::error!(%cause, "the store failed during an operator's request");
                (StatusCode::SERVICE_UNAVAILABLE, "store_failing")
            }
        };
        Problem::new(status, code, detail)
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Problem {
        ChangeError::Store(error).into()
    }
}

/// Makes a JSON answer that no cache may store.
pub(crate) fn json_answer(status: StatusCode, body: &Value) -> Response {
    answer(status, "application/json", body.to_string())
}

/// Makes an answer without a body.
pub(crate) fn no_content() -> Response {
    answer(StatusCode::NO_CONTENT, "application/json", Body::empty())
}

/// Makes an answer with a body that no cache may store.
pub(crate) fn answer(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Body>,
) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Browsers must not guess the media type, because text that callers wrote could then pass for a page or a script.
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}
