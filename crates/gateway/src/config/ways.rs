//! Reads the settings of the ways in: which are switched on, and the HTTP status of their errors.

use adapter::{StatusPolicy, Way};
use adapter_soap::FaultStatus;
use settings::Reader;

/// The settings of the ways in.
#[derive(Clone, Copy, Debug)]
pub struct WaysConfig {
    /// HTTP status of the chat API's codes on the way in `http`.
    pub http: StatusPolicy,
    /// HTTP status of the chat API's codes on the way in `basic`.
    pub basic: StatusPolicy,
    /// HTTP status of the chat API's codes on the way in `jwt`.
    pub jwt: StatusPolicy,
    /// HTTP status of SOAP faults.
    pub soap: FaultStatus,
    /// True for each way in that is switched on, in the order of [`adapter::Way::ALL`].
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
