//! Writes errors as SOAP faults.

use adapter::{Answer, Code, EnvelopeFault, Error, Reply, SoapDialect, SoapVersion};

use crate::escape::{content_type, envelope, prefix, push_element, push_escaped};
use crate::namespace::{self, NAMESPACE};
use crate::xml::{XmlName, is_ncname};

/// The policy for the HTTP status of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultStatus {
    /// The status of the SOAP bindings. Some clients discard a fault with any other status.
    Strict,
    /// The canonical status of the code.
    Mapped,
}

/// The header lines that inform a client which schemes it may use for its credentials.
const CHALLENGES: &[&str] = &[
    r#"Basic realm="chatgate", charset="UTF-8""#,
    r#"Bearer realm="chatgate""#,
];

/// Maximum number of header blocks named in one MustUnderstand fault. The limit exists because the caller chooses the names and an
/// answer must not grow with them.
const NOT_UNDERSTOOD_MAX: usize = 8;

/// Maximum length of such a name, including its namespace, in bytes, for the same reason.
const NAME_BYTES_MAX: usize = 256;

/// Renders the fault with its HTTP status.
pub(crate) fn encode(
    dialect: SoapDialect,
    policy: FaultStatus,
    answer: &Answer<'_>,
    error: &Error,
) -> Reply {
    let (status, challenges) = status(dialect, policy, error.code());
    let detail = detail(answer, error);
    let (header, fault) = match dialect.version {
        SoapVersion::V11 => (String::new(), fault11(dialect, error, &detail)),
        SoapVersion::V12 => (header12(dialect, error), fault12(dialect, error, &detail)),
    };
    Reply {
        status,
        content_type: content_type(dialect.version),
        challenges,
        body: envelope(dialect.version, &header, &fault).into(),
        rest: None,
    }
}

/// Returns the sentence for header blocks that are not understood. It contains the names as `{namespace}local`, and [`header12`]
/// parses them again, because only the error is passed from decode to encode.
pub(crate) fn not_understood(names: &[XmlName<'_>]) -> String {
    let mut text = "A header block is not understood here:".to_owned();
    let can_be_named = |name: &&XmlName<'_>| {
        name.namespace.len() + name.local.len() <= NAME_BYTES_MAX
            && !name.namespace.is_empty()
            && !name.namespace.contains([' ', '\t', '\n', '\r', '{', '}'])
    };
    let named = names.iter().filter(can_be_named).take(NOT_UNDERSTOOD_MAX);
    for name in named {
        text.push_str(&format!(" {{{}}}{}", name.namespace, name.local));
    }
    if text.ends_with(':') {
        text.pop();
        text.push('.');
    }
    text
}

fn status(dialect: SoapDialect, policy: FaultStatus, code: Code) -> (u16, &'static [&'static str]) {
    let is_credential = matches!(
        code,
        Code::MissingUser
            | Code::MissingPassword
            | Code::IncorrectUserPassword
            | Code::MissingToken
            | Code::IncorrectToken
            | Code::ExpiredToken
    );
    if is_credential && !dialect.credentials_inside {
        return (401, CHALLENGES);
    }
    // HTTP does not allow a 401 without a challenge, so wrong credentials in the envelope keep the status of the binding.
    let mapped = policy == FaultStatus::Mapped && !is_credential;
    let status = match (dialect.fault, dialect.version) {
        (EnvelopeFault::VersionMismatch | EnvelopeFault::MustUnderstand, _) => 500,
        (EnvelopeFault::None, _) if mapped => code.status(),
        (EnvelopeFault::None, SoapVersion::V12) if is_senders(code) => 400,
        (EnvelopeFault::None, _) => 500,
    };
    (status, &[])
}

fn is_senders(code: Code) -> bool {
    code.status() < 500
}

