//! An error in a configuration, and its location.

use std::fmt;

/// One error in a configuration, with its location.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConfigError {
    pub(crate) location: Location,
    pub(crate) text: String,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Location {
    File { line: usize, column: usize },
    Environment(String),
    Flag(&'static str),
    Nowhere,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.location {
            Location::File { line, column } => {
                write!(f, "line {line}, column {column}: {}", self.text)
            }
            Location::Environment(name) => write!(f, "{name}: {}", self.text),
            Location::Flag(name) => write!(f, "{name}: {}", self.text),
            Location::Nowhere => f.write_str(&self.text),
        }
    }
}

impl ConfigError {
    /// Returns the error as an object with its text, and with line and column if it is in the file, or otherwise the variable or
    /// flag.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let (line, column, source) = match &self.location {
            Location::File { line, column } => (Some(line), Some(column), None),
            Location::Environment(name) => (None, None, Some(name.as_str())),
            Location::Flag(name) => (None, None, Some(*name)),
            Location::Nowhere => (None, None, None),
        };
        serde_json::json!({ "line": line, "column": column, "source": source, "text": self.text })
    }
}

/// Maximum number of bytes that are counted to find one location, regardless of the length of the file and its lines.
const BLOCK: usize = 64;

/// Finds line and column of any byte of a file. The file is scanned only once, even if it has thousands of errors.
pub(crate) struct SourceMap<'a> {
    file: &'a [u8],
    line_starts: Vec<usize>,
    /// Number of characters before each block.
    characters: Vec<usize>,
}

impl<'a> SourceMap<'a> {
    pub(crate) fn of(file: &'a str) -> SourceMap<'a> {
        let file = file.as_bytes();
        let ends = (1..).zip(file).filter(|(_, byte)| **byte == b'\n');
        let mut before = 0;
        SourceMap {
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

    /// Returns the location of a byte, or of the end.
    pub(crate) fn at(&self, at: usize) -> Location {
        let at = at.min(self.file.len());
        let line = self.line_starts.partition_point(|start| *start <= at);
        let start = self.line_starts[line - 1];
        Location::File {
            line,
            column: self.characters_before(at) - self.characters_before(start) + 1,
        }
    }

    fn characters_before(&self, at: usize) -> usize {
        let block = at / BLOCK;
        self.characters[block] + characters(&self.file[block * BLOCK..at])
    }
}

/// Returns the number of characters that begin in this part of a text.
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
        fn source_positions_count_lines_and_characters_from_one(file in "[a-zäß€\u{10348}\n]{0,300}") {
            let map = SourceMap::of(&file);
            let (mut line, mut column) = (1, 1);
            for (at, character) in file.char_indices() {
                prop_assert_eq!(map.at(at), Location::File { line, column });
                (line, column) = if character == '\n' { (line + 1, 1) } else { (line, column + 1) };
            }
            for end in [file.len(), file.len() + 1] {
                prop_assert_eq!(map.at(end), Location::File { line, column });
            }
        }
    }
}
