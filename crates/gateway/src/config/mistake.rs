//! What is wrong with a configuration, and where.

use std::fmt;

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    pub(super) place: Place,
    pub(super) text: String,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    File { line: usize, column: usize },
    Environment(String),
    Flag(String),
    Nowhere,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::File { line, column } => {
                write!(f, "line {line}, column {column}: {}", self.text)
            }
            Place::Environment(name) => write!(f, "{name}: {}", self.text),
            Place::Flag(name) => write!(f, "{name}: {}", self.text),
            Place::Nowhere => f.write_str(&self.text),
        }
    }
}

impl Mistake {
    /// As an object: the text; line and column where it stands in the file; the variable or flag where it stands there.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let (line, column, source) = match &self.place {
            Place::File { line, column } => (Some(line), Some(column), None),
            Place::Environment(name) | Place::Flag(name) => (None, None, Some(name)),
            Place::Nowhere => (None, None, None),
        };
        serde_json::json!({ "line": line, "column": column, "source": source, "text": self.text })
    }
}

/// The place of a byte of the file.
pub(super) fn place(file: &str, at: usize) -> Place {
    let before = &file[..at.min(file.len())];
    let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
    let column = before
        .rsplit('\n')
        .next()
        .map_or(0, |line| line.chars().count())
        + 1;
    Place::File { line, column }
}
