//! The page of the replicas that share the store, with the current state of each.

use std::collections::BTreeSet;

use askama::Template;
use axum::extract::State;
use http::StatusCode;
use store::ReplicaRow;

use crate::state::ConsoleState;
use crate::web::layout::{PageLayout, html};
use crate::web::page_error::PageResult;
use crate::web::text::{age, escape_invisible};
use crate::web::visitor::Visitor;

/// Number of shown characters of a configuration's digest: enough to tell configurations apart.
const DIGEST_SHOWN: usize = 8;

#[derive(Template)]
#[template(path = "replicas.html")]
struct ReplicasPage {
    layout: PageLayout,
    replicas: Vec<ReplicaView>,
    /// The number of different configurations among the live replicas.
    configurations: usize,
    /// The number by which the limits are divided; `None` while all replicas count together.
    sharers: Option<u32>,
}

/// A replica as the page shows it.
struct ReplicaView {
    name: String,
    /// True if this replica answered the request for the page.
    is_own: bool,
    /// The replica's state, and whether that state is normal.
    state: (&'static str, bool),
    version: String,
    config: String,
    age: String,
    in_force: [i64; 3],
    behind: i64,
}

/// Shows the page.
pub(crate) async fn page(State(console): ConsoleState, visitor: Visitor) -> PageResult {
    let rows = console.store.replicas().await?.unwrap_or_default();
    let live = rows.iter().filter(|row| row.lease_ms > 0);
    let configurations: BTreeSet<_> = live.map(|row| &row.config).collect();
    let counts_together = console.gateway.status()["shared"]["state"] == "ok";
    let page = ReplicasPage {
        layout: visitor.layout("status", "Replicas"),
        configurations: configurations.len(),
        sharers: (!counts_together).then(|| console.store.replica_count()),
        replicas: rows
            .iter()
            .map(|row| ReplicaView::of(row, console.judged_now()))
            .collect(),
    };
    Ok(html(StatusCode::OK, &page))
}

impl ReplicaView {
    fn of(row: &ReplicaRow, now: i64) -> ReplicaView {
        let state = row.state();
        let shown = match state {
            "cut_off" => "cut off",
            state => state,
        };
        ReplicaView {
            name: escape_invisible(&row.name),
            is_own: row.is_own,
            state: (shown, state == "live"),
            version: escape_invisible(&row.version),
            config: row.config.chars().take(DIGEST_SHOWN).collect(),
            age: age(now - row.started_at),
            in_force: [row.accesses, row.admin_keys, row.signing_keys],
            behind: row.behind,
        }
    }
}
