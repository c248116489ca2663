//! Programs that make one call, for developers to paste. They are generated from the operation table for the caller's own endpoint,
//! access and method, in fifteen languages.
//!
//! A language is a row in `languages` with its template in `templates`. This crate decides how a value is written in a program's
//! text, by the language's own rules for literals. The language's own library decides how the value is encoded in the request, when
//! the program runs. Nothing here does IO.

mod call;
mod language;
mod languages;
mod literal;
mod values;

#[cfg(test)]
mod tests;

use adapter::{Operation, Way};

pub use call::SampleCaller;
pub use language::Language;
pub use languages::LANGUAGES;
pub use values::SampleError;

/// A program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The name of the program's file.
    pub file: &'static str,
    /// The text of the program.
    pub text: String,
    /// The command that runs the program, with the secret in the environment or wherever the language expects it.
    pub run: &'static str,
    /// The environment variable that contains the secret for this way in.
    pub secret: &'static str,
}

/// Writes the program that makes one call. Compulsory parameters without a value get an example that the sandbox accepts.
///
/// # Errors
/// Returns an error if the language has no usual way to make such a call, or if a value is not valid for this operation.
pub fn sample(
    language: &Language,
    way: Way,
    operation: &Operation,
    caller: &SampleCaller<'_>,
    values: &[(&str, &str)],
) -> Result<Sample, SampleError> {
    if let Err(why) = language.supports(way) {
        return Err(SampleError::NoWay(why));
    }
    let values = values::values(operation, values)?;
    let call = call::SampleCall::new(language.quote, way, operation, (caller, &values));
    let text =
        (language.render)(&call).map_err(|error| SampleError::NotWritten(error.to_string()))?;
    Ok(Sample {
        file: language.file,
        text: text + "\n",
        run: language.run,
        secret: call.secret,
    })
}
