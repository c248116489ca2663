//! The fields of a form or a query: pairs of name and value.

use axum::body::Body;
use http::StatusCode;
use http_body_util::{BodyExt, Limited};
use url::form_urlencoded;

use crate::problem::Problem;

/// Maximum size of a form, in bytes: a thousand networks in either list.
const FORM_BYTES_MAX: usize = 256 * 1024;

/// Names and values, in the order in which they were sent.
#[derive(Debug, Default)]
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    /// Parses text such as `a=1&b=2`.
    pub(crate) fn read(text: &[u8]) -> Fields {
        Fields(form_urlencoded::parse(text).into_owned().collect())
    }

    /// Reads the body of a form.
    pub(crate) async fn of_body(body: Body) -> Result<Fields, Problem> {
        let collected = Limited::new(body, FORM_BYTES_MAX).collect().await;
        let collected = collected.map_err(|_| {
            let text = format!("The form is incomplete or larger than {FORM_BYTES_MAX} bytes.");
            Problem::new(StatusCode::BAD_REQUEST, "malformed", text)
        })?;
        Ok(Fields::read(&collected.to_bytes()))
    }

    /// Returns the first value with this name, without surrounding blanks. Returns an empty text if the name is absent.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.raw(name).trim()
    }

    /// Returns the first value with this name exactly as it was sent. Returns an empty text if the name is absent.
    pub(crate) fn raw(&self, name: &str) -> &str {
        let named = self.0.iter().find(|(known, _)| known == name);
        named.map_or("", |(_, value)| value)
    }

    /// Returns every value with this name.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let named = self.0.iter().filter(move |(n, _)| n == name);
        named.map(|(_, value)| value.as_str())
    }

    /// Returns whether a box is ticked.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.all(name).next().is_some()
    }

    /// Returns the words of a field, which are separated by blanks, commas and line ends.
    pub(crate) fn words(&self, name: &str) -> Vec<String> {
        let words = self
            .get(name)
            .split(|c: char| c.is_whitespace() || c == ',');
        words
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect()
    }

    /// Writes the fields with these names as a query, leaving out empty values.
    pub(crate) fn query(&self, names: &[&str]) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in &self.0 {
            if names.contains(&name.as_str()) && !value.trim().is_empty() {
                query.append_pair(name, value.trim());
            }
        }
        query.finish()
    }
}

/// Writes pairs of name and value as a query.
pub(crate) fn query(pairs: &[(&str, &str)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(pairs);
    query.finish()
}
