//! How the tables of a shared store and this program may differ.

/// Why the tables of a shared store do not fit this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableMisfit {
    /// They may be written by newer programs only.
    NeedsNewer {
        /// What a program has to know.
        contract: i32,
        /// What this one knows.
        known: i32,
    },
    /// They lack what this program needs.
    IsOlder {
        /// Their last migration.
        schema: i32,
        /// The one that this program needs.
        known: i32,
    },
}

impl TableMisfit {
    /// It in a word: `contract` or `schema`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            TableMisfit::NeedsNewer { .. } => "contract",
            TableMisfit::IsOlder { .. } => "schema",
        }
    }
}

impl std::fmt::Display for TableMisfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            TableMisfit::NeedsNewer { contract, known } => write!(
                f,
                "the database's contract is {contract}, and this program knows {known}: install a newer version, that of the other replicas"
            ),
            TableMisfit::IsOlder { schema, known } => write!(
                f,
                "the database's last migration is {schema}, and this program needs {known}: run `chatgate migrate` of this version"
            ),
        }
    }
}
