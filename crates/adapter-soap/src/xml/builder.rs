//! Builds elements from events, and checks each event against the bytes of its source text.

use quick_xml::events::Event;

use super::chars::{is_blank, is_space, push_lines};
use super::charset::SourceCharset;
use super::error::CheckResult;
use super::markup::{self, Tag};
use super::scope::{NamespaceScope, XmlName, xml_name_eq};
use super::tree::{Document, Element};

/// Maximum nesting depth of elements. A SOAP call has four levels, a signed header block about ten. The limit bounds the recursion
/// over the tree.
const DEPTH_MAX: usize = 32;

/// An element whose end tag has not been read yet.
struct OpenElement<'a> {
    name: &'a str,
    element: Element<'a>,
    scope_mark: usize,
}

/// A document that is being read.
pub(super) struct Builder<'a> {
    charset: SourceCharset,
    scope: NamespaceScope<'a>,
    open: Vec<OpenElement<'a>>,
    root: Option<Element<'a>>,
    has_instruction: bool,
}

impl<'a> Builder<'a> {
    /// Creates a builder that has read nothing yet.
    pub(super) fn new(charset: SourceCharset) -> Self {
        Builder {
            charset,
            scope: NamespaceScope::new(),
            open: Vec::new(),
            root: None,
            has_instruction: false,
        }
    }

    /// Processes the event with the source text `raw`, which starts at byte `at`.
    pub(super) fn take(&mut self, event: &Event<'_>, raw: &'a str, at: usize) -> CheckResult<()> {
        match event {
            Event::Start(_) | Event::Empty(_) => self.start(&markup::start_tag(raw)?),
            Event::End(_) => self.end(raw),
            Event::Text(_) => self.text(raw),
            Event::CData(_) => self.cdata(raw),
            Event::GeneralRef(_) => self.reference(raw),
            Event::Comment(_) => markup::check_comment(raw),
            Event::PI(_) => {
                self.has_instruction = true;
                markup::check_instruction(raw)
            }
            Event::Decl(_) if at == 0 => markup::check_declaration(raw, self.charset),
            Event::Decl(_) => Err("An XML declaration is allowed only at the start."),
            Event::DocType(_) => Err("A DOCTYPE is not allowed."),
            Event::Eof => Ok(()),
        }
    }

    fn start(&mut self, tag: &Tag<'a>) -> CheckResult<()> {
        if self.open.is_empty() && self.root.is_some() {
            return Err("There is more than one root element.");
        }
        if self.open.len() == DEPTH_MAX {
            return Err("Elements are nested too deeply.");
        }
        let scope_mark = self.scope.mark();
        let mut ordinary = Vec::new();
        for (name, raw) in &tag.attributes {
            let value = markup::attribute_value(raw)?;
            if !self.scope.declare(name, &value)? {
                ordinary.push((*name, value));
            }
        }
        let mut attributes: Vec<(XmlName<'a>, String)> = Vec::with_capacity(ordinary.len());
        for (name, value) in ordinary {
            let name = self.scope.attribute(name)?;
            if attributes
                .iter()
                .any(|(other, _)| xml_name_eq(other, &name))
            {
                return Err("An attribute is given twice.");
            }
            attributes.push((name, value.into_owned()));
        }
        let element = Element {
            name: self.scope.element(tag.name)?,
            attributes,
            text: String::new(),
            children: Vec::new(),
        };
        if tag.empty {
            self.close(element, scope_mark);
        } else {
            self.open.push(OpenElement {
                name: tag.name,
                element,
                scope_mark,
            });
        }
        Ok(())
    }

    fn end(&mut self, raw: &str) -> CheckResult<()> {
        let open = self.open.pop().ok_or("An end tag has no start tag.")?;
        let name = raw.strip_prefix("</").and_then(|r| r.strip_suffix('>'));
        if name.map(|name| name.trim_end_matches(is_space)) != Some(open.name) {
            return Err("An end tag does not match its start tag.");
        }
        self.close(open.element, open.scope_mark);
        Ok(())
    }

    fn close(&mut self, element: Element<'a>, scope_mark: usize) {
        self.scope.close(scope_mark);
        match self.open.last_mut() {
            Some(parent) => parent.element.children.push(element),
            None => self.root = Some(element),
        }
    }

    fn text(&mut self, raw: &str) -> CheckResult<()> {
        // Hardly any text contains `>`, and searching for one character is faster than searching for three.
        if raw.contains('>') && raw.contains("]]>") {
            return Err("Text contains ]]>.");
        }
        match self.open.last_mut() {
            Some(open) => push_lines(&mut open.element.text, raw),
            None if is_blank(raw) => {}
            None => return Err("There is text outside of the root element."),
        }
        Ok(())
    }

    fn cdata(&mut self, raw: &str) -> CheckResult<()> {
        let inner = raw
            .strip_prefix("<![CDATA[")
            .and_then(|rest| rest.strip_suffix("]]>"))
            .ok_or("A CDATA section is broken.")?;
        let open = self
            .open
            .last_mut()
            .ok_or("There is text outside of the root element.")?;
        push_lines(&mut open.element.text, inner);
        Ok(())
    }

    fn reference(&mut self, raw: &str) -> CheckResult<()> {
        let name = raw
            .strip_prefix('&')
            .and_then(|rest| rest.strip_suffix(';'))
            .ok_or("A reference is broken.")?;
        let open = self
            .open
            .last_mut()
            .ok_or("There is text outside of the root element.")?;
        open.element.text.push(markup::reference(name)?);
        Ok(())
    }

    /// Requires exactly one root that has been closed.
    pub(super) fn finish(self) -> CheckResult<Document<'a>> {
        if !self.open.is_empty() {
            return Err("An element is not closed.");
        }
        Ok(Document {
            root: self.root.ok_or("There is no root element.")?,
            has_instruction: self.has_instruction,
        })
    }
}
