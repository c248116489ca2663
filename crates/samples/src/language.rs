//! The description of a sample language.

use adapter::Way;

use crate::call::SampleCall;

/// A language. Every language has programs for HTTP and Basic, and for tokens and SOAP if there is a usual way to use them.
#[derive(Debug)]
pub struct Language {
    /// The language's word on the command line.
    pub name: &'static str,
    /// The language's name for people.
    pub title: &'static str,
    /// The library with which the programs get and use tokens, or the reason why there are no such programs.
    pub jwt: Result<&'static str, &'static str>,
    /// The library with which the programs use SOAP, or the reason why there are no such programs.
    pub soap: Result<&'static str, &'static str>,
    /// The file name of a program.
    pub(crate) file: &'static str,
    /// The command that runs the program.
    pub(crate) run: &'static str,
    /// Returns a value as an expression of the language.
    pub(crate) quote: fn(&str) -> String,
    /// Renders the template.
    pub(crate) render: fn(&SampleCall) -> askama::Result<String>,
}

impl Language {
    /// Returns the ways in for which the language has programs.
    pub fn ways(&self) -> impl Iterator<Item = Way> {
        Way::ALL
            .into_iter()
            .filter(|way| self.supports(*way).is_ok())
    }

    /// Checks whether the language has programs for this way in.
    ///
    /// # Errors
    /// Returns the reason why not, as a sentence without its full stop.
    pub fn supports(&self, way: Way) -> Result<(), &'static str> {
        match way {
            Way::Http | Way::Basic => Ok(()),
            Way::Jwt => self.jwt.map(|_| ()),
            Way::Soap => self.soap.map(|_| ()),
        }
    }
}
