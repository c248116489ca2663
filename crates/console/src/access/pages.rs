//! Reads accesses page by page, ordered by name and filtered by a search.

use std::sync::Arc;

use store::{Access, AccessSearch, Accesses};
use tokio::task::yield_now;

/// Number of accesses that the search checks before it yields to other tasks: a fraction of a millisecond.
const SCANNED_PER_BATCH: usize = 500;

/// A page of accesses.
pub(crate) struct FoundAccesses {
    pub(crate) accesses: Vec<Arc<Access>>,
    /// The name after which the next page begins, if there is a next page.
    pub(crate) next: Option<String>,
}

/// Reads at most `count_max` accesses whose names follow `after` and that contain the search text. The search ignores case, and an
/// empty search finds every access.
pub(crate) async fn page(
    accesses: &Accesses,
    (search, after): (&str, &str),
    count_max: usize,
) -> FoundAccesses {
    let mut search = AccessSearch::new(search);
    let mut page: Vec<Arc<Access>> = Vec::new();
    for (number, access) in accesses.after(after).enumerate() {
        if number % SCANNED_PER_BATCH == SCANNED_PER_BATCH - 1 {
            yield_now().await;
        }
        if !search.finds(access) {
            continue;
        }
        if page.len() == count_max {
            let next = page.last().map(|last| last.name.clone());
            return FoundAccesses {
                accesses: page,
                next,
            };
        }
        page.push(Arc::clone(access));
    }
    FoundAccesses {
        accesses: page,
        next: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn paging_returns_every_matching_access_exactly_once() {
        let accesses = Accesses::from_iter((0..1000).map(|number| {
            let mut access = Access::new(&format!("n{number:03}"), &format!("u{number}"), "");
            access.client_id = format!("c{number}");
            access.owner = format!("Fräulein {}", number % 10);
            access
        }));
        for (search, expected) in [("", 1000), ("FRÄULEIN 7", 100), ("u99", 11), ("none", 0)] {
            let (mut names, mut after) = (Vec::new(), Some(String::new()));
            while let Some(name) = after {
                let page = page(&accesses, (search, &name), 7).await;
                assert!(page.next.is_none() || page.accesses.len() == 7);
                names.extend(page.accesses.iter().map(|access| access.name.clone()));
                after = page.next;
            }
            assert!(names.is_sorted_by(|one, two| one < two), "{search}");
            assert_eq!(names.len(), expected, "{search}");
        }
    }
}
