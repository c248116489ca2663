//! User names and client ids that pass from one access to another when many are put at once. Each belongs to one access at any
//! moment, also within a transaction: whoever gives one away has to let go of it before the other takes it.

use std::collections::HashSet;

use crate::Access;

/// What passes on.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct PassedOn<'b> {
    /// The user names, each another's after.
    pub(crate) users: Vec<&'b str>,
    /// The client ids, likewise.
    pub(crate) client_ids: Vec<&'b str>,
}

impl<'b> PassedOn<'b> {
    /// Of accesses as they are, if they are there, and as they shall be; no two have the same name.
    pub(crate) fn of(pairs: &[(Option<&'b Access>, &Access)]) -> PassedOn<'b> {
        let (mut users, mut client_ids) = (HashSet::new(), HashSet::new());
        for (_, after) in pairs {
            users.insert(&*after.user);
            client_ids.insert(&*after.client_id);
        }
        let mut passed = PassedOn::default();
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
