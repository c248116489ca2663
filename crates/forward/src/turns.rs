//! How many calls of one access may be under way at once.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};

use adapter::{Code, Error};
use store::Access;

use crate::explain::Left;

/// When to come again: calls end within seconds.
const RETRY_AFTER_S: u32 = 1;

/// The limit by the name under which it is told.
pub(crate) const AT_ONCE: &str = "calls at once";

/// Calls under way, by access. An access without any has no entry.
#[derive(Debug, Default)]
pub(crate) struct Turns(Mutex<HashMap<String, u32>>);

/// One call under way; ends when dropped.
#[derive(Debug)]
pub struct Turn {
    turns: Arc<Turns>,
    access: String,
}

impl Turns {
    /// Takes a turn, if the access has a bound at all and has not reached it.
    ///
    /// # Errors
    /// RATE_LIMITED.
    pub(crate) fn take(turns: &Arc<Turns>, access: &Access) -> Result<Option<Turn>, Error> {
        let Some(most) = access.limits.concurrent else {
            return Ok(None);
        };
        let mut under_way = turns.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mine = under_way.entry(access.name.clone()).or_insert(0);
        free(*mine, most)?;
        *mine += 1;
        Ok(Some(Turn {
            turns: Arc::clone(turns),
            access: access.name.clone(),
        }))
    }
}

impl Turns {
    /// How many turns are left, if there is a bound at all, and what [`Turns::take`] would say now.
    pub(crate) fn look(turns: &Arc<Turns>, access: &Access) -> Option<(Left, Result<(), Error>)> {
        let most = access.limits.concurrent?;
        let under_way = turns.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mine = under_way.get(&access.name).copied().unwrap_or(0);
        let left = Left {
            most: most.get().into(),
            left: most.get().saturating_sub(mine).into(),
            window_s: None,
        };
        Some((left, free(mine, most)))
    }
}

fn free(under_way: u32, most: NonZeroU32) -> Result<(), Error> {
    if under_way < most.get() {
        return Ok(());
    }
    let error = Error::refused(Code::RateLimited).because(AT_ONCE);
    Err(error.retry_after(RETRY_AFTER_S))
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut under_way = self.turns.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mine) = under_way.get_mut(&self.access) {
            *mine -= 1;
            if *mine == 0 {
                under_way.remove(&self.access);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

    use super::*;

    #[test]
    fn a_turn_comes_back_however_its_call_ends() {
        let access = serde_json::json!({"name": "a", "user": "u", "client_id": "c", "secrets": [], "active": true,
            "allow": [], "ways": [], "methods": [], "limits": {"concurrent": 1}});
        let access: Access = serde_json::from_value(access).unwrap();
        let turns = Arc::<Turns>::default();
        for _ in 0..3 {
            let turn = Turns::take(&turns, &access).unwrap();
            assert!(turn.is_some() && Turns::take(&turns, &access).is_err());
            let panicked = catch_unwind(AssertUnwindSafe(|| {
                let _turn = turn;
                resume_unwind(Box::new(()));
            }));
            assert!(panicked.is_err());
        }
        assert!(turns.0.lock().unwrap().is_empty());
    }
}
