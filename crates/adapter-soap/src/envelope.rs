//! The envelope: its version, the header blocks meant for us, and what the body holds. Nothing here knows the chat API.

use adapter::{Code, Error};

use crate::dialect::{EnvelopeFault, Version, Voice};
use crate::xml::{Document, Element, Name, is_blank};
use crate::{NAMESPACE, fault, malformed};

/// OASIS WS-Security 1.0 and 1.1, which share the elements we read.
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

/// An envelope that is right in itself.
#[derive(Debug)]
pub(crate) struct Envelope<'a> {
    /// The header blocks that are meant for us.
    pub(crate) headers: Vec<Element<'a>>,
    /// The one element in the body, if there is one.
    pub(crate) call: Option<Element<'a>>,
}

impl<'a> Envelope<'a> {
    /// Reads the envelope, and writes down in `voice` how to answer it.
    ///
    /// # Errors
    /// MALFORMED_REQUEST for all that is wrong; `voice` tells which SOAP fault it is.
    pub(crate) fn open(document: Document<'a>, voice: &mut Voice) -> Result<Self, Error> {
        voice.version = version(&document.root, voice)?;
        if document.has_instruction {
            return Err(malformed("A processing instruction is not allowed here."));
        }
        if document.root.contains(XOP, "Include") {
            return Err(malformed("MTOM is not taken."));
        }
        let (header, body) = parts(document.root, voice.version)?;
        let headers = understood(header, voice)?;
        let mut calls = container(body, voice.version)?.into_iter();
        let call = calls.next();
        if calls.next().is_some() {
            return Err(malformed("The body holds more than one element."));
        }
        Ok(Envelope { headers, call })
    }

    /// The header blocks of this name.
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

fn version(root: &Element<'_>, voice: &mut Voice) -> Result<Version, Error> {
    let is_envelope = root.name.local == "Envelope";
    if let Some(version) = Version::of_namespace(&root.name.namespace).filter(|_| is_envelope) {
        return Ok(version);
    }
    // SOAP 1.1 speaks of a mismatch only for the namespace, 1.2 for the local name as well.
    if is_envelope || voice.version == Version::V12 {
        voice.fault = EnvelopeFault::VersionMismatch;
    }
    Err(malformed("The document is no SOAP 1.1 or 1.2 envelope."))
}

/// Header and body, in this order and with nothing else beside them.
fn parts<'a>(
    root: Element<'a>,
    version: Version,
) -> Result<(Option<Element<'a>>, Element<'a>), Error> {
    let namespace = version.namespace();
    let mut children = container(root, version)?.into_iter().peekable();
    let header = children.next_if(|child| child.name.is(namespace, "Header"));
    let body = children
        .next()
        .filter(|child| child.name.is(namespace, "Body"))
        .ok_or_else(|| malformed("The envelope holds no body where it belongs."))?;
    if children.next().is_some() {
        return Err(malformed("Something stands behind the body."));
    }
    Ok((header, body))
}

/// The elements inside Envelope, Header or Body, which hold no text; SOAP 1.2 also asks that their attributes have a
/// namespace and that encodingStyle is none of them.
fn container<'a>(element: Element<'a>, version: Version) -> Result<Vec<Element<'a>>, Error> {
    if !is_blank(&element.text) {
        return Err(malformed("Text stands between the parts of the envelope."));
    }
    let is_forbidden = |name: &Name<'_>| {
        name.namespace.is_empty() || name.is(Version::V12.namespace(), "encodingStyle")
    };
    let has_forbidden = element.attributes.iter().any(|(n, _)| is_forbidden(n));
    if version == Version::V12 && has_forbidden {
        return Err(malformed(
            "A part of the envelope has an encodingStyle or an attribute without a namespace.",
        ));
    }
    Ok(element.children)
}

/// The header blocks meant for us, all of which that must be understood are.
fn understood<'a>(
    header: Option<Element<'a>>,
    voice: &mut Voice,
) -> Result<Vec<Element<'a>>, Error> {
    let blocks = header.map_or(Ok(Vec::new()), |header| container(header, voice.version))?;
    let mut ours = Vec::with_capacity(blocks.len());
    let mut foreign: Vec<Name<'a>> = Vec::new();
    for block in blocks {
        if voice.version == Version::V12 && block.name.namespace.is_empty() {
            return Err(malformed("A header block has no namespace."));
        }
        if !is_for_us(&block, voice.version) {
            continue;
        }
        if must_understand(&block, voice.version)? && !is_known(&block) {
            foreign.push(block.name);
        } else {
            ours.push(block);
        }
    }
    if foreign.is_empty() {
        return Ok(ours);
    }
    voice.fault = EnvelopeFault::MustUnderstand;
    let text = fault::not_understood(&foreign);
    Err(Error::explained(Code::MalformedRequest, text))
}

fn is_for_us(block: &Element<'_>, version: Version) -> bool {
    let namespace = version.namespace();
    let target = match version {
        Version::V11 => block.attribute(namespace, "actor"),
        Version::V12 => block.attribute(namespace, "role"),
    };
    match (version, target.map_or("", str::trim)) {
        (_, "") | (Version::V11, ACTOR_NEXT) => true,
        (Version::V12, role) => role == ROLE_NEXT || role == ROLE_ULTIMATE_RECEIVER,
        (Version::V11, _) => false,
    }
}

fn must_understand(block: &Element<'_>, version: Version) -> Result<bool, Error> {
    let value = block.attribute(version.namespace(), "mustUnderstand");
    match value.map_or("0", str::trim) {
        "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        _ => Err(malformed("A mustUnderstand is neither true nor false.")),
    }
}

/// Whether we do all that the block asks: signatures and foreign tokens inside a Security block are not checked here.
fn is_known(block: &Element<'_>) -> bool {
    let is_checked = |child: &Element<'_>| {
        child.name.is(WSSE, "UsernameToken") || child.name.is(WSU, "Timestamp")
    };
    block.name.is(NAMESPACE, IDEMPOTENCY_KEY)
        || (block.name.is(WSSE, "Security") && block.children.iter().all(is_checked))
}
