//! Decodes bytes into a call. Head, envelope and body are checked in the contract's order.

use adapter::{Code, Decoded, Error, Operation, Params, Request, SoapDialect, Wire};

use crate::credentials;
use crate::envelope::{IDEMPOTENCY_KEY, SoapEnvelope};
use crate::media::Head;
use crate::namespace::NAMESPACE;
use crate::xml::{Element, Source, XmlError, is_blank, parse};

const XSI: &str = "http://www.w3.org/2001/XMLSchema-instance";
const SOAP12_ENCODING: &str = "http://www.w3.org/2003/05/soap-encoding";

/// Reads one call, and records in `dialect` how to answer it.
pub(crate) fn decode(
    wire: &Wire<'_>,
    head: &Head,
    dialect: &mut SoapDialect,
) -> Result<Decoded, Error> {
    let charset = head.check_media_type(wire)?;
    let broken = |error: XmlError| {
        if error.is_too_large() {
            return Error::refused(Code::RequestTooLarge);
        }
        Error::malformed(format!("The XML can't be read. {error}"))
    };
    let source = Source::read(wire.body, charset).map_err(broken)?;
    if charset.is_some_and(|charset| !source.answers_to(charset)) {
        return Err(Error::malformed(
            "The body is not in the charset that Content-Type declares.",
        ));
    }
    let document = parse(&source).map_err(broken)?;
    let envelope = SoapEnvelope::open(document, dialect)?;
    if let Some(call) = &envelope.call {
        if !is_blank(&call.text) {
            return Err(Error::malformed("There is text between the parameters."));
        }
        head.check_actions(&call.name.namespace, call.name.local)?;
    }
    let mut values = CallValues::of(envelope.call.as_ref());
    values.refuse_broken("user")?;
    values.refuse_broken("password")?;
    let credentials = credentials::read(wire, &envelope, &mut values.params, dialect)?;
    let Some(call) = &envelope.call else {
        return Err(Error::refused(Code::MissingMethod));
    };
    let idempotency_key = idempotency_key(wire, &envelope, &mut values);
    Ok(Decoded {
        expires: envelope.expires,
        credentials,
        secret_in_url: false,
        call: values.open(call),
        idempotency_key,
    })
}

/// The parameters of a call.
struct CallValues<'a> {
    params: Params,
    /// Names of parameters that are not a plain value.
    broken: Vec<&'a str>,
}

impl<'a> CallValues<'a> {
    fn of(call: Option<&Element<'a>>) -> Self {
        let mut broken = Vec::new();
        let mut pairs = Vec::new();
        for child in call.iter().flat_map(|call| &call.children) {
            if !is_parameter(call, child) {
                continue;
            }
            let name = child.name.local;
            if is_empty_nil(child) {
                pairs.push((name, String::new()));
                continue;
            }
            let mut value = child.text.clone();
            if !is_plain(child) {
                broken.push(name);
                // Makes the value non-empty, because an empty value would be reported as missing before it is reported as broken.
                value.push('?');
            }
            pairs.push((name, value));
        }
        CallValues {
            params: Params::from_pairs(pairs),
            broken,
        }
    }

    fn refuse_broken(&self, name: &str) -> Result<(), Error> {
        if self.broken.contains(&name) {
            let text = format!("The parameter {name} contains something other than text.");
            return Err(Error::incorrect(text));
        }
        Ok(())
    }

    /// Creates the request that this element names.
    fn open(mut self, call: &Element<'_>) -> Result<Request, Error> {
        let operation = Some(call.name.local)
            .filter(|_| &*call.name.namespace == NAMESPACE)
            .and_then(Operation::named)
            .ok_or_else(|| Error::refused(Code::IncorrectMethod))?;
        let request = Request::of(operation, &mut self.params);
        let is_missing = |error: &Error| error.code() == Code::MissingCompulsoryParam;
        if !request.as_ref().is_err_and(is_missing) {
            for parameter in operation.parameters {
                let checked = self.refuse_broken(parameter.name);
                checked.map_err(|error| error.of_operation(operation))?;
            }
        }
        request
    }
}

/// Returns whether the child is a parameter. Parameters are in our namespace or in none. A child in the namespace of the call's
/// element counts too, so that credentials under an unknown element are found and the unknown name is reported only to
/// authenticated callers.
fn is_parameter(call: Option<&Element<'_>>, child: &Element<'_>) -> bool {
    let namespace = &*child.name.namespace;
    namespace == NAMESPACE
        || namespace.is_empty()
        || call.is_some_and(|call| &*call.name.namespace == namespace)
}

fn is_nil(element: &Element<'_>) -> bool {
    let nil = element.attribute(XSI, "nil").map_or("", str::trim);
    matches!(nil, "true" | "1")
}

/// Returns whether the element is declared nil and is empty. A nil element with a value is invalid (XML Schema 1, 3.3.4), and its
/// sender may mean the value.
fn is_empty_nil(element: &Element<'_>) -> bool {
    is_nil(element) && element.text.trim().is_empty() && element.children.is_empty()
}

/// Returns whether the element is a text. It is not a text if it is a structure, a pointer to one (as in SOAP encoding), or nil.
///
/// `xsi:type` has no effect here, except if it declares that the text is encoded bytes. SOAP::Lite sends non-ASCII text as base64
/// unless it knows the type, and a person would receive the base64.
fn is_plain(element: &Element<'_>) -> bool {
    let declared = element.attribute(XSI, "type").map_or("", str::trim);
    let declared = declared.rsplit(':').next().unwrap_or_default();
    !is_nil(element)
        && !matches!(declared, "base64Binary" | "base64" | "hexBinary")
        && element.children.is_empty()
        && element.attribute("", "href").is_none()
        && element.attribute(SOAP12_ENCODING, "ref").is_none()
}

/// Returns the key from the HTTP header, the child element or the header block. If several of them carry a key, the keys must
/// agree.
fn idempotency_key(
    wire: &Wire<'_>,
    envelope: &SoapEnvelope<'_>,
    values: &mut CallValues<'_>,
) -> Result<Option<String>, Error> {
    values.refuse_broken("idempotency_key")?;
    let mut key = values.params.take_idempotency_key(wire)?;
    for block in envelope.headers(NAMESPACE, IDEMPOTENCY_KEY) {
        if is_empty_nil(block) {
            continue;
        }
        if !is_plain(block) {
            return Err(Error::incorrect(
                "The header block IdempotencyKey is broken.",
            ));
        }
        if block.text.is_empty() {
            continue;
        }
        if key.as_ref().is_some_and(|key| *key != block.text) {
            return Err(Error::incorrect("The idempotency keys don't agree."));
        }
        key = Some(block.text.clone());
    }
    Ok(key)
}
