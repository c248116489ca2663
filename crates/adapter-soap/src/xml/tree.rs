//! A document as a tree of elements.

use super::scope::XmlName;

/// A document without errors.
#[derive(Debug)]
pub(crate) struct Document<'a> {
    /// The root element.
    pub(crate) root: Element<'a>,
    /// True if the document contains a processing instruction anywhere.
    pub(crate) has_instruction: bool,
}

/// One element.
#[derive(Debug)]
pub(crate) struct Element<'a> {
    /// The name of the element.
    pub(crate) name: XmlName<'a>,
    /// The attributes without the namespace declarations.
    pub(crate) attributes: Vec<(XmlName<'a>, String)>,
    /// All text directly inside the element, concatenated and never trimmed.
    pub(crate) text: String,
    /// The elements directly inside the element.
    pub(crate) children: Vec<Element<'a>>,
}

impl Element<'_> {
    /// Returns the value of an attribute; `namespace` is empty for an attribute without a prefix.
    pub(crate) fn attribute(&self, namespace: &str, local: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|(name, _)| name.is(namespace, local))
            .map(|(_, value)| value.as_str())
    }

    /// Returns whether the element or any element inside it has this name.
    pub(crate) fn contains(&self, namespace: &str, local: &str) -> bool {
        let mut inside = self.children.iter();
        self.name.is(namespace, local) || inside.any(|child| child.contains(namespace, local))
    }
}
