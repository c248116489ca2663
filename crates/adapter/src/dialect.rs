//! The dialect of a way in: what an answer has to know of the question's form.

/// The form in which a caller speaks. The adapter that made it reads it; everybody else carries it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// The one-line JSON envelope.
    #[default]
    Json,
    /// A SOAP envelope.
    Soap(SoapDialect),
}

/// The version of SOAP, the place of the credentials, and the kind of envelope fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SoapDialect {
    /// The version of the envelope, or of the media type as long as there is no envelope.
    pub version: SoapVersion,
    /// Whether credentials stood in the envelope, which makes an HTTP challenge pointless.
    pub credentials_inside: bool,
    /// What is wrong with the envelope, if SOAP has a fault code for it.
    pub fault: EnvelopeFault,
}

/// The two versions of SOAP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SoapVersion {
    /// SOAP 1.1, a W3C note that most clients speak.
    #[default]
    V11,
    /// SOAP 1.2, a W3C recommendation.
    V12,
}

/// Whether SOAP has a fault code of its own for what is wrong with the envelope.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EnvelopeFault {
    /// It has none: the fault is the sender's or the receiver's.
    #[default]
    None,
    /// The envelope's version is not supported.
    VersionMismatch,
    /// A header block must be understood and is not.
    MustUnderstand,
}
