//! Reads settings one by one from flag, environment and file, and collects all errors with their locations. The crate itself knows
//! no keys.

mod changes;
mod error;
mod example;
pub mod parse;
mod read_within;
mod reader;
mod schema;
mod secret_source;
mod source;
mod toml_value;
mod trusted_file;
mod typed;

pub use changes::changed;
pub use error::ConfigError;
pub use read_within::hanging_files;
pub use reader::Reader;
pub use schema::ValueKind;
pub use secret_source::{SecretSource, secret_hash};
pub use source::{ConfigSource, Flag, Sources};
pub use trusted_file::{
    effective_user, is_exposed, read_to_compare, read_trusted, read_trusted_bytes, shell_quoted,
};
