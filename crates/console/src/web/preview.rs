//! Before an access is changed: which journalled calls the new networks and limits would have refused.

use serde_json::Value;
use store::{Access, ReplayCall};

use super::access_draft::draft;
use super::fields::Fields;
use super::text::{grouped, moment, visible};
use crate::Console;
use crate::journal::{failing, time_ms};
use crate::problem::Problem;
use crate::replay::{Wish, replayed};

/// Lines of a table.
const LINES_MAX: usize = 10;

/// Calls judged between two looks at the store.
const PAGE_CALLS: u32 = 10_000;

/// Code of calls that limits have nothing to do with, since they never came to them.
const REFUSED_BEFORE: [&str; 3] = ["IP_NOT_ALLOWED", "WAY_NOT_ALLOWED", "METHOD_NOT_ALLOWED"];

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 86_400_000;

/// What a change would come to.
#[derive(Default)]
pub(super) struct Preview {
    pub(super) failed: Option<String>,
    pub(super) since: String,
    pub(super) judged: String,
    pub(super) refused: String,
    pub(super) admitted: String,
    pub(super) limited: String,
    pub(super) is_harmless: bool,
    /// Address, calls, and what the lists say.
    pub(super) addresses: Vec<(String, String, String)>,
    /// Time, id of the row, address and method of the latest.
    pub(super) rows: Vec<(String, String, String, String)>,
}

impl Preview {
    /// One that can't be given.
    pub(super) fn failed(why: &str) -> Preview {
        Preview {
            failed: Some(why.to_owned()),
            ..Preview::default()
        }
    }
}

/// Judges the journal by the form. Nothing is changed.
pub(super) async fn of(
    console: &Console,
    access: &Access,
    fields: &Fields,
) -> Result<Preview, Problem> {
    let since = match fields.get("since") {
        "" => "1d",
        since => since,
    };
    let since_ms = time_ms(since, console.now())
        .map_err(|text| Problem::invalid(vec![("since".to_owned(), text)]))?;
    // The whole form has to be right: what is previewed is what would be saved.
    let mut changed = access.clone();
    draft(fields)?
        .apply(&mut changed)
        .map_err(Problem::invalid)?;
    let wish = Wish {
        access: access.name.clone(),
        since: since.to_owned(),
        allow: Some(fields.words("allow")),
        deny: Some(fields.words("deny")),
    };
    let told = replayed(console, wish).await?;
    let limited = limited(console, &changed, since_ms).await?;
    let number = |name: &str| told[name].as_u64().unwrap_or(0);
    let refused = if changed.report_networks {
        0
    } else {
        number("newly_refused")
    };
    let limited = if changed.limits.report { 0 } else { limited };
    let newly = |one: &&Value| one["newly_refused"].as_u64().unwrap_or(0) > 0;
    let text = |value: &Value| visible(value.as_str().unwrap_or_default());
    let list = |name: &str| told[name].as_array().cloned().unwrap_or_default();
    let is_new = |row: &&Value| row["code"].as_str() != Some("IP_NOT_ALLOWED");
    Ok(Preview {
        failed: None,
        since: since.to_owned(),
        judged: grouped(number("judged")),
        refused: grouped(refused),
        admitted: grouped(number("newly_admitted")),
        limited: grouped(limited),
        is_harmless: refused == 0 && limited == 0,
        addresses: list("addresses")
            .iter()
            .filter(newly)
            .take(LINES_MAX)
            .map(|one| {
                let count = one["newly_refused"].as_u64().unwrap_or(0);
                (text(&one["address"]), grouped(count), text(&one["verdict"]))
            })
            .collect(),
        rows: list("rows")
            .iter()
            .filter(is_new)
            .take(LINES_MAX)
            .map(|row| {
                (
                    moment(&text(&row["time"])),
                    text(&row["id"]),
                    text(&row["client"]),
                    text(&row["method"]),
                )
            })
            .collect(),
    })
}

/// How many calls the limits per minute and per day would have refused, by the arithmetic of the real ones over the times in
/// the journal.
async fn limited(console: &Console, access: &Access, since_ms: i64) -> Result<u64, Problem> {
    let mut limits = Limits::of(access);
    let mut beyond = 0;
    loop {
        let calls = console
            .store
            .replay_calls(&access.name, (since_ms, beyond), PAGE_CALLS)
            .await
            .map_err(failing)?;
        let Some(last) = calls.last() else { break };
        beyond = last.id;
        calls
            .iter()
            .filter(|call| reached_limits(call))
            .for_each(|call| limits.take(store::JournalRow::time_of(call.id)));
    }
    Ok(limits.refused)
}

fn reached_limits(call: &ReplayCall) -> bool {
    call.code
        .as_deref()
        .is_none_or(|code| !REFUSED_BEFORE.contains(&code))
}

/// GCRA with a burst of a minute's calls, and a count per day.
struct Limits {
    per_minute: Option<i64>,
    per_day: Option<i64>,
    /// When the next call would be on time, in microseconds.
    on_time_us: i64,
    day: (i64, i64),
    refused: u64,
}

impl Limits {
    fn of(access: &Access) -> Limits {
        let per_minute = access
            .limits
            .per_minute
            .map(|rate| i64::from(rate.per_minute.get()));
        let per_day = access.limits.per_day.map(|calls| i64::from(calls.get()));
        Limits {
            per_minute,
            per_day,
            on_time_us: 0,
            day: (0, 0),
            refused: 0,
        }
    }

    fn take(&mut self, at_ms: i64) {
        let at_us = at_ms.saturating_mul(1000);
        let on_time_us = self
            .per_minute
            .map(|rate| (self.on_time_us.max(at_us)) + MINUTE_MS * 1000 / rate);
        let is_late = on_time_us.is_some_and(|on_time| on_time - at_us > MINUTE_MS * 1000);
        let day = at_ms / DAY_MS;
        let made = if self.day.0 == day { self.day.1 } else { 0 };
        if is_late || self.per_day.is_some_and(|most| made >= most) {
            self.refused += 1;
            return;
        }
        self.on_time_us = on_time_us.unwrap_or(0);
        self.day = (day, made + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(
        per_minute: Option<i64>,
        per_day: Option<i64>,
        times_ms: impl IntoIterator<Item = i64>,
    ) -> u64 {
        let mut limits = Limits {
            per_minute,
            per_day,
            on_time_us: 0,
            day: (0, 0),
            refused: 0,
        };
        times_ms.into_iter().for_each(|at| limits.take(at));
        limits.refused
    }

    #[test]
    fn limits_are_judged_by_the_times_of_the_calls() {
        let now = 1_700_000_000_000;
        assert_eq!(refused(None, None, (0..1000).map(|_| now)), 0);
        assert_eq!(
            refused(Some(10), None, (0..15).map(|_| now)),
            5,
            "a burst of ten"
        );
        assert_eq!(
            refused(Some(10), None, (0..15).map(|n| now + n * 6000)),
            0,
            "one every six seconds"
        );
        let tomorrow = [now, now, now, now + DAY_MS];
        assert_eq!(refused(None, Some(2), tomorrow), 1);
    }
}
