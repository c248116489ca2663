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

/// So many bytes are looked at to tell a place, however long the file and its lines are.
const BLOCK: usize = 64;

/// Tells line and column of any byte of a file: one that is broken in thousands of places is read no more often for it.
pub(super) struct Places<'a> {
    file: &'a [u8],
    line_starts: Vec<usize>,
    /// Characters before each block.
    characters: Vec<usize>,
}

impl<'a> Places<'a> {
    pub(super) fn of(file: &'a str) -> Places<'a> {
        let file = file.as_bytes();
        let ends = (1..).zip(file).filter(|(_, byte)| **byte == b'\n');
        let mut before = 0;
        Places {
            file,
            line_starts: std::iter::once(0).chain(ends.map(|(end, _)| end)).collect(),
            characters: (0..=file.len() / BLOCK)
                .map(|block| {
                    let rest = &file[block * BLOCK..];
                    let until = before;
                    before += characters(&rest[..rest.len().min(BLOCK)]);
                    until
                })
                .collect(),
        }
    }

    /// The place of a byte, or of the end.
    pub(super) fn at(&self, at: usize) -> Place {
        let at = at.min(self.file.len());
        let line = self.line_starts.partition_point(|start| *start <= at);
        let start = self.line_starts[line - 1];
        Place::File {
            line,
            column: self.characters_before(at) - self.characters_before(start) + 1,
        }
    }

    fn characters_before(&self, at: usize) -> usize {
        let block = at / BLOCK;
        self.characters[block] + characters(&self.file[block * BLOCK..at])
    }
}

/// How many characters begin in this part of a text.
fn characters(utf8: &[u8]) -> usize {
    let continues = |byte: &&u8| **byte & 0b1100_0000 == 0b1000_0000;
    utf8.len() - utf8.iter().filter(continues).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn lines_and_columns_are_those_that_one_counts(file in "[a-zäß€\u{10348}\n]{0,300}") {
            let places = Places::of(&file);
            let (mut line, mut column) = (1, 1);
            for (at, character) in file.char_indices() {
                prop_assert_eq!(places.at(at), Place::File { line, column });
                (line, column) = if character == '\n' { (line + 1, 1) } else { (line, column + 1) };
            }
            for end in [file.len(), file.len() + 1] {
                prop_assert_eq!(places.at(end), Place::File { line, column });
            }
        }
    }
}
