//! A document as a tree of elements.

use super::scope::XmlName;

/// A document without errors.
#[derive(Debug)]
pub(crate) struct Document<'a> {
    /// The one root.
    pub(crate) root: Element<'a>,
    /// Whether a processing instruction stands anywhere in it.
    pub(crate) has_instruction: bool,
}

/// One element.
#[derive(Debug)]
pub(crate) struct Element<'a> {
    /// Its name.
    pub(crate) name: XmlName<'a>,
    /// Its attributes without the declarations of namespaces.
    pub(crate) attributes: Vec<(XmlName<'a>, String)>,
    /// All text right inside it, put together, never trimmed.
    pub(crate) text: String,
    /// The elements right inside it.
    pub(crate) children: Vec<Element<'a>>,
}

impl Element<'_> {
    /// The value of an attribute; the namespace is empty for one without a prefix.
    pub(crate) fn attribute(&self, namespace: &str, local: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|(name, _)| name.is(namespace, local))
            .map(|(_, value)| value.as_str())
    }

    /// Whether it or anything inside it has this name.
    pub(crate) fn contains(&self, namespace: &str, local: &str) -> bool {
        let mut inside = self.children.iter();
        self.name.is(namespace, local) || inside.any(|child| child.contains(namespace, local))
    }
}
