//! A language of the samples.

use adapter::Way;

use crate::call::SampleCall;

/// One language: HTTP and Basic everywhere, tokens and SOAP where it has a usual way.
#[derive(Debug)]
pub struct Language {
    /// The word on the command line.
    pub name: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// The library by which its programs get and use tokens, or why there are none.
    pub jwt: Result<&'static str, &'static str>,
    /// The library by which its programs speak SOAP, or why there are none.
    pub soap: Result<&'static str, &'static str>,
    /// The file name of a program.
    pub(crate) file: &'static str,
    /// The command that runs it.
    pub(crate) run: &'static str,
    /// A value as an expression of the language.
    pub(crate) quote: fn(&str) -> String,
    /// Fills the template.
    pub(crate) render: fn(&SampleCall) -> askama::Result<String>,
}

impl Language {
    /// The ways in that it has programs for.
    pub fn ways(&self) -> impl Iterator<Item = Way> {
        Way::ALL.into_iter().filter(|way| self.takes(*way).is_ok())
    }

    /// Whether it has programs for this way in, and why not.
    ///
    /// # Errors
    /// The reason, as a sentence without its full stop.
    pub fn takes(&self, way: Way) -> Result<(), &'static str> {
        match way {
            Way::Http | Way::Basic => Ok(()),
            Way::Jwt => self.jwt.map(|_| ()),
            Way::Soap => self.soap.map(|_| ()),
        }
    }
}
