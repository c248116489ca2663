//! What the commands do.

mod access;
mod admin;
mod admin_key;
mod backup;
mod check;
mod explain;
mod health;
mod journal;
mod keys;
mod output;
mod pages;
mod receipt;
mod reload;
mod sample;
mod sandbox;
mod terminal;

use std::io::Read;
use std::path::Path;

use adapter_jwt::verify_jws;
use client::call::{Call, call};
use server::signals::outlive_stray_signals;
use url::Url;

use crate::cli::{JwsArgs, ServeArgs, TokenArgs};
use crate::serve::bootstrap::Demo;
use crate::serve::data_folder::DataFolder;
use crate::serve::serve;
use crate::telemetry;

pub(crate) use self::sandbox::sandbox_command;
pub(crate) use access::access_command;
pub(crate) use admin_key::admin_key_command;
pub(crate) use backup::backup_command;
pub(crate) use check::check_command;
pub(crate) use explain::explain_command;
pub(crate) use health::health_command;
pub(crate) use journal::{journal_command, log_command, replay_command};
pub(crate) use keys::keys_command;
pub(crate) use pages::{completions_command, man_command, schema_command};
pub(crate) use receipt::receipt_command;
pub(crate) use reload::reload_command;
pub(crate) use sample::sample_command;
pub(crate) use terminal::complain;

use admin::{Admin, COMMAND_TIMEOUT};
use check::{config_source, read_config};
use output::print;

/// How a command failed.
pub(crate) enum Failure {
    Failed(String),
    Usage(String),
}

impl From<String> for Failure {
    fn from(text: String) -> Failure {
        Failure::Failed(text)
    }
}

pub(crate) async fn serve_command(args: &ServeArgs) -> Result<(), Failure> {
    outlive_stray_signals()?;
    let source = config_source(args);
    let (sources, config) = read_config(&source)?;
    let served = serve(source, sources, config).await;
    let given_up = telemetry::finish_log().await;
    if given_up > 0 {
        complain(&format!(
            "standard output did not take the last {given_up} lines of the log"
        ));
    }
    Ok(served?)
}

pub(crate) async fn token_command(args: TokenArgs) -> Result<(), String> {
    let data = DataFolder::new(&args.admin.data);
    let (client_id, client_secret) = match args.client_id {
        Some(id) => (id, read_secret()?),
        None => {
            let text = std::fs::read_to_string(data.demo()).map_err(|error| {
                format!(
                    "{}: {error}; name an access with --client-id",
                    data.demo().display()
                )
            })?;
            let demo: Demo =
                serde_json::from_str(&text).map_err(|error| format!("demo.json: {error}"))?;
            (demo.client_id, demo.client_secret)
        }
    };
    let admin = Admin::new(&args.admin, COMMAND_TIMEOUT)?;
    let status = admin.get("/admin/v1/status").await?;
    let base = member(&status, "public_url")?;
    let scope = if args.methods.is_empty() {
        "chat".to_owned()
    } else {
        args.methods.join(" ")
    };
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", &client_id),
        ("client_secret", &client_secret),
        ("scope", &scope),
    ];
    let endpoint = format!("{base}/oauth/token");
    let ask = Call {
        url: Url::parse(&endpoint).map_err(|error| format!("{endpoint}: {error}"))?,
        form: Some(&form),
        json: None,
        bearer: None,
    };
    let answer = call(admin.client(), ask).await;
    let answer = answer.map_err(|error| format!("no token from {endpoint}: {error}"))?;
    let answer =
        serde_json::from_str(&answer).map_err(|error| format!("the answer is no JSON: {error}"))?;
    print(format!("{}\n", member(&answer, "access_token")?))
}

pub(crate) fn read_secret() -> Result<String, String> {
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .map_err(|error| format!("standard input: {error}"))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

fn member(document: &serde_json::Value, name: &str) -> Result<String, String> {
    let text = document[name].as_str().map(str::to_owned);
    text.ok_or_else(|| format!("the answer has no {name}"))
}

pub(crate) fn jws_command(args: &JwsArgs) -> Result<(), Failure> {
    let jwk = read(&args.jwk)?;
    let jwk =
        String::from_utf8(jwk).map_err(|_| Failure::Failed("the JWK is not UTF-8".to_owned()))?;
    verify_jws(&jwk, &args.alg, &args.token).map_err(|reason| Failure::Failed(reason.to_owned()))
}

pub(crate) fn xml_command(file: &Path) -> Result<(), Failure> {
    adapter_soap::check_document(&read(file)?)
        .map_err(|error| Failure::Failed(format!("{}: {error}", file.display())))
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))
}
