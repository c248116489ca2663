//! Reads the envelope: its version, the header blocks for this gateway, and the element in the body. Nothing here knows the chat
//! API.

use adapter::{EnvelopeFault, Error, SoapDialect, SoapVersion};

use crate::fault;
use crate::namespace::{self, NAMESPACE};
use crate::xml::{Document, Element, XmlName, is_blank};

/// OASIS WS-Security 1.0 and 1.1, which share the elements that we read.
pub(crate) const WSSE: &str =
    "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd";

/// The header block that carries an idempotency key, in our namespace.
pub(crate) const IDEMPOTENCY_KEY: &str = "IdempotencyKey";

const WSU: &str =
    "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd";
const XOP: &str = "http://www.w3.org/2004/08/xop/include";
const ACTOR_NEXT: &str = "http://schemas.xmlsoap.org/soap/actor/next";
const ROLE_NEXT: &str = "http://www.w3.org/2003/05/soap-envelope/role/next";
const ROLE_ULTIMATE_RECEIVER: &str =
    "http://www.w3.org/2003/05/soap-envelope/role/ultimateReceiver";

/// A valid envelope.
#[derive(Debug)]
pub(crate) struct SoapEnvelope<'a> {
    /// The header blocks for this gateway.
    pub(crate) headers: Vec<Element<'a>>,
    /// The single element in the body, if there is one.
    pub(crate) call: Option<Element<'a>>,
    /// The earliest time at which a mandatory Security header expires; seconds since 1970, UTC.
    pub(crate) expires: Option<i64>,
}

impl<'a> SoapEnvelope<'a> {
    /// Reads the envelope, and records in `dialect` how to answer it.
    ///
    /// # Errors
    /// MALFORMED_REQUEST for every fault; `dialect` names the SOAP fault.
    pub(crate) fn open(document: Document<'a>, dialect: &mut SoapDialect) -> Result<Self, Error> {
        dialect.version = version(&document.root, dialect)?;
        if document.has_instruction {
            return Err(Error::malformed(
                "A processing instruction is not allowed here.",
            ));
        }
        if document.root.contains(XOP, "Include") {
            return Err(Error::malformed("MTOM is not supported."));
        }
        let (header, body) = parts(document.root, dialect.version)?;
        let (headers, expires) = understood(header, dialect)?;
        let mut calls = container(body, dialect.version)?.into_iter();
        let call = calls.next();
        if calls.next().is_some() {
            return Err(Error::malformed("The body contains more than one element."));
        }
        Ok(SoapEnvelope {
            headers,
            call,
            expires,
        })
    }

    /// Returns the header blocks with this name.
    pub(crate) fn headers(
        &self,
        namespace: &str,
        local: &str,
    ) -> impl Iterator<Item = &Element<'a>> {
        self.headers
            .iter()
            .filter(move |block| block.name.is(namespace, local))
    }
}

fn version(root: &Element<'_>, dialect: &mut SoapDialect) -> Result<SoapVersion, Error> {
    let is_envelope = root.name.local == "Envelope";
    if let Some(version) = namespace::version(&root.name.namespace).filter(|_| is_envelope) {
        return Ok(version);
    }
    // SOAP 1.1 defines a version mismatch only for the namespace, SOAP 1.2 also for the local name.
    if is_envelope || dialect.version == SoapVersion::V12 {
        dialect.fault = EnvelopeFault::VersionMismatch;
    }
    Err(Error::malformed(
        "The document is not a SOAP 1.1 or 1.2 envelope.",
    ))
}

/// Returns header and body. They must be in this order, with no other elements.
fn parts<'a>(
    root: Element<'a>,
    version: SoapVersion,
) -> Result<(Option<Element<'a>>, Element<'a>), Error> {
    let namespace = namespace::of_envelope(version);
    let mut children = container(root, version)?.into_iter().peekable();
    let header = children.next_if(|child| child.name.is(namespace, "Header"));
    let body = children
        .next()
        .filter(|child| child.name.is(namespace, "Body"))
        .ok_or_else(|| Error::malformed("The envelope has no body in the expected place."))?;
    if children.next().is_some() {
        return Err(Error::malformed(
            "The envelope contains something after the body.",
        ));
    }
    Ok((header, body))
}

