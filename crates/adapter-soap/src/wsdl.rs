//! Writes the WSDL 1.1 document from the operation table: document/literal wrapped, one schema, no imports.

use adapter::{Error, Operation, SoapVersion, Way, operations};

use crate::escape::push_escaped;
use crate::namespace::NAMESPACE;

/// The parameters that every request may have in addition to those of its operation.
const COMMON: [&str; 3] = ["user", "password", "idempotency_key"];

/// The ports in a WSDL. Older stacks fail at the elements of a SOAP version that they do not know, so there is one document for
/// each version in addition to the full one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WsdlPorts {
    /// `?wsdl`: both ports.
    Both,
    /// `?wsdl=1.1`: the port of SOAP 1.1.
    Soap11,
    /// `?wsdl=1.2`: the port of SOAP 1.2.
    Soap12,
}

impl WsdlPorts {
    /// All variants, in the order of their numbers.
    pub const ALL: [WsdlPorts; 3] = [WsdlPorts::Both, WsdlPorts::Soap11, WsdlPorts::Soap12];

    /// Returns the ports that a query requests; `None` if it does not request a WSDL.
    #[must_use]
    pub fn asked_for(query: &str) -> Option<Result<WsdlPorts, Error>> {
        let mut asked = None;
        for part in query.split('&') {
            let (name, version) = part.split_once('=').unwrap_or((part, ""));
            if !name.eq_ignore_ascii_case("wsdl") {
                continue;
            }
            let ports = match version {
                "" => WsdlPorts::Both,
                "1.1" => WsdlPorts::Soap11,
                "1.2" => WsdlPorts::Soap12,
                _ => return Some(Err(Error::incorrect(UNKNOWN_VERSION))),
            };
            match asked {
                None | Some(WsdlPorts::Both) => asked = Some(ports),
                Some(other) if other == ports || ports == WsdlPorts::Both => {}
                Some(_) => return Some(Err(Error::incorrect(UNKNOWN_VERSION))),
            }
        }
        asked.map(Ok)
    }

    fn versions(self) -> &'static [SoapVersion] {
        match self {
            WsdlPorts::Both => &[SoapVersion::V11, SoapVersion::V12],
            WsdlPorts::Soap11 => &[SoapVersion::V11],
            WsdlPorts::Soap12 => &[SoapVersion::V12],
        }
    }
}

const UNKNOWN_VERSION: &str =
    "Use ?wsdl for both SOAP versions, or ?wsdl=1.1 or ?wsdl=1.2 for one.";

/// Returns the WSDL of the service at this public URL, with or without the operation that requests events.
#[must_use]
pub fn wsdl(public_url: &str, ports: WsdlPorts, has_events: bool) -> String {
    let mut address = String::new();
    push_escaped(&mut address, public_url.trim_end_matches('/'));
    address.push_str(Way::Soap.path());
    let each =
        |part: fn(&Operation) -> String| operations(has_events).map(part).collect::<String>();
    let elements = each(elements);
    let messages = each(messages);
    let of_port_type = each(port_type_operation);
    let versions = ports.versions().iter().copied();
    let namespaces: String = versions.clone().map(namespace).collect();
    let binding = |version| binding(version, has_events);
    let bindings: String = versions.clone().map(binding).collect();
    let ports: String = versions.map(|version| port(version, &address)).collect();
    format!(
        r#"<?xml version="1.0" encoding="utf-8"?>
<wsdl:definitions name="ChatService" targetNamespace="{NAMESPACE}" xmlns:tns="{NAMESPACE}" xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:wsdl="http://schemas.xmlsoap.org/wsdl/"{namespaces}>
<wsdl:types><xsd:schema targetNamespace="{NAMESPACE}" elementFormDefault="qualified">
{elements}<xsd:element name="error"><xsd:complexType><xsd:sequence>
<xsd:element name="code" type="xsd:string"/>
<xsd:element name="request_id" type="xsd:string"/>
<xsd:element name="delivery" type="xsd:string" minOccurs="0"/>
<xsd:element name="retry_after" type="xsd:string" minOccurs="0"/>
</xsd:sequence></xsd:complexType></xsd:element>
</xsd:schema></wsdl:types>
{messages}<wsdl:message name="{FAULT_MESSAGE}"><wsdl:part name="error" element="tns:error"/></wsdl:message>
<wsdl:portType name="Chat">
{of_port_type}</wsdl:portType>
{bindings}<wsdl:service name="ChatService">
{ports}</wsdl:service>
</wsdl:definitions>
"#
    )
}

/// The name of every fault's message. It differs from the name of the message's element, because otherwise Axis 1.4 generates code
/// that does not compile.
const FAULT_MESSAGE: &str = "ChatError";

