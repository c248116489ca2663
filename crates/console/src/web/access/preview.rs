//! The preview of a change: the journalled calls that the new networks and limits would have rejected.

use serde_json::Value;
use store::Access;

use crate::journal::replay::{REFUSED, ReplayRequest, replay};
use crate::moment::time_ms;
use crate::problem::Problem;
use crate::state::Console;
use crate::web::access::form_draft::draft;
use crate::web::fields::Fields;
use crate::web::json::{count, items, text};
use crate::web::limits::limited;
use crate::web::text::{grouped, moment};

/// Maximum number of lines of a table.
const LINES_MAX: usize = 10;

/// The effect of a change on journalled calls.
#[derive(Default)]
pub(crate) struct Preview {
    pub(crate) failed: Option<String>,
    pub(crate) since: String,
    pub(crate) judged: String,
    pub(crate) refused: String,
    pub(crate) admitted: String,
    /// Each limit that is set, and the number of admitted calls that it would have rejected.
    pub(crate) limited: Vec<(&'static str, String)>,
    /// The number of sends whose destination is no longer in the journal.
    pub(crate) forgotten: Option<String>,
    pub(crate) judges_at_once: bool,
    pub(crate) is_harmless: bool,
    /// The addresses with newly rejected calls: address, number of calls, and verdict of the lists.
    pub(crate) addresses: Vec<(String, String, String)>,
    /// The latest newly rejected calls: time, row id, address and method.
    pub(crate) rows: Vec<(String, String, String, String)>,
}

impl Preview {
    /// Makes the preview of a form that could not be judged, with the reason.
    pub(crate) fn failed(why: &str) -> Preview {
        Preview {
            failed: Some(why.to_owned()),
            ..Preview::default()
        }
    }
}

/// Judges journalled calls by the form's rules. Changes nothing.
pub(crate) async fn of(
    console: &Console,
    access: &Access,
    fields: &Fields,
) -> Result<Preview, Problem> {
    let since = match fields.get("since") {
        "" => "1d",
        since => since,
    };
    let since_ms =
        time_ms(since, console.judged_now()).map_err(|text| Problem::wrong("since", text))?;
    // Check the whole form, so that the preview shows exactly what saving would do.
    let mut changed = access.clone();
    draft(fields, access)?
        .apply_at(console.judged_now(), &mut changed)
        .map_err(Problem::invalid)?;
    let request = ReplayRequest {
        access: access.name.clone(),
        since: since.to_owned(),
        allow: Some(fields.words("allow")),
        deny: Some(fields.words("deny")),
    };
    let report = replay(console, request).await?;
    let limited = limited(console, &changed, since_ms).await?;
    let limits = if changed.limits.report {
        &[][..]
    } else {
        &limited.refused
    };
    let newly_refused = if changed.report_networks {
        0
    } else {
        count(&report["newly_refused"])
    };
    Ok(Preview {
        failed: None,
        since: since.to_owned(),
        judged: grouped(count(&report["judged"])),
        refused: grouped(newly_refused),
        admitted: grouped(count(&report["newly_admitted"])),
        is_harmless: newly_refused == 0 && limits.iter().all(|(_, n)| *n == 0),
        limited: limits
            .iter()
            .map(|(name, n)| (*name, grouped(*n)))
            .collect(),
        forgotten: Some(limited.forgotten).filter(|n| *n > 0).map(grouped),
        judges_at_once: changed.limits.concurrent.is_some(),
        addresses: addresses(&report["addresses"]),
        rows: rows(&report["rows"]),
    })
}

/// Returns address, number of calls and verdict of the addresses with the most newly rejected calls.
fn addresses(addresses: &Value) -> Vec<(String, String, String)> {
    let counted = items(addresses).map(|address| (address, count(&address["newly_refused"])));
    let newly = counted.filter(|(_, refused)| *refused > 0).take(LINES_MAX);
    newly
        .map(|(address, refused)| {
            let verdict = text(&address["verdict"]);
            (text(&address["address"]), grouped(refused), verdict)
        })
        .collect()
}

/// Returns time, row id, address and method of the latest newly rejected calls.
fn rows(rows: &Value) -> Vec<(String, String, String, String)> {
    let newly = items(rows).filter(|row| row["code"] != REFUSED);
    newly
        .take(LINES_MAX)
        .map(|row| {
            let time = moment(&text(&row["time"]));
            let (client, method) = (text(&row["client"]), text(&row["method"]));
            (time, text(&row["id"]), client, method)
        })
        .collect()
}
