//! The SOAP way in: document/literal calls in SOAP 1.1 and 1.2 become common requests, and outcomes become envelopes.
//!
//! There are three layers, and each knows only the layer below it: `xml` builds a tree from bytes, `envelope` knows SOAP, and
//! `decode` knows the chat API. `response` and `fault` write answers as text. The WSDL is derived from the operation table.

mod credentials;
mod decode;
mod envelope;
mod escape;
mod fault;
mod json_text;
mod list_writer;
mod media;
mod namespace;
mod response;
mod wsdl;
mod xml;

use adapter::{
    Adapter, Answer, Decoded, Dialect, Error, Operation, Reply, Response, SoapDialect, Way, Wire,
};

pub use fault::FaultStatus;
pub use wsdl::{WsdlPorts, wsdl};
pub use xml::{XmlError, check_document, check_document_in};

use media::Head;

/// The way in at `/api/soap/`.
#[derive(Clone, Copy, Debug)]
pub struct SoapAdapter {
    fault_status: FaultStatus,
}

impl SoapAdapter {
    /// Creates the adapter with this policy for the statuses of faults.
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
        Dialect::Soap(dialect(&Head::of(wire)))
    }

    fn refuse_head(&self, wire: &Wire<'_>) -> Result<(), Error> {
        // Credentials are not checked here, because they may be in the envelope, and the envelope's own faults come before theirs.
        Head::of(wire).check_media_type(wire).map(drop)
    }

    fn decode(&self, wire: &Wire<'_>) -> (Dialect, Result<Decoded, Error>) {
        let head = Head::of(wire);
        let mut dialect = dialect(&head);
        let decoded = decode::decode(wire, &head, &mut dialect);
        (Dialect::Soap(dialect), decoded)
    }

    fn check_result(&self, operation: &Operation, response: &Response) -> Result<(), Error> {
        response::check(operation, response)
    }

    fn encode(&self, dialect: Dialect, answer: &Answer<'_>) -> Reply {
        let dialect = match dialect {
            Dialect::Soap(dialect) => dialect,
            Dialect::Json => SoapDialect::default(),
        };
        match answer.outcome {
            Ok(response) => response::encode(dialect, answer, response),
            Err(error) => fault::encode(dialect, self.fault_status, answer, error),
        }
    }
}

/// Returns the dialect according to the head alone.
fn dialect(head: &Head) -> SoapDialect {
    SoapDialect {
        version: head.version(),
        ..SoapDialect::default()
    }
}

#[cfg(test)]
mod tests;
