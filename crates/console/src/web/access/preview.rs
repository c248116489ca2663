//! Before an access is changed: which journalled calls the new networks and limits would have refused.

use serde_json::Value;
use store::Access;

use crate::journal::replay::{REFUSED, ReplayRequest, replay};
use crate::moment::time_ms;
use crate::problem::Problem;
use crate::state::Console;
use crate::web::access::form_draft::draft;
use crate::web::fields::Fields;
use crate::web::limits::limited;
use crate::web::text::{grouped, moment, visible};

/// Lines of a table.
const LINES_MAX: usize = 10;

/// What a change would come to.
#[derive(Default)]
pub(crate) struct Preview {
    pub(crate) failed: Option<String>,
    pub(crate) since: String,
    pub(crate) judged: String,
    pub(crate) refused: String,
    pub(crate) admitted: String,
    /// Each limit that is set, and how many calls that got in were beyond it.
    pub(crate) limited: Vec<(&'static str, String)>,
    /// Sends of whose destination nothing is kept any more.
    pub(crate) forgotten: Option<String>,
    pub(crate) judges_at_once: bool,
    pub(crate) is_harmless: bool,
    /// Address, calls, and what the lists say.
    pub(crate) addresses: Vec<(String, String, String)>,
    /// Time, id of the row, address and method of the latest.
    pub(crate) rows: Vec<(String, String, String, String)>,
}

impl Preview {
    /// One that can't be given.
    pub(crate) fn failed(why: &str) -> Preview {
        Preview {
            failed: Some(why.to_owned()),
            ..Preview::default()
        }
    }
}

/// Judges the journal by the form. Nothing is changed.
pub(crate) async fn of(
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
    let request = ReplayRequest {
        access: access.name.clone(),
        since: since.to_owned(),
        allow: Some(fields.words("allow")),
        deny: Some(fields.words("deny")),
    };
    let report = replay(console, request).await?;
    let limited = limited(console, &changed, since_ms).await?;
    let number = |name: &str| report[name].as_u64().unwrap_or(0);
    let refused = if changed.report_networks {
        0
    } else {
        number("newly_refused")
    };
    let is_limited = !changed.limits.report && limited.refused.iter().any(|(_, n)| *n > 0);
    let newly = |one: &&Value| one["newly_refused"].as_u64().unwrap_or(0) > 0;
    let text = |value: &Value| visible(value.as_str().unwrap_or_default());
    let list = |name: &str| report[name].as_array().cloned().unwrap_or_default();
    let is_new = |row: &&Value| row["code"].as_str() != Some(REFUSED);
    Ok(Preview {
        failed: None,
        since: since.to_owned(),
        judged: grouped(number("judged")),
        refused: grouped(refused),
        admitted: grouped(number("newly_admitted")),
        limited: if changed.limits.report {
            Vec::new()
        } else {
            let counts = limited.refused.iter();
            counts.map(|(name, n)| (*name, grouped(*n))).collect()
        },
        forgotten: Some(limited.forgotten).filter(|n| *n > 0).map(grouped),
        judges_at_once: changed.limits.concurrent.is_some(),
        is_harmless: refused == 0 && !is_limited,
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
