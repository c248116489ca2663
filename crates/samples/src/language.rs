//! What is known of a language, and the list of all.

use adapter::Way;

use crate::languages::{
    android, csharp, delphi, go, java, nodejs, objectivec, oracle, php, python, ruby, scala,
    sqlserver, swift, unix, wget,
};
use crate::page::Page;

/// One language: HTTP and Basic everywhere, tokens and SOAP where it has a usual way.
#[derive(Debug)]
pub struct Language {
    /// The word on the command line.
    pub name: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// By what its programs get tokens and use them, or why there are none.
    pub jwt: Result<&'static str, &'static str>,
    /// By what its programs speak SOAP, or why there are none.
    pub soap: Result<&'static str, &'static str>,
    /// The file that a program belongs into.
    pub(crate) file: &'static str,
    /// The command that runs it.
    pub(crate) run: &'static str,
    /// A value as an expression of the language.
    pub(crate) quote: fn(&str) -> String,
    /// Fills the template.
    pub(crate) render: fn(&Page) -> askama::Result<String>,
}

/// All languages, in the order in which they are shown.
pub static LANGUAGES: [&Language; 16] = [
    &php::LANGUAGE,
    &java::LANGUAGE,
    &csharp::LANGUAGE,
    &unix::LANGUAGE,
    &wget::LANGUAGE,
    &ruby::LANGUAGE,
    &python::LANGUAGE,
    &android::LANGUAGE,
    &objectivec::LANGUAGE,
    &sqlserver::LANGUAGE,
    &oracle::LANGUAGE,
    &nodejs::LANGUAGE,
    &go::LANGUAGE,
    &scala::LANGUAGE,
    &swift::LANGUAGE,
    &delphi::LANGUAGE,
];

impl Language {
    /// The language with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Language> {
        LANGUAGES.into_iter().find(|language| language.name == name)
    }

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
