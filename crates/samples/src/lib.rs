//! Programs that make one call, for developers to paste: written from the operation table for the caller's own endpoint,
//! access and method, in fifteen languages.
//!
//! A language is a row in `languages` with its template in `templates`. What a value looks like in a program's text is decided
//! here, by the language's own rules for literals; what it looks like on the wire is left to the language's own library when
//! the program runs. Nothing here does IO.

mod call;
mod chosen;
mod language;
mod languages;
mod literal;

#[cfg(test)]
mod tests;

use adapter::{Operation, Way};

pub use call::SampleCaller;
pub use chosen::WhyNot;
pub use language::Language;
pub use languages::LANGUAGES;

/// One program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The name of its file.
    pub file: &'static str,
    /// Its text.
    pub text: String,
    /// The command that runs it, with the secret in the environment or where the language has its place.
    pub run: &'static str,
    /// The environment variable that holds the secret by this way in.
    pub secret: &'static str,
}

/// Writes the program that makes one call. Compulsory parameters without a value get an example that the sandbox takes.
///
/// # Errors
/// When the language has no usual way to make such a call, or a value can't be one of this operation's.
pub fn sample(
    language: &Language,
    way: Way,
    operation: &Operation,
    caller: &SampleCaller<'_>,
    values: &[(&str, &str)],
) -> Result<Sample, WhyNot> {
    if let Err(why) = language.takes(way) {
        return Err(WhyNot::NoWay(why));
    }
    let values = chosen::values(operation, values)?;
    let call = call::SampleCall::new(language.quote, way, operation, (caller, &values));
    let text = (language.render)(&call).map_err(|error| WhyNot::NotWritten(error.to_string()))?;
    Ok(Sample {
        file: language.file,
        text: text + "\n",
        run: language.run,
        secret: call.secret,
    })
}
