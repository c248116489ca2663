//! The two kinds of command failure, each with its own exit code.

/// A failure with one line for standard error.
pub(crate) enum CommandError {
    /// The command failed.
    Failed(String),
    /// Usage or configuration is wrong.
    Usage(String),
}

impl From<String> for CommandError {
    fn from(text: String) -> CommandError {
        CommandError::Failed(text)
    }
}
