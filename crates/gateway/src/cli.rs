//! The command line: what can be asked for, and how it ends (0 done, 1 failed, 64 wrong usage or configuration).

pub(crate) mod access;
pub(crate) mod explain;
pub(crate) mod journal;
pub(crate) mod sample;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use url::Url;

use access::AccessCommand;
use explain::ExplainArgs;
use journal::{JournalCommand, LogArgs, ReplayArgs};
use sample::SampleArgs;

use crate::commands::{
    Failure, access_command, admin_key_command, backup_command, check_command, complain,
    completions_command, explain_command, health_command, journal_command, jws_command,
    keys_command, log_command, man_command, receipt_command, reload_command, replay_command,
    sample_command, sandbox_command, schema_command, serve_command, token_command, xml_command,
};

/// `EX_USAGE` of sysexits.h: the mistake is in what was asked for.
const EXIT_USAGE: u8 = 64;

/// Where the operators' side of a gateway is unless told otherwise.
const ADMIN_ADDRESS: &str = "127.0.0.1:8081";

/// Where a sandbox of its own listens unless told otherwise: beside the gateway's two.
const SANDBOX_ADDRESS: &str = "127.0.0.1:8082";

/// What the manual says about signals.
const SIGNALS: &str = "Signals of a running gateway: SIGTERM and SIGINT let what is under way end and then end it. SIGHUP reads \
configuration and certificates again. SIGUSR1 and SIGUSR2 are a line in the log. SIGPIPE, SIGALRM, SIGVTALRM, SIGPROF, SIGIO, \
SIGPWR, SIGSTKFLT, SIGXFSZ and the real-time signals do nothing. SIGQUIT and SIGKILL end it at once.";

/// One hardened door to a chat API: HTTP parameters, Basic, JWT and SOAP in front, one upstream account behind.
#[derive(Debug, Parser)]
// Flags before a command would be read and then ignored; better that they are refused.
#[command(name = "chatgate", version, args_conflicts_with_subcommands = true, after_long_help = SIGNALS)]
pub(crate) struct Cli {
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
    Check(CheckArgs),
    /// Manage who may call, on a running gateway
    #[command(subcommand)]
    Access(Box<AccessCommand>),
    /// Tell what would become of a call and why, without making it
    Explain(Box<ExplainArgs>),
    /// Print a program that makes one call, in the language of your choice
    Sample(Box<SampleArgs>),
    /// Search the journal: who called what, from where, and how it ended
    Log(Box<LogArgs>),
    /// Tell which journalled calls proposed networks would have refused
    Replay(ReplayArgs),
    /// Forget what the journal keeps
    #[command(subcommand)]
    Journal(JournalCommand),
    /// List and rotate the keys that sign tokens
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Have a new key for the first operator while no gateway runs
    #[command(subcommand)]
    AdminKey(AdminKeyCommand),
    /// Have a running gateway read its configuration again
    Reload(AskArgs),
    /// Tell what became of the sends with one idempotency key
    Receipt(ReceiptArgs),
    /// Copy the store of a running gateway into a file
    Backup(BackupArgs),
    /// End with 0 if a running gateway takes calls, else with 1
    Healthcheck(ReachArgs),
    /// Print the JSON Schema of the configuration file
    ConfigSchema,
    /// Print the completions for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page of this binary, or of one of its commands
    Man {
        /// The command, such as keys rotate
        command: Vec<String>,
    },
    /// Run the token verifier on one signed token
    JwsVerify(JwsArgs),
    /// Run the XML layer on one document
    XmlCheck {
        /// The document
        file: PathBuf,
    },
}

#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ServeArgs {
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The data folder [default: ./data]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<String>,
    /// Where the ways in listen [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<String>,
    /// Where the operators' side listens [default: 127.0.0.1:8081]
    #[arg(long, value_name = "ADDR")]
    pub(crate) admin: Option<String>,
    /// Without an upstream, let the embedded sandbox answer callers from elsewhere too
    #[arg(long)]
    pub(crate) sandbox: bool,
}

#[derive(Args, Debug)]
pub(crate) struct SandboxArgs {
    /// Where to listen
    #[arg(long, value_name = "ADDR", default_value = SANDBOX_ADDRESS)]
    pub(crate) listen: SocketAddr,
    /// The folder that keeps the chats, and in sandbox.json a made-up account; without it they are kept in memory
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// The account's user name; made up when absent, and shown on a terminal or kept in the data folder
    #[arg(long, requires = "password")]
    pub(crate) user: Option<String>,
    /// The account's password
    #[arg(long, requires = "user")]
    pub(crate) password: Option<String>,
    /// A JSON list of faults to begin with
    #[arg(long, value_name = "FILE")]
    pub(crate) faults: Option<PathBuf>,
    /// Serve the pages of the web chat beyond loopback too; they ask nobody who they are
    #[arg(long)]
    pub(crate) pages: bool,
    /// Serve the control paths (/sandbox/…) beyond loopback too; they ask nobody who they are
    #[arg(long)]
    pub(crate) control: bool,
}

#[derive(Args, Debug)]
pub(crate) struct TokenArgs {
    /// Limit the token to this method; may be repeated
    #[arg(long = "method", value_name = "METHOD")]
    pub(crate) methods: Vec<String>,
    /// The client id; its secret is then read from standard input [default: the demo access]
    #[arg(long, value_name = "ID")]
    pub(crate) client_id: Option<String>,
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
}

