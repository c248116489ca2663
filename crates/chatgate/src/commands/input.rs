//! Reads secrets from standard input.

use std::io::Read;

/// Reads standard input as one secret, without the trailing line end.
pub(crate) fn read_secret() -> Result<String, String> {
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .map_err(|error| format!("standard input: {error}"))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