/// Returns SOAP's own fault code, with its prefix.
fn fault_code(dialect: SoapDialect, code: Code) -> String {
    let name = match (dialect.fault, dialect.version, is_senders(code)) {
        (EnvelopeFault::VersionMismatch, _, _) => "VersionMismatch",
        (EnvelopeFault::MustUnderstand, _, _) => "MustUnderstand",
        (EnvelopeFault::None, SoapVersion::V11, true) => "Client",
        (EnvelopeFault::None, SoapVersion::V11, false) => "Server",
        (EnvelopeFault::None, SoapVersion::V12, true) => "Sender",
        (EnvelopeFault::None, SoapVersion::V12, false) => "Receiver",
    };
    format!("{}:{name}", prefix(dialect.version))
}

fn fault11(dialect: SoapDialect, error: &Error, detail: &str) -> String {
    let code = fault_code(dialect, error.code());
    let mut out = format!("<s:Fault><faultcode>{code}</faultcode><faultstring>");
    push_escaped(&mut out, error.text());
    out.push_str("</faultstring><detail>");
    out.push_str(detail);
    out.push_str("</detail></s:Fault>");
    out
}

fn fault12(dialect: SoapDialect, error: &Error, detail: &str) -> String {
    let code = fault_code(dialect, error.code());
    let subcode = subcode(error);
    let mut out = format!(
        r#"<e:Fault><e:Code><e:Value>{code}</e:Value><e:Subcode><e:Value xmlns:c="{NAMESPACE}">c:{subcode}</e:Value></e:Subcode></e:Code><e:Reason><e:Text xml:lang="en">"#
    );
    push_escaped(&mut out, error.text());
    out.push_str("</e:Text></e:Reason><e:Detail>");
    out.push_str(detail);
    out.push_str("</e:Detail></e:Fault>");
    out
}

/// Returns the word as an XML name. An upstream's word may start with a digit, but a name may not.
fn subcode(error: &Error) -> String {
    let word = error.word();
    let named = format!("_{word}");
    if is_ncname(word) {
        word.to_owned()
    } else if is_ncname(&named) {
        named
    } else {
        error.code().word().to_owned()
    }
}

fn detail(answer: &Answer<'_>, error: &Error) -> String {
    let mut out = format!(r#"<c:error xmlns:c="{NAMESPACE}">"#);
    push_element(&mut out, "code", error.word());
    push_element(&mut out, "request_id", answer.request_id);
    if let Some(delivery) = answer.delivery() {
        push_element(&mut out, "delivery", delivery.word());
    }
    if let Some(seconds) = error.retry_after_s() {
        push_element(&mut out, "retry_after", &seconds.to_string());
    }
    out.push_str("</c:error>");
    out
}

/// Returns the header of a SOAP 1.2 fault: the supported versions, or the blocks that were not understood.
fn header12(dialect: SoapDialect, error: &Error) -> String {
    let blocks = match dialect.fault {
        EnvelopeFault::None => return String::new(),
        EnvelopeFault::VersionMismatch => {
            let supported = |version: SoapVersion| {
                let namespace = namespace::of_envelope(version);
                format!(r#"<e:SupportedEnvelope qname="n:Envelope" xmlns:n="{namespace}"/>"#)
            };
            let (v12, v11) = (supported(SoapVersion::V12), supported(SoapVersion::V11));
            format!("<e:Upgrade>{v12}{v11}</e:Upgrade>")
        }
        EnvelopeFault::MustUnderstand => {
            let names = error
                .text()
                .split(' ')
                .filter_map(|word| word.strip_prefix('{')?.split_once('}'))
                .filter(|(_, local)| is_ncname(local));
            names.fold(String::new(), |mut out, (namespace, local)| {
                out.push_str(&format!(r#"<e:NotUnderstood qname="n:{local}" xmlns:n=""#));
                push_escaped(&mut out, namespace);
                out.push_str(r#""/>"#);
                out
            })
        }
    };
    if blocks.is_empty() {
        return blocks;
    }
    format!("<e:Header>{blocks}</e:Header>")
}
