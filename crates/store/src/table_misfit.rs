//! The differences between the tables of a shared store and this program.

/// The reason why the tables of a shared store do not fit this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableMisfit {
    /// Only newer programs may write the tables.
    NeedsNewer {
        /// The contract that a program must know.
        contract: i32,
        /// The contract that this program knows.
        known: i32,
    },
    /// The tables lack something that this program needs.
    IsOlder {
        /// The last migration of the tables.
        schema: i32,
        /// The migration that this program needs.
        known: i32,
    },
}

impl TableMisfit {
    /// Returns the misfit in a word: `contract` or `schema`.
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
                "the database's contract is {contract}, but this program supports only {known}: install the newer version of \
                 the other replicas"
            ),
            TableMisfit::IsOlder { schema, known } => write!(
                f,
                "the database's last migration is {schema}, but this program requires {known}: run `chatgate migrate` of this \
                 version"
            ),
        }
    }
}
