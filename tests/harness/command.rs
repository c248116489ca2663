//! Runs the commands other than `serve` and returns their output.

use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::gateway::Gateway;
use super::process::{Process, binary};

/// The output and the exit code of a command.
pub struct CommandOutput {
    pub code: Option<i32>,
    pub output: String,
    pub error: String,
}

impl CommandOutput {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.output).unwrap_or_else(|_| panic!("no JSON: {}", self.output))
    }

    /// Asserts that the command succeeded, and shows its error otherwise.
    #[track_caller]
    pub fn succeeded(&self) {
        assert_eq!(self.code, Some(0), "{}{}", self.output, self.error);
    }

    /// Asserts that standard error has one line with this text, and that standard output is empty.
    #[track_caller]
    pub fn failed(&self, code: i32, said: &str) {
        assert_eq!(
            (self.code, self.output.as_str()),
            (Some(code), ""),
            "{}",
            self.error
        );
        assert!(
            self.error.starts_with("chatgate: ") && self.error.contains(said),
            "{}",
            self.error
        );
        assert_eq!(self.error.lines().count(), 1, "{}", self.error);
    }
}

pub fn run(arguments: &[&str]) -> CommandOutput {
    run_in(arguments, &[])
}

/// Runs a command in an environment.
pub fn run_in(arguments: &[&str], environment: &[(&str, &str)]) -> CommandOutput {
    let mut command = Command::new(binary());
    let command = command.args(arguments).envs(environment.iter().copied());
    let ran = command.output().unwrap();
    CommandOutput {
        code: ran.status.code(),
        output: String::from_utf8(ran.stdout).unwrap(),
        error: String::from_utf8(ran.stderr).unwrap(),
    }
}

/// Runs a command against this gateway.
pub fn run_on(gateway: &Gateway, arguments: &[&str]) -> CommandOutput {
    let (admin, data) = (gateway.admin.to_string(), gateway.data());
    let mut all = arguments.to_vec();
    all.extend(["--admin", &admin, "--data", data.to_str().unwrap()]);
    run(&all)
}

/// Starts such a command without waiting for its end.
pub fn start_on(gateway: &Gateway, arguments: &[&str]) -> Process {
    let (admin, data) = (gateway.admin.to_string(), gateway.data());
    let mut all = arguments.to_vec();
    all.extend(["--admin", &admin, "--data", data.to_str().unwrap()]);
    Process::start(&all, &[])
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Runs the command on a terminal of this width. `script` provides the terminal and copies its output.
pub fn on_a_terminal(arguments: &[&str], columns: u32, environment: &[(&str, &str)]) -> Child {
    let words: Vec<_> = std::iter::once(binary())
        .chain(arguments.iter().copied())
        .collect();
    let words: Vec<_> = words.iter().map(|word| quoted(word)).collect();
    let line = format!("stty cols {columns} rows 24; exec {}", words.join(" "));
    Command::new("script")
        .args([
            "--quiet",
            "--return",
            "--flush",
            "--command",
            &line,
            "/dev/null",
        ])
        .env("TERM", "xterm")
        .env_remove("NO_COLOR")
        // With `CI` set, every output counts as a terminal with colors.
        .env_remove("CI")
        .env_remove("CLICOLOR")
        .env_remove("CLICOLOR_FORCE")
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}
