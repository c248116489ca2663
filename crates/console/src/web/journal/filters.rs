//! The filters of the journal's pages, as queries contain them.

use store::JournalFilter;

use crate::journal::query::JournalQuery;
use crate::web::fields::Fields;

/// The parameters that filter, with the same names as on the command line.
pub(crate) const FILTERS: [&str; 8] = [
    "access",
    "method",
    "status",
    "since",
    "until",
    "ip",
    "request_id",
    "delivery",
];

/// Returns the filter of a query. Ignores parameters that can't be read, because the page itself reports them.
pub(crate) fn filter_of(fields: &Fields, now: i64) -> JournalFilter {
    let query = JournalQuery::parse(&fields.query(&FILTERS), now);
    query.unwrap_or_default().filter
}

/// Returns whether a query filters at all.
pub(crate) fn is_filtered(fields: &Fields) -> bool {
    !fields.query(&FILTERS).is_empty()
}
