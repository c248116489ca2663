//! The mapping from prefixes to namespaces at each point of a document.

use std::rc::Rc;

use super::chars::{is_ncname, split_qname};
use super::error::CheckResult;

/// Maximum number of namespaces that are bound at one point of a document. Each name is looked up among them, and clients bind
/// fewer than ten.
pub(super) const NAMESPACES_MAX: usize = 64;

/// The namespace that is always bound to the prefix `xml` and to no other.
pub(crate) const XML: &str = "http://www.w3.org/XML/1998/namespace";

/// The namespace of the declarations themselves. No prefix may be bound to it.
const XMLNS: &str = "http://www.w3.org/2000/xmlns/";

/// A namespace, which is empty if there is none, and a local name.
#[derive(Clone, Debug)]
pub(crate) struct XmlName<'a> {
    /// The namespace, shared by all names in it, so that a long namespace uses memory only once.
    pub(crate) namespace: Rc<str>,
    /// The part of the name after the prefix.
    pub(crate) local: &'a str,
}

impl XmlName<'_> {
    /// Returns whether the name has this namespace and this local part.
    pub(crate) fn is(&self, namespace: &str, local: &str) -> bool {
        self.local == local && &*self.namespace == namespace
    }
}

/// The current bindings.
pub(super) struct NamespaceScope<'a> {
    bindings: Vec<(&'a str, Rc<str>)>,
    none: Rc<str>,
}

impl<'a> NamespaceScope<'a> {
    /// Creates a scope in which only `xml` is bound.
    pub(super) fn new() -> Self {
        NamespaceScope {
            bindings: vec![("xml", Rc::from(XML))],
            none: Rc::from(""),
        }
    }

    /// Returns the mark to which [`NamespaceScope::close`] can return.
    pub(super) fn mark(&self) -> usize {
        self.bindings.len()
    }

    /// Removes the bindings that were added after the mark.
    pub(super) fn close(&mut self, mark: usize) {
        self.bindings.truncate(mark);
    }

    /// Adds the binding that this attribute declares. Returns `false` if it is an ordinary attribute.
    pub(super) fn declare(&mut self, name: &'a str, value: &str) -> CheckResult<bool> {
        let prefix = match name.strip_prefix("xmlns:") {
            Some(prefix) => prefix,
            None if name == "xmlns" => "",
            None => return Ok(false),
        };
        if !prefix.is_empty() && !is_ncname(prefix) || name == "xmlns:" {
            return Err("A name is not one that XML allows.");
        }
        let reserved = prefix == "xmlns" || value == XMLNS || (prefix == "xml") != (value == XML);
        if reserved || (value.is_empty() && !prefix.is_empty()) {
            return Err("A namespace is bound in a way that XML forbids.");
        }
        // The permanent binding of `xml` does not count, hence `>`.
        if self.bindings.len() > NAMESPACES_MAX {
            return Err("Too many namespaces are bound at the same time.");
        }
        // Names are compared by the pointers of their namespaces, so all current bindings of one namespace must share it.
        let in_force = self.bindings.iter().find(|(_, known)| **known == *value);
        let namespace = in_force.map_or_else(|| Rc::from(value), |(_, known)| Rc::clone(known));
        self.bindings.push((prefix, namespace));
        Ok(true)
    }

    /// Returns the full name of an element.
    pub(super) fn element(&self, name: &'a str) -> CheckResult<XmlName<'a>> {
        let (prefix, local) = split_qname(name)?;
        match self.lookup(prefix) {
            Some(namespace) => Ok(XmlName { namespace, local }),
            None if prefix.is_empty() => Ok(self.unqualified(local)),
            None => Err("A prefix is not bound to a namespace."),
        }
    }

    /// Returns the full name of an attribute. Without a prefix it has no namespace, whatever the default namespace is.
    pub(super) fn attribute(&self, name: &'a str) -> CheckResult<XmlName<'a>> {
        let (prefix, local) = split_qname(name)?;
        if prefix.is_empty() {
            return Ok(self.unqualified(local));
        }
        let namespace = self
            .lookup(prefix)
            .ok_or("A prefix is not bound to a namespace.")?;
        Ok(XmlName { namespace, local })
    }

    fn unqualified(&self, local: &'a str) -> XmlName<'a> {
        XmlName {
            namespace: Rc::clone(&self.none),
            local,
        }
    }

    fn lookup(&self, prefix: &str) -> Option<Rc<str>> {
        let bound = self.bindings.iter().rev().find(|(p, _)| *p == prefix);
        bound.map(|(_, namespace)| Rc::clone(namespace))
    }
}

/// Returns whether two names of one element are equal. The names share their namespaces, so the pointers are compared.
pub(super) fn xml_name_eq(a: &XmlName<'_>, b: &XmlName<'_>) -> bool {
    Rc::ptr_eq(&a.namespace, &b.namespace) && a.local == b.local
}
