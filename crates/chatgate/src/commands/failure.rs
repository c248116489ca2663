//! The two ways in which a command fails, each with an exit code of its own.

/// One line for standard error.
pub(crate) enum Failure {
    /// The command could not be carried out.
    Failed(String),
    /// Usage or configuration is wrong.
    Usage(String),
}

impl From<String> for Failure {
    fn from(text: String) -> Failure {
        Failure::Failed(text)
    }
}
