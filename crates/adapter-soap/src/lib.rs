//! The SOAP way in: document/literal calls in SOAP 1.1 and 1.2 become common requests, and outcomes become envelopes.
//!
//! Three layers, each knowing only the one below: `xml` makes a tree of bytes, `envelope` knows SOAP, `decode` knows the
//! chat API. Answers are written as text by `response` and `fault`; the WSDL follows from the operation table.

mod credentials;
mod decode;
mod dialect;
mod envelope;
mod escape;
mod fault;
mod json_text;
mod media;
mod response;
mod written;
mod wsdl;
mod xml;

use adapter::{Adapter, Answer, Code, Decoded, Dialect, Error, Reply, Way, Wire};

pub use wsdl::{WsdlPorts, wsdl};
pub use xml::{XmlError, check_document, check_document_in};

use dialect::Voice;
use media::Head;

/// The namespace of every element of ours.
const NAMESPACE: &str = "urn:chatgate:chat:v1";

/// Which HTTP status a fault has on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultStatus {
    /// What the SOAP bindings say; some clients throw a fault away that comes with any other status.
    Strict,
    /// The code's canonical status.
    Mapped,
}

/// The way in at `/api/soap/`.
#[derive(Clone, Copy, Debug)]
pub struct SoapAdapter {
    fault_status: FaultStatus,
}

impl SoapAdapter {
    /// Answers faults with these statuses.
    #[must_use]
    pub fn new(fault_status: FaultStatus) -> Self {
        SoapAdapter { fault_status }
    }
}

impl Adapter for SoapAdapter {
    fn way(&self) -> Way {
        Way::Soap
    }

    fn dialect(&self, wire: &Wire<'_>) -> Dialect {
        Dialect::from(Voice {
            version: Head::of(wire).version(),
            ..Voice::default()
        })
    }

    fn refuse_head(&self, wire: &Wire<'_>) -> Result<(), Error> {
        // Credentials may stand in the envelope, whose own faults come before theirs.
        Head::of(wire).check_media_type().map(drop)
    }

    fn decode(&self, wire: &Wire<'_>) -> (Dialect, Result<Decoded, Error>) {
        let mut voice = Voice::from(self.dialect(wire));
        let decoded = decode::decode(wire, &mut voice);
        (Dialect::from(voice), decoded)
    }

    fn encode(&self, dialect: Dialect, answer: &Answer<'_>) -> Reply {
        let voice = Voice::from(dialect);
        match answer.outcome {
            Ok(response) => response::encode(voice, answer, response),
            Err(error) => fault::encode(voice, self.fault_status, answer, error),
        }
    }
}

fn malformed(text: &'static str) -> Error {
    Error::explained(Code::MalformedRequest, text)
}

fn incorrect(text: &'static str) -> Error {
    Error::explained(Code::IncorrectParam, text)
}

#[cfg(test)]
mod tests;
