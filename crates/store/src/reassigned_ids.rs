//! Finds the user names and client ids that pass from one access to another when many accesses are stored at the same time. Each
//! belongs to only one access at any moment, even within a transaction: the old access must release it before the new access takes
//! it.

use std::collections::HashSet;

use crate::Access;

/// The user names and client ids that pass to another access.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ReassignedIds<'b> {
    /// The user names that belong to another access afterwards.
    pub(crate) users: Vec<&'b str>,
    /// The client ids that belong to another access afterwards.
    pub(crate) client_ids: Vec<&'b str>,
}

impl<'b> ReassignedIds<'b> {
    /// Compares accesses in their current form, if they exist, and in their new form; no two pairs have the same name.
    pub(crate) fn of(pairs: &[(Option<&'b Access>, &Access)]) -> ReassignedIds<'b> {
        let (mut users, mut client_ids) = (HashSet::new(), HashSet::new());
        for (_, after) in pairs {
            users.insert(&*after.user);
            client_ids.insert(&*after.client_id);
        }
        let mut passed = ReassignedIds::default();
        for (before, after) in pairs {
            let Some(before) = before else { continue };
            if before.user != after.user && users.contains(&*before.user) {
                passed.users.push(&before.user);
            }
            if before.client_id != after.client_id && client_ids.contains(&*before.client_id) {
                passed.client_ids.push(&before.client_id);
            }
        }
        passed
    }
}