/// Returns the schema of one operation: request, response, and the list in the response.
///
/// The decoder accepts parameters in any order. The schema nevertheless fixes an order, because generated clients handle `xsd:all`
/// worse: SOAP::Lite finds no parameters in it, and then sends them without names and non-ASCII text as base64.
fn elements(operation: &Operation) -> String {
    let method = operation.method;
    let mut out = format!("<xsd:element name=\"{method}\"><xsd:complexType><xsd:sequence>\n");
    let parameters = operation.parameters.iter().map(|p| (p.name, p.compulsory));
    let common = COMMON.into_iter().map(|name| (name, false));
    for (name, compulsory) in parameters.chain(common) {
        let occurs = if compulsory { "" } else { r#" minOccurs="0""# };
        out.push_str(&format!(
            "<xsd:element name=\"{name}\" type=\"xsd:string\"{occurs}/>\n"
        ));
    }
    out.push_str("</xsd:sequence></xsd:complexType></xsd:element>\n");
    let (rest, types) = if operation.result_fields.is_empty() {
        (
            r#"<xsd:element name="delivery" type="xsd:string"/>"#.to_owned(),
            String::new(),
        )
    } else {
        (
            format!(
                r#"<xsd:element name="list" type="tns:{method}List"/>{}"#,
                values_beside_list(operation)
            ),
            list_types(operation),
        )
    };
    out.push_str(&format!(
        r#"<xsd:element name="{method}Response"><xsd:complexType><xsd:sequence>
<xsd:element name="request_id" type="xsd:string"/>
{rest}
</xsd:sequence></xsd:complexType></xsd:element>
{types}"#
    ));
    out
}

fn values_beside_list(operation: &Operation) -> String {
    let values = operation.result_values.iter();
    values
        .map(|name| format!("\n<xsd:element name=\"{name}\" type=\"xsd:string\"/>"))
        .collect()
}

fn list_types(operation: &Operation) -> String {
    let method = operation.method;
    let fields: String = operation
        .result_fields
        .iter()
        .map(|field| format!("<xsd:element name=\"{field}\" type=\"xsd:string\"/>\n"))
        .collect();
    format!(
        r#"<xsd:complexType name="{method}List"><xsd:sequence>
<xsd:element name="item" type="tns:{method}Item" minOccurs="0" maxOccurs="unbounded"/>
</xsd:sequence></xsd:complexType>
<xsd:complexType name="{method}Item"><xsd:sequence>
{fields}</xsd:sequence></xsd:complexType>
"#
    )
}

fn messages(operation: &Operation) -> String {
    let method = operation.method;
    format!(
        r#"<wsdl:message name="{method}"><wsdl:part name="parameters" element="tns:{method}"/></wsdl:message>
<wsdl:message name="{method}Response"><wsdl:part name="parameters" element="tns:{method}Response"/></wsdl:message>
"#
    )
}

fn port_type_operation(operation: &Operation) -> String {
    let method = operation.method;
    format!(
        r#"<wsdl:operation name="{method}"><wsdl:input message="tns:{method}"/><wsdl:output message="tns:{method}Response"/><wsdl:fault name="error" message="tns:{FAULT_MESSAGE}"/></wsdl:operation>
"#
    )
}

/// Returns the name of port and binding, and the prefix of the elements that describe them.
fn names(version: SoapVersion) -> (&'static str, &'static str) {
    match version {
        SoapVersion::V11 => ("ChatSoap11", "soap"),
        SoapVersion::V12 => ("ChatSoap12", "soap12"),
    }
}

fn namespace(version: SoapVersion) -> String {
    let (_, soap) = names(version);
    format!(r#" xmlns:{soap}="http://schemas.xmlsoap.org/wsdl/{soap}/""#)
}

fn port(version: SoapVersion, address: &str) -> String {
    let (name, soap) = names(version);
    format!(
        r#"<wsdl:port name="{name}" binding="tns:{name}"><{soap}:address location="{address}"/></wsdl:port>
"#
    )
}

fn binding(version: SoapVersion, has_events: bool) -> String {
    let (name, soap) = names(version);
    let bound: String = operations(has_events)
        .map(|operation| {
            let method = operation.method;
            format!(
                r#"<wsdl:operation name="{method}"><{soap}:operation soapAction="{NAMESPACE}#{method}" style="document"/><wsdl:input><{soap}:body use="literal"/></wsdl:input><wsdl:output><{soap}:body use="literal"/></wsdl:output><wsdl:fault name="error"><{soap}:fault name="error" use="literal"/></wsdl:fault></wsdl:operation>
"#
            )
        })
        .collect();
    format!(
        r#"<wsdl:binding name="{name}" type="tns:Chat"><{soap}:binding style="document" transport="http://schemas.xmlsoap.org/soap/http"/>
{bound}</wsdl:binding>
"#
    )
}
