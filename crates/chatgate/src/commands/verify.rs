//! `chatgate jws-verify` and `xml-check`: run the gateway's own verifier and parser on one token or document.

use std::path::Path;

use super::error::CommandError;
use crate::args::JwsArgs;

pub(crate) fn jws(args: &JwsArgs) -> Result<(), CommandError> {
    let jwk = String::from_utf8(read(&args.jwk)?);
    let jwk = jwk.map_err(|_| CommandError::Failed("the JWK is not UTF-8".to_owned()))?;
    adapter_jwt::verify_jws(&jwk, &args.alg, &args.token)
        .map_err(|reason| CommandError::Failed(reason.to_owned()))
}

pub(crate) fn xml(file: &Path) -> Result<(), CommandError> {
    adapter_soap::check_document(&read(file)?)
        .map_err(|error| CommandError::Failed(format!("{}: {error}", file.display())))
}

fn read(path: &Path) -> Result<Vec<u8>, CommandError> {
    std::fs::read(path).map_err(|error| CommandError::Usage(format!("{}: {error}", path.display())))
}
