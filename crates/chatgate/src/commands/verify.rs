//! `chatgate jws-verify` and `xml-check`: the gateway's own verifier and parser, on one token or document.

use std::path::Path;

use super::failure::Failure;
use crate::args::JwsArgs;

pub(crate) fn jws(args: &JwsArgs) -> Result<(), Failure> {
    let jwk = String::from_utf8(read(&args.jwk)?);
    let jwk = jwk.map_err(|_| Failure::Failed("the JWK is not UTF-8".to_owned()))?;
    adapter_jwt::verify_jws(&jwk, &args.alg, &args.token)
        .map_err(|reason| Failure::Failed(reason.to_owned()))
}

pub(crate) fn xml(file: &Path) -> Result<(), Failure> {
    adapter_soap::check_document(&read(file)?)
        .map_err(|error| Failure::Failed(format!("{}: {error}", file.display())))
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))
}
