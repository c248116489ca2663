//! Version of SOAP, place of the credentials and kind of envelope fault: what an answer has to know of its question.

use adapter::Dialect;

/// The two versions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Version {
    /// SOAP 1.1, a W3C note that most clients speak.
    #[default]
    V11,
    /// SOAP 1.2, a W3C recommendation.
    V12,
}

impl Version {
    /// The namespace of its envelope.
    pub(crate) const fn namespace(self) -> &'static str {
        match self {
            Version::V11 => "http://schemas.xmlsoap.org/soap/envelope/",
            Version::V12 => "http://www.w3.org/2003/05/soap-envelope",
        }
    }

    /// The version whose envelope has this namespace.
    pub(crate) fn of_namespace(namespace: &str) -> Option<Version> {
        [Version::V11, Version::V12]
            .into_iter()
            .find(|version| version.namespace() == namespace)
    }
}

/// Whether SOAP has a fault code of its own for what is wrong with the envelope.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum EnvelopeFault {
    /// It has none: the fault is the sender's or the receiver's.
    #[default]
    None,
    /// The envelope is of no version that we speak.
    VersionMismatch,
    /// A header block must be understood and is not.
    MustUnderstand,
}

/// How a caller is spoken to; travels between decode and encode as a [`Dialect`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Voice {
    /// The version of the envelope, or of the media type as long as there is no envelope.
    pub(crate) version: Version,
    /// Credentials stood in the envelope, so that an HTTP challenge would be beside the point.
    pub(crate) credentials_inside: bool,
    /// What is wrong with the envelope, if SOAP has a word for it.
    pub(crate) fault: EnvelopeFault,
}

const V12: u8 = 1;
const CREDENTIALS_INSIDE: u8 = 1 << 1;
const VERSION_MISMATCH: u8 = 1 << 2;
const MUST_UNDERSTAND: u8 = 1 << 3;

impl From<Voice> for Dialect {
    fn from(voice: Voice) -> Dialect {
        let version = match voice.version {
            Version::V11 => 0,
            Version::V12 => V12,
        };
        let inside = if voice.credentials_inside {
            CREDENTIALS_INSIDE
        } else {
            0
        };
        let fault = match voice.fault {
            EnvelopeFault::None => 0,
            EnvelopeFault::VersionMismatch => VERSION_MISMATCH,
            EnvelopeFault::MustUnderstand => MUST_UNDERSTAND,
        };
        Dialect(version | inside | fault)
    }
}

impl From<Dialect> for Voice {
    fn from(dialect: Dialect) -> Voice {
        let has = |bit| dialect.0 & bit != 0;
        Voice {
            version: if has(V12) { Version::V12 } else { Version::V11 },
            credentials_inside: has(CREDENTIALS_INSIDE),
            fault: if has(VERSION_MISMATCH) {
                EnvelopeFault::VersionMismatch
            } else if has(MUST_UNDERSTAND) {
                EnvelopeFault::MustUnderstand
            } else {
                EnvelopeFault::None
            },
        }
    }
}
