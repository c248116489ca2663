//! Runs jobs next to the requests.

use std::sync::Arc;

use store::restart_on_panic;
use tokio::task::JoinSet;

/// Runs a job as a task of the set, and restarts it after a panic.
pub(super) fn spawn<C, F>(
    jobs: &mut JoinSet<()>,
    (name, context): (&'static str, &Arc<C>),
    run: impl Fn(Arc<C>) -> F + Send + Sync + 'static,
) where
    C: Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let context = Arc::clone(context);
    jobs.spawn(async move { restart_on_panic(name, || run(Arc::clone(&context))).await });
}
