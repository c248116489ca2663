//! The dialect of a way in: the properties of a request's form that its answer depends on.

/// The form in which a caller communicates. Only the adapter that created it reads it; all other code passes it on.
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
    /// The version of the envelope, or of the media type if no envelope has been read.
    pub version: SoapVersion,
    /// True if the envelope contained credentials. An HTTP challenge is useless in that case.
    pub credentials_inside: bool,
    /// The error of the envelope for which SOAP has a fault code, if any.
    pub fault: EnvelopeFault,
}

/// The two versions of SOAP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SoapVersion {
    /// SOAP 1.1, a W3C note that most clients use.
    #[default]
    V11,
    /// SOAP 1.2, a W3C recommendation.
    V12,
}

/// The SOAP fault code for an error of the envelope, if SOAP has one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EnvelopeFault {
    /// SOAP has no code for the error, so the fault is the sender's or the receiver's.
    #[default]
    None,
    /// The version of the envelope is not supported.
    VersionMismatch,
    /// A mandatory header block (`mustUnderstand`) is not understood.
    MustUnderstand,
}
