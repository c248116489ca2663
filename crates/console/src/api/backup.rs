//! `/admin/v1/backup`: copies the store while it is in use.

use std::io;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use futures_util::stream;
use http::{HeaderValue, StatusCode, header};
use tokio::io::AsyncReadExt;
use tokio::sync::OwnedSemaphorePermit;

use crate::api::endpoint::{AdminEndpoint, RequiredKey};
use crate::operation::run_to_completion;
use crate::port::{OperationError, OperationFuture};
use crate::problem::{ApiResult, answer};
use crate::state::ConsoleState;

/// Number of bytes read from the copy at a time: small enough to hold for a slow reader, large enough to keep a disk busy.
const CHUNK_BYTES: usize = 64 * 1024;

/// Returns the endpoints.
pub(super) fn endpoints() -> Vec<AdminEndpoint> {
    vec![
        AdminEndpoint::post(RequiredKey::Operator, "/admin/v1/backup", backup)
            .named(
                "backup",
                "Returns a copy of the store while the store is in use; only one copy can be made at a time",
            )
            .answers_in(200, "application/octet-stream")
            .refuses(&[409, 500]),
    ]
}

async fn backup(State(console): ConsoleState) -> ApiResult {
    let Ok(permit) = Arc::clone(&console.copies).try_acquire_owned() else {
        let why = "A backup is in progress. Try again when it has ended.";
        return Err(OperationError::Conflict(why.to_owned()).into());
    };
    let copying = Arc::clone(&console.gateway).backup();
    // The permit stays with the file, so that an operator who disconnects early does not make room for a second copy.
    let copy: OperationFuture<_> = Box::pin(async move { Ok((copying.await?, permit)) });
    let (file, permit) = run_to_completion(copy).await?;
    let metadata = file.metadata();
    let length = metadata
        .map_err(|error| OperationError::Broken(error.to_string()))?
        .len();
    let body = Body::from_stream(chunks(tokio::fs::File::from_std(file), permit));
    let mut response = answer(StatusCode::OK, "application/octet-stream", body);
    response
        .headers_mut()
        .insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    Ok(response)
}

fn chunks(
    file: tokio::fs::File,
    permit: OwnedSemaphorePermit,
) -> impl stream::Stream<Item = io::Result<Vec<u8>>> {
    stream::try_unfold((file, permit), async |(mut file, permit)| {
        let mut chunk = vec![0; CHUNK_BYTES];
        let read = file.read(&mut chunk).await?;
        chunk.truncate(read);
        Ok((read > 0).then_some((chunk, (file, permit))))
    })
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Seek, Write};

    use axum::Router;
    use axum::response::Response;
    use store::{AdminKey, Role, SecretHasher, Store};
    use telemetry::{MetricsFormat, MetricsSnapshot};
    use tower_service::Service;

    use super::*;
    use crate::{
        AnswerFuture, Backups, Console, ExplainQuestion, Explains, Gateway, KeyRow, Keys, Reloads,
    };

    /// Larger than a chunk, and not a multiple of the chunk size.
    const STORE_BYTES: usize = 3 * CHUNK_BYTES + 1;

    struct Fake;

    impl Explains for Fake {
        fn explain(self: Arc<Self>, _: ExplainQuestion) -> AnswerFuture<serde_json::Value> {
            unimplemented!()
        }
    }

    impl Gateway for Fake {
        fn degraded(&self) -> Vec<&'static str> {
            unimplemented!()
        }

        fn count_wrong_key(
            self: Arc<Self>,
            _: Option<std::net::IpAddr>,
            _: std::num::NonZeroU32,
        ) -> AnswerFuture<Result<Option<i64>, crate::CountsNotShared>> {
            unimplemented!()
        }

        fn not_ready(&self) -> Option<&'static str> {
            None
        }

        fn metrics(&self, _: MetricsFormat) -> String {
            String::new()
        }

        fn metrics_snapshot(&self) -> MetricsSnapshot {
            MetricsSnapshot::default()
        }

        fn status(&self) -> serde_json::Value {
            serde_json::Value::Null
        }

        fn openapi_ways(&self) -> serde_json::Value {
            serde_json::Value::Null
        }

        fn admin_has_tls(&self) -> bool {
            false
        }

        fn is_admin_host(&self, _: &str) -> bool {
            false
        }

        fn trace_url(&self, _: &str) -> Option<String> {
            None
        }

        fn now_ms(&self) -> i64 {
            0
        }

        fn webhooks(&self) -> &webhooks::Webhooks {
            unimplemented!()
        }
    }

    impl Keys for Fake {
        fn keys(&self) -> Vec<KeyRow> {
            Vec::new()
        }

        fn rotate(self: Arc<Self>, _: bool) -> OperationFuture<Vec<KeyRow>> {
            Box::pin(async { Err(OperationError::Conflict("not now".to_owned())) })
        }
    }

    impl Backups for Fake {
        fn backup(self: Arc<Self>) -> OperationFuture<File> {
            Box::pin(async {
                let mut file = tempfile::tempfile().unwrap();
                file.write_all(&vec![7; STORE_BYTES]).unwrap();
                file.rewind().unwrap();
                Ok(file)
            })
        }
    }

    impl Reloads for Fake {
        fn reload(self: Arc<Self>, _actor: String) -> OperationFuture<serde_json::Value> {
            Box::pin(async { Err(OperationError::Conflict("not now".to_owned())) })
        }
    }

    async fn ask(router: &mut Router) -> Response {
        let request = http::Request::post("/admin/v1/backup")
            .header("authorization", "Bearer cgk_k")
            .body(Body::empty());
        router.call(request.unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn a_second_backup_is_rejected_until_the_first_is_read_or_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("chatgate.db"))
            .await
            .unwrap();
        let hasher = SecretHasher::new(b"key");
        let key = AdminKey::new("ann", Role::Operator, 0, hasher.keyed(&"cgk_k".into()));
        store.put_admin_key(&key).await.unwrap();
        let console = Console::new(Arc::new(Fake), Arc::new(store), Arc::new(hasher));
        let (mut router, _) = console.open();
        let first = ask(&mut router).await;
        assert_eq!(first.status(), StatusCode::OK);
        assert_eq!(ask(&mut router).await.status(), StatusCode::CONFLICT);
        drop(first);
        let second = ask(&mut router).await;
        assert_eq!(second.headers()["content-length"], STORE_BYTES.to_string());
        let read = axum::body::to_bytes(second.into_body(), usize::MAX).await;
        assert_eq!(read.unwrap(), vec![7; STORE_BYTES]);
        assert_eq!(ask(&mut router).await.status(), StatusCode::OK);
    }
}
