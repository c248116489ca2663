//! `chatgate sandbox`: runs the embedded upstream alone.

use std::fs::File;
use std::io::IsTerminal;
use std::path::Path;

use gateway::data_folder::{DataFolder, random_text, remove, write_private};
use sandbox::{Fault, Sandbox, SandboxConfig};
use serde_json::json;
use telemetry::{LogConfig, LogFormat};
use visible::escape_invisible_in_lines;

use super::error::CommandError;
use super::terminal::print_error;
use crate::args::serve::SandboxArgs;
use server::signals::{StopSignal, ignore_stray_signals};

/// Number of random bytes in a generated password.
const PASSWORD_BYTES: usize = 24;

pub(crate) async fn run(args: SandboxArgs) -> Result<(), CommandError> {
    ignore_stray_signals()?;
    let faults = args.faults.as_deref().map(read_faults).transpose();
    let faults = faults.map_err(CommandError::Usage)?;
    let folder = args.data.as_deref().map(DataFolder::new);
    let _lock = folder.as_ref().map(locked).transpose()?;
    telemetry::start_log(&LogConfig {
        level: "warn".to_owned(),
        format: LogFormat::Text,
    })?;
    let account = match (args.user, args.password) {
        (Some(user), Some(password)) => AccountNotice {
            user,
            password,
            line: String::new(),
        },
        _ => AccountNotice::generate(folder.as_ref())?,
    };
    let is_loopback = args.listen.ip().to_canonical().is_loopback();
    let pages = args.pages || is_loopback;
    let sandbox = Sandbox::start(SandboxConfig {
        listen: args.listen,
        data: folder.as_ref().map(DataFolder::sandbox),
        user: account.user,
        password: account.password.into(),
        faults: faults.unwrap_or_default(),
        pages,
        control: args.control || is_loopback,
    });
    let sandbox = sandbox.await.map_err(|error| error.to_string())?;
    let mut stop_signal = StopSignal::listen()?;
    let url = sandbox.url();
    let pages = if pages {
        format!("Web chat {url}/chat/, operator's page {url}/operator/\n")
    } else {
        String::new()
    };
    let account = account.line;
    // The log's thread prints the notice, so that a blocked output does not keep the sandbox from serving.
    let notice = format!("The sandbox listens on {url}\n{pages}{account}");
    telemetry::print(&escape_invisible_in_lines(&notice));
    stop_signal.wait().await;
    sandbox.stop().await;
    if telemetry::finish_log().await > 0 {
        print_error("some output of the sandbox could not be written to standard output");
    }
    Ok(())
}

/// Creates the folder and locks it, because a gateway or another sandbox must not use the chats and the account in it.
fn locked(folder: &DataFolder) -> Result<[File; 2], String> {
    folder.make()?;
    folder.lock()
}

fn read_faults(path: &Path) -> Result<Vec<Fault>, String> {
    let text =
        std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Fault::parse_list(&text).map_err(|error| format!("{}: {error}", path.display()))
}

/// The only account of the sandbox, and the line that shows where its credentials are.
struct AccountNotice {
    user: String,
    password: String,
    line: String,
}

impl AccountNotice {
    /// Creates an account. Its password is shown only on a terminal. Other output may end in a log, so then only a private file
    /// contains the password.
    fn generate(folder: Option<&DataFolder>) -> Result<AccountNotice, CommandError> {
        let user = "sandbox".to_owned();
        let password = random_text(PASSWORD_BYTES)?;
        let file = folder.map(DataFolder::sandbox_account);
        if let Some(file) = &file {
            // An earlier start may have left a file behind.
            remove(file)?;
            let text = json!({"user": user, "password": password});
            write_private(file, &format!("{text:#}\n"))?;
        }
        let line = match file {
            _ if std::io::stdout().is_terminal() => format!("Account: {user} {password}\n"),
            Some(file) => format!("Account: in {}\n", file.display()),
            None => {
                let text = "standard output is not a terminal, so the generated password is not shown; give --user and \
                            --password, or with --data a folder to store it in";
                return Err(CommandError::Usage(text.to_owned()));
            }
        };
        Ok(AccountNotice {
            user,
            password,
            line,
        })
    }
}
