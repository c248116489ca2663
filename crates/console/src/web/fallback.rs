//! What answers below the console's address where no page does.

use crate::problem::Problem;
use crate::web::page_error::PageResult;
use crate::web::visitor::Visitor;

/// Answers paths that do not exist.
pub(crate) async fn not_found(_visitor: Visitor) -> PageResult {
    Err(Problem::not_found().into())
}

/// Answers methods that a path does not have.
pub(crate) async fn method_not_allowed(_visitor: Visitor) -> PageResult {
    Err(Problem::method_not_allowed().into())
}
