//! The client of a running gateway's admin listener.

use std::path::Path;
use std::time::Duration;

use client::call::{CallError, GatewayAnswer, GatewayCall, call, save};
use client::{Client, ClientConfig, Roots};
use gateway::data_folder::{DataFolder, read_key};
use http::header::ETAG;
use http::{HeaderMap, Method};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio::io::AsyncWrite;
use url::Url;

use super::progress::TransferProgress;
use super::terminal::print_warning;
use crate::args::connect::{AdminArgs, ChangeArgs, ReachArgs};

/// Maximum wait of a command for the running gateway.
pub(crate) const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);

/// Maximum wait for commands that process the whole journal: a replay or an erasure.
pub(crate) const LONG_TIMEOUT: Duration = Duration::from_secs(600);

/// The pause between two attempts while the gateway does not answer.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// The admin listener of one gateway, and its key.
pub(crate) struct Admin {
    client: Client,
    address: Url,
    key: SecretString,
    /// True if a change waits for every replica.
    waits_for_all: bool,
}

impl Admin {
    /// Reads the key. Sends nothing yet.
    ///
    /// # Errors
    /// A line that explains how to specify the key.
    pub(crate) fn new(args: &AdminArgs, timeout: Duration) -> Result<Admin, String> {
        let file = args.admin_key_file.clone();
        let file = file.unwrap_or_else(|| DataFolder::new(&args.data).admin_key());
        let key = read_key(&file).and_then(|key| {
            if key.expose_secret().contains(char::is_control) {
                return Err(format!("{}: the key is not a single line", file.display()));
            }
            Ok(key)
        });
        let key = key.map_err(|error| {
            format!(
                "{error}; give the gateway's data folder with --data, or its key with --admin-key-file"
            )
        })?;
        Ok(Admin {
            client: new_client(&args.reach, timeout)?,
            address: args.reach.admin.clone(),
            key,
            waits_for_all: false,
        })
    }

    /// Does the same as [`Admin::new`], for a command that changes something.
    ///
    /// # Errors
    /// The errors of [`Admin::new`].
    pub(crate) fn for_change(args: &ChangeArgs) -> Result<Admin, String> {
        let timeout = if args.wait_all {
            LONG_TIMEOUT
        } else {
            COMMAND_TIMEOUT
        };
        Ok(Admin {
            waits_for_all: args.wait_all,
            ..Admin::new(&args.request.admin, timeout)?
        })
    }

    /// Reads a document.
    ///
    /// # Errors
    /// A line that includes the remedy.
    pub(crate) async fn get(&self, path: &str) -> Result<Value, String> {
        self.send_call(self.call(path, None)?).await
    }

    /// Reads a document. While the gateway does not answer, as during its restart, prints one warning and tries again.
    ///
    /// # Errors
    /// A line that includes the remedy.
    pub(crate) async fn get_patiently(&self, path: &str) -> Result<Value, String> {
        let mut is_warned = false;
        loop {
            let error = match self.answer(self.call(path, None)?).await {
                Ok(answer) => return document(&answer.body),
                Err(error) => error,
            };
            let text = explained(&self.address, &error);
            let is_away = matches!(
                error,
                CallError::NoAnswer(_) | CallError::Refused { status: 503, .. }
            );
            if !is_away {
                return Err(text);
            }
            if !is_warned {
                print_warning(&format!("{text}; trying again"));
                is_warned = true;
            }
            tokio::time::sleep(RETRY_INTERVAL).await;
        }
    }

    /// Reads a document and its ETag.
    ///
    /// # Errors
    /// A line that includes the remedy.
    pub(crate) async fn get_tagged(&self, path: &str) -> Result<(Value, String), String> {
        let answer = self.answer(self.call(path, None)?).await;
        let answer = answer.map_err(|error| explained(&self.address, &error))?;
        let tag = answer.headers.get(ETAG).and_then(|tag| tag.to_str().ok());
        let tag = tag.ok_or("the answer has no ETag")?.to_owned();
        Ok((document(&answer.body)?, tag))
    }

    /// Patches a document that has this ETag. Returns nothing if the ETag has changed.
    ///
    /// # Errors
    /// A line that includes the remedy.
    pub(crate) async fn patch_seen(
        &self,
        path: &str,
        (patch, tag): (&Value, String),
    ) -> Result<Option<Value>, String> {
        let request = GatewayCall {
            json: Some((Method::PATCH, patch.to_string())),
            if_match: Some(tag),
            ..self.call(path, None)?
        };
        match self.answer(request).await {
            Ok(answer) => document(&answer.body).map(Some),
            Err(CallError::Refused { status: 412, .. }) => Ok(None),
            Err(error) => Err(explained(&self.address, &error)),
        }
    }

    /// Posts a request without a document.
    ///
    /// # Errors
    /// A line that includes the remedy.
    pub(crate) async fn post(&self, path: &str) -> Result<Value, String> {
        self.send_call(self.call(path, Some(&[]))?).await
    }

