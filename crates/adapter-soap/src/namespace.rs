//! The namespaces of our elements and of the two SOAP versions.

use adapter::SoapVersion;

/// The namespace of all our elements.
pub(crate) const NAMESPACE: &str = "urn:chatgate:chat:v1";

/// Returns the namespace of a version's envelope.
pub(crate) const fn of_envelope(version: SoapVersion) -> &'static str {
    match version {
        SoapVersion::V11 => "http://schemas.xmlsoap.org/soap/envelope/",
        SoapVersion::V12 => "http://www.w3.org/2003/05/soap-envelope",
    }
}

/// Returns the version whose envelope has this namespace.
pub(crate) fn version(namespace: &str) -> Option<SoapVersion> {
    [SoapVersion::V11, SoapVersion::V12]
        .into_iter()
        .find(|version| of_envelope(*version) == namespace)
}
