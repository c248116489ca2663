//! The ways in: which are switched on, and the wire status of their errors.

use adapter::{StatusPolicy, Way};
use adapter_soap::FaultStatus;
use settings::Reader;

/// The ways in.
#[derive(Clone, Copy, Debug)]
pub struct WaysConfig {
    /// Wire status of the chat API's codes on the way `http`.
    pub http: StatusPolicy,
    /// The same on the way `basic`.
    pub basic: StatusPolicy,
    /// The same on the way `jwt`.
    pub jwt: StatusPolicy,
    /// Wire status of SOAP faults.
    pub soap: FaultStatus,
    /// Which of [`adapter::Way::ALL`] are switched on.
    pub enabled: [bool; 4],
}

pub(super) fn ways(reader: &mut Reader<'_>) -> WaysConfig {
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
    WaysConfig {
        http,
        basic,
        jwt,
        soap,
        enabled,
    }
}
