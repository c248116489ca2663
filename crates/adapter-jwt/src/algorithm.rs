//! The signature algorithms that a token may have. The list is closed, and HMAC and `none` are not in it.

use std::fmt;
use std::str::FromStr;

/// The reason why a key cannot be created, read or used. It contains nothing of the key itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyError(pub(crate) &'static str);

impl KeyError {
    /// Returns the sentence for the operator.
    #[must_use]
    pub fn text(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for KeyError {}

/// A signature algorithm with a public key. The gateway's own tokens use the first two; the others are for outside issuers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// Ed25519 (RFC 8037). RFC 9864 names it after its curve.
    EdDsa,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
    /// ECDSA on P-256.
    Es256,
    /// ECDSA on P-384.
    Es384,
}

impl Algorithm {
    /// All algorithms.
    pub const ALL: [Algorithm; 9] = [
        Algorithm::EdDsa,
        Algorithm::Rs256,
        Algorithm::Rs384,
        Algorithm::Rs512,
        Algorithm::Ps256,
        Algorithm::Ps384,
        Algorithm::Ps512,
        Algorithm::Es256,
        Algorithm::Es384,
    ];

    /// Returns the name in headers and keys (RFC 7518 §3.1).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Algorithm::EdDsa => "EdDSA",
            Algorithm::Rs256 => "RS256",
            Algorithm::Rs384 => "RS384",
            Algorithm::Rs512 => "RS512",
            Algorithm::Ps256 => "PS256",
            Algorithm::Ps384 => "PS384",
            Algorithm::Ps512 => "PS512",
            Algorithm::Es256 => "ES256",
            Algorithm::Es384 => "ES384",
        }
    }

    /// Returns whether a key of this type and curve is a key for the algorithm.
    pub(crate) fn fits(self, kty: &str, crv: Option<&str>) -> bool {
        match self {
            Algorithm::EdDsa => kty == "OKP" && crv == Some("Ed25519"),
            Algorithm::Es256 => kty == "EC" && crv == Some("P-256"),
            Algorithm::Es384 => kty == "EC" && crv == Some("P-384"),
            Algorithm::Rs256
            | Algorithm::Rs384
            | Algorithm::Rs512
            | Algorithm::Ps256
            | Algorithm::Ps384
            | Algorithm::Ps512 => kty == "RSA",
        }
    }

    pub(crate) fn backend(self) -> jsonwebtoken::Algorithm {
        match self {
            Algorithm::EdDsa => jsonwebtoken::Algorithm::EdDSA,
            Algorithm::Rs256 => jsonwebtoken::Algorithm::RS256,
            Algorithm::Rs384 => jsonwebtoken::Algorithm::RS384,
            Algorithm::Rs512 => jsonwebtoken::Algorithm::RS512,
            Algorithm::Ps256 => jsonwebtoken::Algorithm::PS256,
            Algorithm::Ps384 => jsonwebtoken::Algorithm::PS384,
            Algorithm::Ps512 => jsonwebtoken::Algorithm::PS512,
            Algorithm::Es256 => jsonwebtoken::Algorithm::ES256,
            Algorithm::Es384 => jsonwebtoken::Algorithm::ES384,
        }
    }
}

impl FromStr for Algorithm {
    type Err = KeyError;

    /// Parses a name of RFC 7518, RFC 8037 or RFC 9864. `Ed25519` means `EdDSA` on the only supported curve.
    fn from_str(name: &str) -> Result<Algorithm, KeyError> {
        Algorithm::ALL
            .into_iter()
            .find(|algorithm| algorithm.name() == name)
            .or((name == "Ed25519").then_some(Algorithm::EdDsa))
            .ok_or(KeyError(
                "The algorithm is not one of EdDSA, Ed25519, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384.",
            ))
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
