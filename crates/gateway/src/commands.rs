//! What the commands do.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use adapter_jwt::verify_jws;
use forward::client::{self, Call, ClientConfig, Roots};
use sandbox::{Fault, Sandbox, SandboxConfig};
use secrecy::ExposeSecret;
use url::Url;

use crate::accesses::Demo;
use crate::cli::{JwsArgs, SandboxArgs, ServeArgs, TokenArgs};
use crate::config::{Config, Sources};
use crate::data_folder::{DataFolder, random_text, read_key};
use crate::serve::serve;
use crate::shutdown::StopSignal;

/// Longest wait of a client command for the running gateway.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);

/// Largest answer that a client command takes, in bytes.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

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
    let config = read_config(args)?;
    Ok(serve(config).await?)
}

pub(crate) fn check_command(args: &ServeArgs) -> Result<(), Failure> {
    read_config(args)?;
    print("The configuration is right.\n");
    Ok(())
}

fn read_config(args: &ServeArgs) -> Result<Config, Failure> {
    let file = match &args.config {
        None => String::new(),
        Some(path) => std::fs::read_to_string(path)
            .map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))?,
    };
    let flags = [
        ("server.data", &args.data),
        ("server.listen", &args.listen),
        ("server.admin_listen", &args.admin),
    ];
    let sources = Sources {
        file,
        environment: environment(),
        flags: flags
            .into_iter()
            .filter_map(|(key, value)| value.clone().map(|value| (key, value)))
            .collect(),
    };
    Config::read(&sources).map_err(|mistakes| {
        let name = args
            .config
            .as_deref()
            .map_or("configuration".into(), |path| path.display().to_string());
        let lines: Vec<_> = mistakes
            .iter()
            .map(|mistake| format!("{name}: {mistake}"))
            .collect();
        Failure::Usage(lines.join("\n"))
    })
}

/// The environment as text; what is no text can't be one of our settings.
fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

pub(crate) async fn sandbox_command(args: SandboxArgs) -> Result<(), String> {
    let faults = match &args.faults {
        None => Vec::new(),
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|error| format!("{}: {error}", path.display()))?;
            Fault::parse_list(&text).map_err(|error| format!("{}: {error}", path.display()))?
        }
    };
    let data = match &args.data {
        None => None,
        Some(path) => {
            let folder = DataFolder::new(path);
            folder.make()?;
            Some(folder.sandbox())
        }
    };
    let made_up = args.user.is_none();
    let user = args.user.unwrap_or_else(|| "sandbox".to_owned());
    let password = args.password.map_or_else(|| random_text(24), Ok)?;
    let config = SandboxConfig {
        listen: args.listen,
        data,
        user: user.clone(),
        password: password.clone().into(),
        faults,
    };
    let sandbox = Sandbox::start(config)
        .await
        .map_err(|error| error.to_string())?;
    let account = if made_up {
        format!("Account: {user} {password}\n")
    } else {
        String::new()
    };
    let mut stop_signal = StopSignal::listen()?;
    print(&format!(
        "The sandbox listens on {}\n{account}",
        sandbox.url()
    ));
    stop_signal.wait().await;
    sandbox.stop().await;
    Ok(())
}

pub(crate) async fn token_command(args: TokenArgs) -> Result<(), String> {
    let data = DataFolder::new(&args.data);
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
    let key = read_key(&args.admin_key_file.unwrap_or_else(|| data.admin_key()))?;
    let client = client::build(&ClientConfig {
        roots: if args.cacert.is_empty() {
            Roots::Bundled
        } else {
            Roots::Files(args.cacert)
        },
        identity: args.cert,
        connect_timeout: COMMAND_TIMEOUT,
        timeout: COMMAND_TIMEOUT,
    })?;
    let status = Call {
        url: url(&format!("{}admin/v1/status", args.admin))?,
        form: None,
        bearer: Some(key.expose_secret()),
    };
    let status = client::call(&client, status, ANSWER_BYTES_MAX)
        .await
        .map_err(|error| format!("no gateway answers at {}: {error}", args.admin))?;
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
    let call = Call {
        url: url(&format!("{base}/oauth/token"))?,
        form: Some(&form),
        bearer: None,
    };
    let answer = client::call(&client, call, ANSWER_BYTES_MAX)
        .await
        .map_err(|error| format!("no token: {error}"))?;
    print(&format!("{}\n", member(&answer, "access_token")?));
    Ok(())
}

fn read_secret() -> Result<String, String> {
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .map_err(|error| format!("standard input: {error}"))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

fn member(json: &str, name: &str) -> Result<String, String> {
    let value: serde_json::Value =
        serde_json::from_str(json).map_err(|error| format!("the answer is no JSON: {error}"))?;
    value[name]
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| format!("the answer has no {name}"))
}

fn url(text: &str) -> Result<Url, String> {
    Url::parse(text).map_err(|error| format!("{text}: {error}"))
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

fn print(text: &str) {
    // A reader that has gone away, such as `head`, is no failure of ours.
    let _ = std::io::stdout().write_all(text.as_bytes());
}
