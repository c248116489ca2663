//! The command line: what can be asked for, and how it ends (0 done, 1 failed, 64 wrong usage or configuration).

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use adapter_jwt::verify_jws;
use clap::{Args, Parser, Subcommand};
use forward::client::{self, Call, ClientConfig, Roots};
use sandbox::{Fault, Sandbox, SandboxConfig};
use secrecy::ExposeSecret;
use url::Url;

use crate::accesses::Demo;
use crate::config::{Config, Sources};
use crate::data_folder::{DataFolder, random_text, read_key};
use crate::serve::serve;

/// `EX_USAGE` of sysexits.h: the mistake is in what was asked for.
const EXIT_USAGE: u8 = 64;

/// Longest wait of a client command for the running gateway.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);

/// Largest answer that a client command takes, in bytes.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// One hardened door to a chat API: HTTP parameters, Basic, JWT and SOAP in front, one upstream account behind.
#[derive(Debug, Parser)]
#[command(name = "chatgate", version)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ServeArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start everything (also without a command)
    Serve(ServeArgs),
    /// Start the embedded upstream alone
    Sandbox(SandboxArgs),
    /// Get a token from a running gateway and print it alone
    Token(TokenArgs),
    /// Validate the configuration, telling every mistake at once
    Check(ServeArgs),
    /// Run the token verifier on one signed token
    JwsVerify(JwsArgs),
    /// Run the XML layer on one document
    XmlCheck {
        /// The document
        file: PathBuf,
    },
}

#[derive(Args, Clone, Debug, Default)]
struct ServeArgs {
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The data folder [default: ./data]
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
    /// Where the ways in listen [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Where the operators' side listens [default: 127.0.0.1:8081]
    #[arg(long, value_name = "ADDR")]
    admin: Option<String>,
}

#[derive(Args, Debug)]
struct SandboxArgs {
    /// Where to listen
    #[arg(long, value_name = "ADDR")]
    listen: SocketAddr,
    /// The folder that keeps the chats; without it they are kept in memory
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The account's user name; made up and printed when absent
    #[arg(long, requires = "password")]
    user: Option<String>,
    /// The account's password
    #[arg(long, requires = "user")]
    password: Option<String>,
    /// A JSON list of faults to begin with
    #[arg(long, value_name = "FILE")]
    faults: Option<PathBuf>,
}

#[derive(Args, Debug)]
struct TokenArgs {
    /// Limit the token to this method; may be repeated
    #[arg(long = "method", value_name = "METHOD")]
    methods: Vec<String>,
    /// The client id; its secret is then read from standard input [default: the demo access]
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// The operators' side of the running gateway
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8081")]
    admin: SocketAddr,
    /// The data folder of the running gateway
    #[arg(long, value_name = "DIR", default_value = "./data")]
    data: PathBuf,
    /// The file with the admin key [default: admin.key in the data folder]
    #[arg(long, value_name = "FILE")]
    admin_key_file: Option<PathBuf>,
}

#[derive(Args, Debug)]
struct JwsArgs {
    /// The file with the public key as a JWK
    #[arg(long, value_name = "FILE")]
    jwk: PathBuf,
    /// The algorithm that the key is for
    #[arg(long, value_name = "ALG")]
    alg: String,
    /// The token
    token: String,
}

/// How a command failed.
enum Failure {
    Failed(String),
    Usage(String),
}

impl From<String> for Failure {
    fn from(text: String) -> Failure {
        Failure::Failed(text)
    }
}

/// Runs what the command line asks for.
pub async fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { EXIT_USAGE } else { 0 });
        }
    };
    let ended = match cli.command {
        None => serve_command(&cli.serve).await,
        Some(Command::Serve(args)) => serve_command(&args).await,
        Some(Command::Sandbox(args)) => sandbox_command(args).await.map_err(Failure::from),
        Some(Command::Token(args)) => token_command(args).await.map_err(Failure::from),
        Some(Command::Check(args)) => {
            read_config(&args).and_then(|_| print("The configuration is right.\n"))
        }
        Some(Command::JwsVerify(args)) => jws_command(&args),
        Some(Command::XmlCheck { file }) => xml_command(&file),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Failed(text)) => complain(&text, 1),
        Err(Failure::Usage(text)) => complain(&text, EXIT_USAGE),
    }
}

async fn serve_command(args: &ServeArgs) -> Result<(), Failure> {
    let config = read_config(args)?;
    Ok(serve(config).await?)
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

async fn sandbox_command(args: SandboxArgs) -> Result<(), String> {
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
    let told = print(&format!(
        "The sandbox listens on {}\n{account}",
        sandbox.url()
    ));
    if told.is_ok() {
        wait_for_stop().await?;
    }
    sandbox.stop().await;
    Ok(())
}

async fn wait_for_stop() -> Result<(), String> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| error.to_string())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

async fn token_command(args: TokenArgs) -> Result<(), String> {
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
        roots: Roots::Bundled,
        connect_timeout: COMMAND_TIMEOUT,
        timeout: COMMAND_TIMEOUT,
    })?;
    let status_url = url(&format!("http://{}/admin/v1/status", args.admin))?;
    let status = Call {
        url: status_url,
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
    print(&format!("{}\n", member(&answer, "access_token")?))
        .map_err(|_| "standard output is closed".to_owned())
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

fn jws_command(args: &JwsArgs) -> Result<(), Failure> {
    let jwk = read(&args.jwk)?;
    let jwk =
        String::from_utf8(jwk).map_err(|_| Failure::Failed("the JWK is not UTF-8".to_owned()))?;
    verify_jws(&jwk, &args.alg, &args.token).map_err(|reason| Failure::Failed(reason.to_owned()))
}

fn xml_command(file: &Path) -> Result<(), Failure> {
    adapter_soap::check_document(&read(file)?)
        .map_err(|error| Failure::Failed(format!("{}: {error}", file.display())))
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))
}

fn print(text: &str) -> Result<(), Failure> {
    // A reader that has gone away, such as `head`, is no failure of ours.
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(())
}

fn complain(text: &str, code: u8) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "chatgate: {text}");
    ExitCode::from(code)
}
