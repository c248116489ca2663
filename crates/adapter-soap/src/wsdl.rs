//! The WSDL 1.1 document, written from the operation table: document/literal wrapped, one schema, nothing imported.

use adapter::{OPERATIONS, Operation, Way};

use crate::NAMESPACE;
use crate::dialect::Version;
use crate::escape::push_escaped;

/// What every request may carry beside its operation's parameters.
const COMMON: [&str; 3] = ["user", "password", "idempotency_key"];

/// The WSDL of the service at this public URL.
#[must_use]
pub fn wsdl(public_url: &str) -> String {
    let mut address = String::new();
    push_escaped(&mut address, public_url.trim_end_matches('/'));
    address.push_str(Way::Soap.path());
    let each = |part: fn(&Operation) -> String| OPERATIONS.iter().map(part).collect::<String>();
    let elements = each(elements);
    let messages = each(messages);
    let operations = each(port_type_operation);
    let (binding11, binding12) = (binding(Version::V11), binding(Version::V12));
    format!(
        r#"<?xml version="1.0" encoding="utf-8"?>
<wsdl:definitions name="ChatService" targetNamespace="{NAMESPACE}" xmlns:tns="{NAMESPACE}" xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:wsdl="http://schemas.xmlsoap.org/wsdl/" xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/" xmlns:soap12="http://schemas.xmlsoap.org/wsdl/soap12/">
<wsdl:types><xsd:schema targetNamespace="{NAMESPACE}" elementFormDefault="qualified">
{elements}<xsd:element name="error"><xsd:complexType><xsd:sequence>
<xsd:element name="code" type="xsd:string"/>
<xsd:element name="request_id" type="xsd:string"/>
<xsd:element name="delivery" type="xsd:string" minOccurs="0"/>
<xsd:element name="retry_after" type="xsd:string" minOccurs="0"/>
</xsd:sequence></xsd:complexType></xsd:element>
</xsd:schema></wsdl:types>
{messages}<wsdl:message name="error"><wsdl:part name="error" element="tns:error"/></wsdl:message>
<wsdl:portType name="Chat">
{operations}</wsdl:portType>
{binding11}{binding12}<wsdl:service name="ChatService">
<wsdl:port name="ChatSoap11" binding="tns:ChatSoap11"><soap:address location="{address}"/></wsdl:port>
<wsdl:port name="ChatSoap12" binding="tns:ChatSoap12"><soap12:address location="{address}"/></wsdl:port>
</wsdl:service>
</wsdl:definitions>
"#
    )
}

/// The schema of one operation: request, response, and the list in it.
///
/// The decoder takes parameters in any order. The schema names one all the same, because generated clients do worse with
/// `xsd:all`: SOAP::Lite finds no parameters in it, and then sends them without names and non-ASCII text as base64.
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
            format!(r#"<xsd:element name="list" type="tns:{method}List"/>"#),
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
        r#"<wsdl:operation name="{method}"><wsdl:input message="tns:{method}"/><wsdl:output message="tns:{method}Response"/><wsdl:fault name="error" message="tns:error"/></wsdl:operation>
"#
    )
}

fn binding(version: Version) -> String {
    let (name, soap) = match version {
        Version::V11 => ("ChatSoap11", "soap"),
        Version::V12 => ("ChatSoap12", "soap12"),
    };
    let operations: String = OPERATIONS
        .iter()
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
{operations}</wsdl:binding>
"#
    )
}
