//! Extracts the names in a path. A path that can't be decoded is answered like any other path that does not exist: only after the
//! key or the session was checked, and in the format of the API or of the pages.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Path};
use http::request::Parts;
use serde::de::DeserializeOwned;

use crate::problem::Problem;
use crate::state::Console;
use crate::web::page_error::PageError;
use crate::web::visitor::Visitor;

/// The names in a path of the admin API.
pub(crate) struct ApiPath<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Arc<Console>> for ApiPath<T> {
    type Rejection = Problem;

    async fn from_request_parts(
        parts: &mut Parts,
        console: &Arc<Console>,
    ) -> Result<ApiPath<T>, Problem> {
        let names = Path::from_request_parts(parts, console).await;
        let Path(names) = names.map_err(|_| Problem::not_found())?;
        Ok(ApiPath(names))
    }
}

/// The name in the path of a page.
pub(crate) struct PagePath(pub(crate) String);

impl FromRequestParts<Arc<Console>> for PagePath {
    type Rejection = PageError;

    async fn from_request_parts(
        parts: &mut Parts,
        console: &Arc<Console>,
    ) -> Result<PagePath, PageError> {
        if let Ok(Path(name)) = Path::from_request_parts(parts, console).await {
            return Ok(PagePath(name));
        }
        Visitor::from_request_parts(parts, console).await?;
        Err(Problem::not_found().into())
    }
}
