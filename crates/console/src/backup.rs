//! `/admin/v1/backup`: a copy of the store while it is in use.

use std::fs::File;
use std::io;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use tokio::io::AsyncReadExt;
use tokio::sync::OwnedSemaphorePermit;

use crate::Console;
use crate::endpoint::{Endpoint, Key};
use crate::operations::{Failed, Pending, to_the_end};
use crate::problem::{self, Problem};

/// Copies that may be on the disk at once: each takes as much room as the store.
pub(crate) const COPIES_MAX: usize = 1;

/// Bytes read from the copy at a time: few enough to hold for a slow reader, enough to keep a disk busy.
const CHUNK_BYTES: usize = 64 * 1024;

/// The store of a gateway.
pub trait Backups: Send + Sync {
    /// A consistent copy as an open file. It has no name, and is gone when it is closed.
    fn backup(self: Arc<Self>) -> Pending<File>;
}

/// The paths.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::post("/admin/v1/backup", backup)
            .named("backup", "A consistent copy of the store, one at a time")
            .wants(Key::Operator)
            .answers_in(200, "application/octet-stream")
            .refuses(&[409, 500]),
    ]
}

async fn backup(
    State(console): State<Arc<Console>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    console.operator(&headers)?;
    let Ok(permit) = Arc::clone(&console.copies).try_acquire_owned() else {
        let why = "A backup is under way; try again when it has ended.";
        return Err(Failed::Conflict(why.to_owned()).into());
    };
    let copying = Arc::clone(&console.gateway).backup();
    // The permit goes where the file goes: an operator who hangs up early does not make room for a second copy.
    let copy: Pending<_> = Box::pin(async move { Ok((copying.await?, permit)) });
    let (file, permit) = to_the_end(copy).await?;
    let length = file
        .metadata()
        .map_err(|error| Failed::Broken(error.to_string()))?
        .len();
    let body = Body::from_stream(chunks(tokio::fs::File::from_std(file), permit));
    let mut answer = problem::answer(StatusCode::OK, "application/octet-stream", body);
    answer
        .headers_mut()
        .insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    Ok(answer)
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
    use std::io::{Seek, Write};

    use axum::Router;
    use store::{AdminKey, Role, SecretHasher, Store};
    use tower_service::Service;

    use super::*;
    use crate::{Gateway, KeyRow, Keys};

    /// Larger than a chunk, and no multiple of it.
    const STORE_BYTES: usize = 3 * CHUNK_BYTES + 1;

    struct Fake;

    impl crate::Explains for Fake {
        fn explain(&self, _: &crate::Question) -> serde_json::Value {
            serde_json::Value::Null
        }
    }

    impl Gateway for Fake {
        fn not_ready(&self) -> Option<&'static str> {
            None
        }

        fn metrics(&self) -> String {
            String::new()
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

        fn now(&self) -> i64 {
            0
        }
    }

    impl Keys for Fake {
        fn keys(&self) -> Vec<KeyRow> {
            Vec::new()
        }

        fn rotate(self: Arc<Self>, _: bool) -> Pending<Vec<KeyRow>> {
            Box::pin(async { Err(Failed::Conflict("not now".to_owned())) })
        }
    }

    impl Backups for Fake {
        fn backup(self: Arc<Self>) -> Pending<File> {
            Box::pin(async {
                let mut file = tempfile::tempfile().unwrap();
                file.write_all(&vec![7; STORE_BYTES]).unwrap();
                file.rewind().unwrap();
                Ok(file)
            })
        }
    }

    impl crate::Reloads for Fake {
        fn reload(self: Arc<Self>, _actor: String) -> Pending<serde_json::Value> {
            Box::pin(async { Err(Failed::Conflict("not now".to_owned())) })
        }
    }

    async fn ask(router: &mut Router) -> Response {
        let request = http::Request::post("/admin/v1/backup")
            .header("authorization", "Bearer cgk_k")
            .body(Body::empty());
        router.call(request.unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn one_copy_at_a_time_until_it_is_read_or_left() {
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
