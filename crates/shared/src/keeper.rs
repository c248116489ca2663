//! The background tasks of the shared counts: one reconnects to the server after it was lost, the other sends the queued entries.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::connector::{CONNECT_MAX, connect};
use crate::refunds::{BATCH_MAX, Refund};
use crate::state::CountsState;
use crate::wait::CallWait;

/// Pause between two attempts to reach a lost server. The server is used again within a second.
const RECONNECT_PAUSE: Duration = Duration::from_millis(500);

/// The time for which entries are collected before they are sent.
const BATCH_DELAY: Duration = Duration::from_millis(5);

/// Tries once to connect to the server, and uses the connection if that succeeds.
pub(crate) async fn connect_once(state: &CountsState) {
    let error = match timeout(
        CONNECT_MAX,
        connect(&state.options, &state.keys, &state.invalidations),
    )
    .await
    {
        Ok(Ok(connection)) => return state.use_connection(connection),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "it does not answer in time".to_owned(),
    };
    tracing::debug!(error, "a connection to the shared counts failed");
}

/// Reconnects whenever the server is lost, until the task is aborted.
pub(crate) async fn keep_connected(state: Arc<CountsState>) {
    if !state.is_up() {
        tracing::warn!(
            limits = "share",
            "shared counts can't be reached: this replica enforces its own share of each limit"
        );
    }
    loop {
        while !state.is_up() {
            sleep(RECONNECT_PAUSE).await;
            connect_once(&state).await;
            if state.is_up() {
                tracing::info!("shared counts can be reached again");
            }
        }
        tokio::select! {
            () = state.lost.notified() => {}
            () = state.invalidations.ended.notified() => state.drop_if_ended().await,
        }
    }
}

/// Sends the queued entries, until the task is aborted.
pub(crate) async fn send_refunds_periodically(state: Arc<CountsState>) {
    loop {
        state.refunds.wait().await;
        sleep(BATCH_DELAY).await;
        send_refunds(&state).await;
    }
}

/// Sends all queued messages and entries. If the server does not answer, ends of leases wait for the next connection. Calls are
/// dropped and become available again as time passes, because nobody knows whether the server has taken them back.
pub(crate) async fn send_refunds(state: &CountsState) {
    state.publish_changes().await;
    let mut refunds = state.refunds.take();
    while !refunds.is_empty() {
        let batch = &refunds[..refunds.len().min(BATCH_MAX)];
        let scripts: Vec<_> = batch.iter().map(Refund::script).collect();
        let wait = CallWait::default();
        if state.invoke_all::<()>(&scripts, &wait).await.is_err() {
            let leases = refunds.into_iter().filter(Refund::is_lease);
            state.refunds.put_back(leases);
            // Without a connection they wait for the next one.
            if state.is_up() {
                state.refunds.notify();
            }
            return;
        }
        let sent = batch.len();
        refunds.drain(..sent);
    }
}
