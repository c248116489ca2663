//! The ways in: which are switched on, and the wire status of their errors.

use adapter::{StatusPolicy, Way};
use adapter_soap::FaultStatus;
use settings::Reader;

/// The ways in.
#[derive(Clone, Copy, Debug)]
pub struct Ways {
    /// Wire status of the chat API's codes by HTTP parameters.
    pub http: StatusPolicy,
    /// Likewise by Basic.
    pub basic: StatusPolicy,
    /// Likewise by JWT.
    pub jwt: StatusPolicy,
    /// Wire status of SOAP faults.
    pub soap: FaultStatus,
    /// Which of [`adapter::Way::ALL`] are switched on.
    pub enabled: [bool; 4],
}

pub(super) fn ways(reader: &mut Reader<'_>) -> Ways {
    let policies = [
        ("compat", StatusPolicy::Compat),
        ("mapped", StatusPolicy::Mapped),
    ];
    let mut status =
        |way, default| reader.choice(&format!("ways.{way}.status"), default, &policies);
    let (http, basic, jwt) = (
        status("http", "compat"),
        status("basic", "compat"),
        status("jwt", "mapped"),
    );
    let faults = [
        ("strict", FaultStatus::Strict),
        ("mapped", FaultStatus::Mapped),
    ];
    let soap = reader.choice("ways.soap.fault_status", "strict", &faults);
    let enabled =
        Way::ALL.map(|way| reader.boolean(&format!("ways.{}.enabled", way.name()), "true"));
    Ways {
        http,
        basic,
        jwt,
        soap,
        enabled,
    }
}