    /// Sends a document. Returns null if the answer is empty.
    ///
    /// # Errors
    /// A line that includes the remedy.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        document: &Value,
    ) -> Result<Value, String> {
        let json = Some((method, document.to_string()));
        let request = GatewayCall {
            json,
            ..self.call(path, None)?
        };
        self.send_call(request).await
    }

    /// Posts a request and streams the answer to a file.
    ///
    /// # Errors
    /// A line that includes the remedy.
    pub(crate) async fn post_and_save(
        &self,
        path: &str,
        (copy, file): (&mut (impl AsyncWrite + Unpin), &Path),
        progress: &TransferProgress,
    ) -> Result<(), String> {
        let come = |bytes, all| progress.set(bytes, all);
        let saved = save(&self.client, self.call(path, Some(&[]))?, copy, come).await;
        saved.map_err(|error| match error {
            CallError::NotWritten(error) => format!("{}: {error}", file.display()),
            error => explained(&self.address, &error),
        })
    }

    /// Returns the HTTP client.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    async fn send_call(&self, request: GatewayCall<'_>) -> Result<Value, String> {
        let answer = self.answer(request).await;
        document(
            &answer
                .map_err(|error| explained(&self.address, &error))?
                .body,
        )
    }

    /// Sends a request, and prints a warning if a change is not in force everywhere.
    async fn answer(&self, request: GatewayCall<'_>) -> Result<GatewayAnswer, CallError> {
        let answer = call(&self.client, request).await?;
        if let Some(text) = pending_replicas(&answer.headers) {
            print_warning(&text);
        }
        Ok(answer)
    }

    fn call<'a>(
        &'a self,
        path: &str,
        form: Option<&'a [(&'a str, &'a str)]>,
    ) -> Result<GatewayCall<'a>, String> {
        let mut url = url(&self.address, path)?;
        if self.waits_for_all {
            url.query_pairs_mut().append_pair("wait", "all");
        }
        Ok(GatewayCall {
            url,
            form,
            json: None,
            bearer: Some(self.key.expose_secret()),
            if_match: None,
        })
    }
}

/// Returns the document of an answer; null if the answer is empty.
fn document(body: &str) -> Result<Value, String> {
    if body.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_str(body).map_err(|error| format!("the answer is not JSON: {error}"))
}

/// Returns a text for people if a change is not in force in all replicas.
fn pending_replicas(headers: &HeaderMap) -> Option<String> {
    let text = |name| headers.get(name)?.to_str().ok();
    let in_force = text("chatgate-in-force")?;
    match text("chatgate-pending") {
        Some(pending) => Some(format!(
            "the change is stored and applied by {in_force} of the replicas; not yet by: {pending}"
        )),
        None if in_force == "unknown" => Some(
            "the change is stored, but it is unknown which replicas have applied it, because the database does not answer".to_owned(),
        ),
        None => None,
    }
}

/// Builds a client that trusts the certificates from the command line.
///
/// # Errors
/// A certificate cannot be read.
pub(crate) fn new_client(reach: &ReachArgs, timeout: Duration) -> Result<Client, String> {
    client::build(&ClientConfig {
        roots: if reach.cacert.is_empty() {
            Roots::Bundled
        } else {
            Roots::Files(reach.cacert.clone())
        },
        identity: reach.cert.clone(),
        connect_timeout: timeout.min(COMMAND_TIMEOUT),
        timeout,
    })
}

/// Returns the URL of a path on the admin listener.
///
/// # Errors
/// The address and the path do not form a URL.
pub(crate) fn url(address: &Url, path: &str) -> Result<Url, String> {
    address
        .join(path)
        .map_err(|error| format!("{address}{path}: {error}"))
}

/// Returns a text member of an answer.
///
/// # Errors
/// The member is missing.
pub(crate) fn member(answer: &Value, name: &str) -> Result<String, String> {
    let text = answer[name].as_str().map(str::to_owned);
    text.ok_or_else(|| format!("the answer has no {name}"))
}

/// Returns the remedy for a missing answer.
fn remedy(why: &str) -> &'static str {
    let has = |text: &str| why.contains(text);
    // These are texts of rustls. The alerts are about the client's own certificate.
    let alerts = ["Certificate", "UnknownCA", "AccessDenied", "DecryptError"];
    if has("received fatal alert") && alerts.iter().any(|alert| has(alert)) {
        "give a client certificate that the gateway accepts, and its key, with --cert"
    } else if has("certificate expired") {
        "renew the certificate of its admin listener"
    } else if has("not valid for name") {
        "give a name or address that its certificate contains with --admin"
    } else if has("invalid peer certificate") {
        "give its certificate, or that of its authority, with --cacert"
    } else {
        "give the address of its admin listener with --admin"
    }
}

/// Returns the error of a call with its remedy.
pub(crate) fn explained(address: &Url, error: &CallError) -> String {
    let address = address.authority();
    match error {
        CallError::NoAnswer(why) => {
            format!("no gateway answers at {address}: {why}; {}", remedy(why))
        }
        CallError::Refused { status: 401, .. } => format!(
            "the gateway at {address} does not accept this key; give its data folder with --data, or its key with \
             --admin-key-file"
        ),
        CallError::Refused { status, body } => {
            let problem: Option<Value> = serde_json::from_str(body).ok();
            let detail = problem
                .as_ref()
                .and_then(|problem| problem["detail"].as_str());
            format!(
                "the gateway at {address} rejects the request with status {status}: {}",
                detail.unwrap_or(body)
            )
        }
        CallError::NotWritten(error) => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tls_error_names_the_option_that_mends_it() {
        for (why, expected) in [
            (
                "client error: received fatal alert: CertificateRequired",
                "--cert",
            ),
            ("invalid peer certificate: UnknownIssuer", "--cacert"),
            ("invalid peer certificate: BadSignature", "--cacert"),
            ("certificate not valid for name \"gate\"", "--admin"),
            ("invalid peer certificate: certificate expired", "listener"),
            ("Connection refused (os error 111)", "--admin"),
        ] {
            assert!(remedy(why).ends_with(expected), "{why}: {}", remedy(why));
        }
    }
}
