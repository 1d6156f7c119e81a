//! A small XML tree: all that TwiML needs.

use super::TwimlError;
use quick_xml::{
    Reader, XmlVersion,
    escape::resolve_predefined_entity,
    events::{BytesRef, BytesStart, Event},
};

/// Elements may nest no deeper than this.
const DEPTH_MAX: usize = 8;

/// One element with all that is in it.
#[derive(Default)]
pub(super) struct Element {
    pub(super) name: String,
    pub(super) attributes: Vec<(String, String)>,
    pub(super) children: Vec<Element>,
    text: String,
}

impl Element {
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        let at = self.attributes.iter().position(|(key, _)| key == name)?;
        Some(self.attributes.swap_remove(at).1)
    }

    /// Its text without the white space around it.
    pub(super) fn spoken(&self) -> String {
        self.text.trim().to_owned()
    }

    /// Its text, or that of its first nested noun: `<Dial>+1…</Dial>`, `<Dial><Number>+1…</Number></Dial>`.
    pub(super) fn addressee(&self) -> String {
        match self.children.first() {
            Some(noun) => noun.spoken(),
            None => self.spoken(),
        }
    }

    pub(super) fn allow(&self, names: &[&str]) -> Result<(), TwimlError> {
        match self
            .attributes
            .iter()
            .find(|(key, _)| !names.contains(&key.as_str()))
        {
            None => Ok(()),
            Some((attribute, _)) => Err(TwimlError::Attribute {
                element: self.name.clone(),
                attribute: attribute.clone(),
            }),
        }
    }

    pub(super) fn lacks(&self, attribute: &str) -> TwimlError {
        TwimlError::Missing {
            element: self.name.clone(),
            attribute: attribute.to_owned(),
        }
    }

    pub(super) fn misplaced(&self, child: &Element) -> TwimlError {
        TwimlError::Nesting {
            parent: self.name.clone(),
            child: child.name.clone(),
        }
    }
}

/// Reads a document into its root element.
pub(super) fn tree(text: &str) -> Result<Element, TwimlError> {
    let mut reader = Reader::from_str(text);
    let mut open: Vec<Element> = Vec::new();
    let mut root: Option<Element> = None;
    loop {
        let closed = match reader.read_event().map_err(xml_error)? {
            Event::Eof => break,
            Event::Start(start) if root.is_none() && open.len() < DEPTH_MAX => {
                open.push(element(&start)?);
                continue;
            }
            Event::Start(_) => return Err(malformed("a second root, or elements nested too deep")),
            Event::Empty(start) => element(&start)?,
            Event::End(_) => open
                .pop()
                .ok_or_else(|| malformed("an end without a start"))?,
            other => {
                take_text(&other, open.last_mut())?;
                continue;
            }
        };
        match open.last_mut() {
            Some(parent) => parent.children.push(closed),
            None if root.is_none() => root = Some(closed),
            None => return Err(malformed("a second root")),
        }
    }
    match (open.is_empty(), root) {
        (true, Some(root)) => Ok(root),
        _ => Err(malformed("the document ends too early")),
    }
}

fn element(start: &BytesStart<'_>) -> Result<Element, TwimlError> {
    let mut made = Element {
        name: start.name().as_ref().to_owned(),
        ..Element::default()
    };
    for attribute in start.attributes() {
        let attribute = attribute.map_err(xml_error)?;
        let value = attribute
            .normalized_value(XmlVersion::Implicit1_0)
            .map_err(xml_error)?;
        made.attributes
            .push((attribute.key.as_ref().to_owned(), value.into_owned()));
    }
    Ok(made)
}

fn take_text(event: &Event<'_>, parent: Option<&mut Element>) -> Result<(), TwimlError> {
    let text = match event {
        Event::Text(text) => text.xml_content(XmlVersion::Implicit1_0).into_owned(),
        Event::CData(text) => text.xml_content(XmlVersion::Implicit1_0).into_owned(),
        Event::GeneralRef(reference) => resolve(reference)?,
        Event::DocType(_) => return Err(malformed("a document type")),
        _ => return Ok(()),
    };
    match parent {
        Some(parent) => parent.text.push_str(&text),
        None if text.trim().is_empty() => {}
        None => return Err(malformed("text outside the root")),
    }
    Ok(())
}

fn resolve(reference: &BytesRef<'_>) -> Result<String, TwimlError> {
    if let Some(character) = reference.resolve_char_ref().map_err(xml_error)? {
        return Ok(character.to_string());
    }
    let name = reference.xml_content(XmlVersion::Implicit1_0);
    resolve_predefined_entity(&name)
        .map(str::to_owned)
        .ok_or_else(|| malformed("an unknown entity"))
}

fn malformed(what: &str) -> TwimlError {
    TwimlError::Xml(what.to_owned())
}

fn xml_error(error: impl std::fmt::Display) -> TwimlError {
    TwimlError::Xml(error.to_string())
}
