//! The answers to requests below `/console` that no page handles.

use crate::problem::Problem;
use crate::web::page_error::PageResult;
use crate::web::visitor::Visitor;

/// Answers requests to paths that do not exist.
pub(crate) async fn not_found(_visitor: Visitor) -> PageResult {
    Err(Problem::not_found().into())
}

/// Answers requests with a method that the path does not support.
pub(crate) async fn method_not_allowed(_visitor: Visitor) -> PageResult {
    Err(Problem::method_not_allowed().into())
}