/// How to reach the operators' side of a running gateway.
#[derive(Args, Debug)]
pub(crate) struct ReachArgs {
    /// The operators' side of the running gateway; https://ADDR if it speaks TLS
    #[arg(long, value_name = "ADDR", env = "CHATGATE_ADMIN", default_value = ADMIN_ADDRESS, value_parser = operators_side)]
    pub(crate) admin: Url,
    /// A PEM file with a certificate to trust, instead of the public authorities; may be repeated
    #[arg(long, value_name = "FILE")]
    pub(crate) cacert: Vec<PathBuf>,
    /// A PEM file with the certificate and key to show, if the operators' side demands one
    #[arg(long, value_name = "FILE")]
    pub(crate) cert: Option<PathBuf>,
}

/// Where a running gateway is, and the key to it.
#[derive(Args, Debug)]
pub(crate) struct AdminArgs {
    #[command(flatten)]
    pub(crate) reach: ReachArgs,
    /// The data folder of the running gateway
    #[arg(
        long,
        value_name = "DIR",
        env = "CHATGATE_DATA",
        default_value = "./data"
    )]
    pub(crate) data: PathBuf,
    /// The file with the admin key [default: admin.key in the data folder]
    #[arg(long, value_name = "FILE")]
    pub(crate) admin_key_file: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) serve: ServeArgs,
    /// Print the mistakes as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// List the keys, the one that signs first
    List(AskArgs),
    /// Have a new key sign from now on; tokens signed before verify until they expire
    Rotate(KeysRotateArgs),
}

#[derive(Args, Debug)]
pub(crate) struct KeysRotateArgs {
    /// End every token that was signed before, as after a leak of the keys
    #[arg(long)]
    pub(crate) revoke: bool,
    #[command(flatten)]
    pub(crate) ask: AskArgs,
}

/// A question to a running gateway that needs no more than its name.
#[derive(Args, Debug)]
pub(crate) struct AskArgs {
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AdminKeyCommand {
    /// Make a new key and put it into admin.key of the data folder; the one before opens nothing any more
    Reset(AdminKeyArgs),
}

#[derive(Args, Debug)]
pub(crate) struct AdminKeyArgs {
    /// The data folder of the gateway
    #[arg(long, value_name = "DIR", default_value = "./data")]
    pub(crate) data: PathBuf,
}

#[derive(Args, Debug)]
pub(crate) struct ReceiptArgs {
    /// The access
    pub(crate) access: String,
    /// The idempotency key, as its sends carried it
    pub(crate) key: String,
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct BackupArgs {
    /// The file to write; one that is there is left as it is
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
}

#[derive(Args, Debug)]
pub(crate) struct JwsArgs {
    /// The file with the public key as a JWK
    #[arg(long, value_name = "FILE")]
    pub(crate) jwk: PathBuf,
    /// The algorithm that the key is for
    #[arg(long, value_name = "ALG")]
    pub(crate) alg: String,
    /// The token
    pub(crate) token: String,
}

/// `ADDR`, or a URL without a path.
fn operators_side(text: &str) -> Result<Url, String> {
    let url = if text.contains("://") {
        Url::parse(text)
    } else {
        Url::parse(&format!("http://{text}"))
    };
    url.ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.path() == "/")
        .ok_or_else(|| "write ADDRESS:PORT, or https://ADDRESS:PORT".to_owned())
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
        Some(Command::Check(args)) => check_command(&args),
        Some(Command::Access(command)) => access_command(*command).await.map_err(Failure::from),
        Some(Command::Explain(args)) => explain_command(*args).await.map_err(Failure::from),
        Some(Command::Sample(args)) => sample_command(*args).await,
        Some(Command::Log(args)) => log_command(*args).await.map_err(Failure::from),
        Some(Command::Replay(args)) => replay_command(args).await.map_err(Failure::from),
        Some(Command::Journal(command)) => journal_command(command).await.map_err(Failure::from),
        Some(Command::Keys(command)) => keys_command(command).await.map_err(Failure::from),
        Some(Command::AdminKey(command)) => admin_key_command(command).await.map_err(Failure::from),
        Some(Command::Reload(args)) => reload_command(args).await.map_err(Failure::from),
        Some(Command::Receipt(args)) => receipt_command(args).await.map_err(Failure::from),
        Some(Command::Backup(args)) => backup_command(args).await.map_err(Failure::from),
        Some(Command::Healthcheck(reach)) => health_command(&reach).await.map_err(Failure::from),
        Some(Command::ConfigSchema) => schema_command().map_err(Failure::from),
        Some(Command::Completions { shell }) => completions_command(shell).map_err(Failure::from),
        Some(Command::Man { command }) => man_command(&command),
        Some(Command::JwsVerify(args)) => jws_command(&args),
        Some(Command::XmlCheck { file }) => xml_command(&file),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Failed(text)) => ended_with(&text, 1),
        Err(Failure::Usage(text)) => ended_with(&text, EXIT_USAGE),
    }
}

fn ended_with(text: &str, code: u8) -> ExitCode {
    complain(text);
    ExitCode::from(code)
}
