//! A running gateway's operators' side, as the commands speak to it.

use std::time::Duration;

use client::call::{Call, CallError, call, save};
use client::{Client, ClientConfig, Roots};
use http::Method;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio::io::AsyncWrite;
use url::Url;

use super::terminal::Progress;
use crate::cli::{AdminArgs, ReachArgs};
use crate::serve::data_folder::{DataFolder, read_key};

/// Longest wait of a command for the running gateway.
pub(crate) const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);

/// The operators' side of one gateway, and the key to it.
pub(crate) struct Admin {
    client: Client,
    address: Url,
    key: SecretString,
}

impl Admin {
    /// Finds the key. Nothing is asked yet.
    ///
    /// # Errors
    /// A line that says how to name the key.
    pub(crate) fn new(args: &AdminArgs, timeout: Duration) -> Result<Admin, String> {
        let file = args.admin_key_file.clone();
        let file = file.unwrap_or_else(|| DataFolder::new(&args.data).admin_key());
        let key = read_key(&file).map_err(|error| {
            format!(
                "{error}; name the gateway's data folder with --data, or its key with --admin-key-file"
            )
        })?;
        Ok(Admin {
            client: new_client(&args.reach, timeout)?,
            address: args.reach.admin.clone(),
            key,
        })
    }

    /// Reads a document.
    ///
    /// # Errors
    /// A line with the mend.
    pub(crate) async fn get(&self, path: &str) -> Result<Value, String> {
        self.ask(path, None).await
    }

    /// Has something done that needs no more than its name.
    ///
    /// # Errors
    /// A line with the mend.
    pub(crate) async fn post(&self, path: &str) -> Result<Value, String> {
        self.ask(path, Some(&[])).await
    }

    /// Sends a document by a method of one's own; null when the answer is empty.
    ///
    /// # Errors
    /// A line with the mend.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        document: &Value,
    ) -> Result<Value, String> {
        let json = Some((method, document.to_string()));
        let ask = Call {
            json,
            ..self.call(path, None)?
        };
        let answer = call(&self.client, ask).await;
        let answer = answer.map_err(|error| told(&self.address, &error))?;
        if answer.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&answer).map_err(|error| format!("the answer is no JSON: {error}"))
    }

    /// Likewise, and writes the answer as it comes.
    ///
    /// # Errors
    /// A line with the mend.
    pub(crate) async fn post_and_save(
        &self,
        path: &str,
        file: &mut (impl AsyncWrite + Unpin),
        progress: &Progress,
    ) -> Result<(), String> {
        let come = |bytes, all| progress.set(bytes, all);
        let saved = save(&self.client, self.call(path, Some(&[]))?, file, come).await;
        saved.map_err(|error| told(&self.address, &error))
    }

    /// The client that reaches this gateway.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    async fn ask(&self, path: &str, form: Option<&[(&str, &str)]>) -> Result<Value, String> {
        let answer = call(&self.client, self.call(path, form)?).await;
        let answer = answer.map_err(|error| told(&self.address, &error))?;
        serde_json::from_str(&answer).map_err(|error| format!("the answer is no JSON: {error}"))
    }

    fn call<'a>(
        &'a self,
        path: &str,
        form: Option<&'a [(&'a str, &'a str)]>,
    ) -> Result<Call<'a>, String> {
        Ok(Call {
            url: url(&self.address, path)?,
            form,
            json: None,
            bearer: Some(self.key.expose_secret()),
        })
    }
}

/// A client for a gateway on this machine or near it, which trusts what the command line says.
///
/// # Errors
/// When it can't be built.
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

/// A path of the operators' side.
///
/// # Errors
/// When it makes no URL.
pub(crate) fn url(address: &Url, path: &str) -> Result<Url, String> {
    address
        .join(path)
        .map_err(|error| format!("{address}{path}: {error}"))
}

/// What the operator is told about a call that brought nothing.
pub(crate) fn told(address: &Url, error: &CallError) -> String {
    let address = address.authority();
    match error {
        CallError::NoAnswer(why) => {
            format!("no gateway answers at {address}: {why}; name its operators' side with --admin")
        }
        CallError::Refused { status: 401, .. } => format!(
            "the gateway at {address} does not know this key; name its data folder with --data, or its key with --admin-key-file"
        ),
        CallError::Refused { status, body } => {
            let problem: Option<Value> = serde_json::from_str(body).ok();
            let detail = problem
                .as_ref()
                .and_then(|problem| problem["detail"].as_str());
            format!(
                "the gateway at {address} refuses with status {status}: {}",
                detail.unwrap_or(body)
            )
        }
        CallError::NotWritten(error) => error.to_string(),
    }
}