/// Returns the elements inside Envelope, Header or Body. Text between them is an error. In SOAP 1.2 an attribute without a
/// namespace and an encodingStyle are errors too.
fn container<'a>(element: Element<'a>, version: SoapVersion) -> Result<Vec<Element<'a>>, Error> {
    if !is_blank(&element.text) {
        return Err(Error::malformed(
            "There is text between the parts of the envelope.",
        ));
    }
    let is_forbidden = |name: &XmlName<'_>| {
        name.namespace.is_empty()
            || name.is(namespace::of_envelope(SoapVersion::V12), "encodingStyle")
    };
    let has_forbidden = element.attributes.iter().any(|(n, _)| is_forbidden(n));
    if version == SoapVersion::V12 && has_forbidden {
        return Err(Error::malformed(
            "A part of the envelope has an encodingStyle or an attribute without a namespace.",
        ));
    }
    Ok(element.children)
}

/// Returns the header blocks for this gateway, and the time at which a mandatory one expires. A mandatory block that is not
/// understood is an error.
fn understood<'a>(
    header: Option<Element<'a>>,
    dialect: &mut SoapDialect,
) -> Result<(Vec<Element<'a>>, Option<i64>), Error> {
    let blocks = header.map_or(Ok(Vec::new()), |header| container(header, dialect.version))?;
    let mut ours = Vec::with_capacity(blocks.len());
    let mut foreign: Vec<XmlName<'a>> = Vec::new();
    let mut expires = None;
    for block in blocks {
        if dialect.version == SoapVersion::V12 && block.name.namespace.is_empty() {
            return Err(Error::malformed("A header block has no namespace."));
        }
        if !is_for_us(&block, dialect.version) {
            continue;
        }
        let is_mandatory = must_understand(&block, dialect.version)?;
        if is_mandatory && !is_known(&block) {
            foreign.push(block.name);
            continue;
        }
        if is_mandatory {
            let of_block = expiry(&block)?;
            expires = expires.into_iter().chain(of_block).min();
        }
        ours.push(block);
    }
    if foreign.is_empty() {
        return Ok((ours, expires));
    }
    dialect.fault = EnvelopeFault::MustUnderstand;
    let text = fault::not_understood(&foreign);
    Err(Error::malformed(text))
}

fn is_for_us(block: &Element<'_>, version: SoapVersion) -> bool {
    let namespace = namespace::of_envelope(version);
    let target = match version {
        SoapVersion::V11 => block.attribute(namespace, "actor"),
        SoapVersion::V12 => block.attribute(namespace, "role"),
    };
    match (version, target.map_or("", str::trim)) {
        (_, "") | (SoapVersion::V11, ACTOR_NEXT) => true,
        (SoapVersion::V12, role) => role == ROLE_NEXT || role == ROLE_ULTIMATE_RECEIVER,
        (SoapVersion::V11, _) => false,
    }
}

fn must_understand(block: &Element<'_>, version: SoapVersion) -> Result<bool, Error> {
    let value = block.attribute(namespace::of_envelope(version), "mustUnderstand");
    match value.map_or("0", str::trim) {
        "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        _ => Err(Error::malformed(
            "A mustUnderstand is neither true nor false.",
        )),
    }
}

/// Returns the time at which the Timestamp of a Security header expires (WS-Security 1.1, 10), if it has one; seconds since 1970,
/// UTC.
fn expiry(block: &Element<'_>) -> Result<Option<i64>, Error> {
    let mut expires = None;
    for timestamp in block
        .children
        .iter()
        .filter(|child| child.name.is(WSU, "Timestamp"))
    {
        for element in timestamp
            .children
            .iter()
            .filter(|child| child.name.is(WSU, "Expires"))
        {
            let at: jiff::Timestamp = element.text.trim().parse().map_err(|_| {
                Error::malformed("The Expires of a Timestamp is no time with a zone.")
            })?;
            let at = at.as_second();
            expires = Some(expires.map_or(at, |earlier: i64| earlier.min(at)));
        }
    }
    Ok(expires)
}

/// Returns whether we do everything that the block requires. Signatures and other tokens inside a Security block are not checked
/// here.
fn is_known(block: &Element<'_>) -> bool {
    let is_checked = |child: &Element<'_>| {
        child.name.is(WSSE, "UsernameToken") || child.name.is(WSU, "Timestamp")
    };
    block.name.is(NAMESPACE, IDEMPOTENCY_KEY)
        || (block.name.is(WSSE, "Security") && block.children.iter().all(is_checked))
}
