//! The two ways in which a command fails, each with an exit code of its own.

/// One line for standard error.
pub(crate) enum CommandError {
    /// The command could not be carried out.
    Failed(String),
    /// Usage or configuration is wrong.
    Usage(String),
}

impl From<String> for CommandError {
    fn from(text: String) -> CommandError {
        CommandError::Failed(text)
    }
}
