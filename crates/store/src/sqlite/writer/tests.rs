//! What the writer thread guarantees to its callers.

use std::sync::mpsc;

use super::*;
use crate::{ChangeAuthor, Store};

async fn open(folder: &tempfile::TempDir) -> Arc<Store> {
    let store = Store::open(&folder.path().join("chatgate.db")).await;
    Arc::new(store.unwrap())
}

/// Starts a job that occupies the thread until the sender is dropped.
async fn occupied(store: &Arc<Store>) -> mpsc::Sender<()> {
    let (begins, begun) = oneshot::channel();
    let (release, released) = mpsc::channel::<()>();
    let store = Arc::clone(store);
    tokio::spawn(async move {
        let hold = move |_: &mut WriteConnection| {
            let _ = begins.send(());
            let _ = released.recv();
            Ok::<_, StoreError>(())
        };
        store.sqlite().writer().run(hold).await
    });
    begun.await.unwrap();
    release
}

async fn keys(store: &Store) -> usize {
    store.keys("k").await.unwrap().len()
}

#[tokio::test]
async fn a_disconnected_caller_cancels_only_its_own_queued_write() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    let release = occupied(&store).await;
    let gone = tokio::time::timeout(Duration::from_millis(50), store.add_key("k-gone", &[1], 1));
    assert!(gone.await.is_err());
    let waits = store.add_key("k-waits", &[1], 1);
    let (added, ()) = tokio::join!(waits, async { drop(release) });
    added.unwrap();
    assert_eq!(keys(&store).await, 1);
}

#[tokio::test]
async fn a_started_write_is_finished_after_its_caller_disconnects() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    let (begins, begun) = oneshot::channel();
    let (release, released) = mpsc::channel::<()>();
    let write = store.sqlite().write(move |transaction| {
        let _ = begins.send(());
        let _ = released.recv();
        let add = "INSERT INTO keys (purpose, material, created_at) VALUES ('k', x'00', 1)";
        Ok(transaction.execute(add, [])?)
    });
    tokio::select! {
        _ = write => panic!("nobody has let it end"),
        begun = begun => begun.unwrap(),
    }
    drop(release);
    // The next write comes after the first one.
    store.add_key("k-next", &[1], 1).await.unwrap();
    assert_eq!(keys(&store).await, 2);
}

#[tokio::test]
async fn a_write_that_times_out_before_it_starts_never_runs() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    let release = occupied(&store).await;
    let late = store.add_key("k-late", &[1], 1).await.unwrap_err();
    assert!(
        late.to_string().contains("another write takes too long"),
        "{late}"
    );
    drop(release);
    store.add_key("k-next", &[1], 1).await.unwrap();
    assert_eq!(keys(&store).await, 1);
}

#[tokio::test]
async fn changes_behind_a_stalled_write_are_rejected_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    let release = occupied(&store).await;
    for _ in 0..2 {
        let began = Instant::now();
        let error = store
            .first_start(ChangeAuthor::new("me", 1), &[])
            .await
            .unwrap_err();
        assert!(matches!(error, crate::ChangeError::Store(_)), "{error:?}");
        assert!(began.elapsed() < BEGIN_MAX * 2, "{:?}", began.elapsed());
    }
    drop(release);
    store
        .first_start(ChangeAuthor::new("me", 1), &[])
        .await
        .unwrap();
    assert!(store.has_started().await.unwrap());
}

#[tokio::test]
async fn a_panic_aborts_one_write_and_the_writer_thread_continues() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    let broken = store
        .sqlite()
        .write(|transaction| -> Result<(), StoreError> {
            transaction.execute("DELETE FROM keys", [])?;
            std::panic::resume_unwind(Box::new(()))
        });
    let error = broken.await.unwrap_err().to_string();
    assert!(error.contains("aborted"), "{error}");
    assert_eq!(store.keys("journal").await.unwrap().len(), 1);
    store.add_key("k", &[1], 1).await.unwrap();
    assert_eq!(keys(&store).await, 1);
}
