//! XML 1.0 as far as TwiML needs it: elements, attributes, text, all escaped.

/// Writes one document. Elements close in the order in which they were opened; one without
/// content becomes `<Name/>`.
pub(super) struct XmlWriter {
    out: String,
    open: Vec<&'static str>,
    in_tag: bool,
}

impl XmlWriter {
    /// A document with its declaration.
    pub fn document() -> Self {
        let mut out = String::with_capacity(1024);
        out.push_str(r#"<?xml version="1.0" encoding="UTF-8"?>"#);
        Self {
            out,
            open: Vec::with_capacity(4),
            in_tag: false,
        }
    }

    /// Opens an element. Names are ours: literals in this module.
    pub fn open(&mut self, name: &'static str) {
        self.end_tag();
        self.out.push('<');
        self.out.push_str(name);
        self.open.push(name);
        self.in_tag = true;
    }

    /// An attribute of the element that was just opened; `name` is an XML name.
    pub fn attribute(&mut self, name: &str, value: &str) {
        debug_assert!(
            self.in_tag && is_name(name),
            "attribute {name} outside of a tag"
        );
        self.out.push(' ');
        self.out.push_str(name);
        self.out.push_str("=\"");
        escape(&mut self.out, value);
        self.out.push('"');
    }

    /// An attribute if there is a value.
    pub fn optional(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.attribute(name, value);
        }
    }

    /// Character data.
    pub fn text(&mut self, text: &str) {
        self.end_tag();
        escape(&mut self.out, text);
    }

    /// Closes the element opened last.
    pub fn close(&mut self) {
        let name = self.open.pop().unwrap_or_default();
        if std::mem::take(&mut self.in_tag) {
            self.out.push_str("/>");
        } else {
            self.out.push_str("</");
            self.out.push_str(name);
            self.out.push('>');
        }
    }

    /// The text.
    pub fn finish(self) -> String {
        debug_assert!(self.open.is_empty(), "elements left open");
        self.out
    }

    fn end_tag(&mut self) {
        if std::mem::take(&mut self.in_tag) {
            self.out.push('>');
        }
    }
}

/// Appends `text` so that a parser gives it back, in an attribute as in text: markup and quotes
/// by name, white space other than blanks by number (a parser turns it into blanks in
/// attributes), and without what XML 1.0 forbids even escaped.
fn escape(out: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\t' => out.push_str("&#9;"),
            '\n' => out.push_str("&#10;"),
            '\r' => out.push_str("&#13;"),
            legal if is_legal_char(legal) => out.push(legal),
            _ => {}
        }
    }
}

/// Whether XML 1.0, 2.2 (Char) allows the character. The C1 controls are legal and are removed too.
pub(super) fn is_legal_char(character: char) -> bool {
    match character {
        '\t' | '\n' | '\r' => true,
        '\u{fffe}' | '\u{ffff}' => false,
        other => !other.is_control(),
    }
}

/// Whether `name` is an attribute's name of ASCII letters, digits, `_`, `-` and `.` that begins with a
/// letter or `_`. No colon, because TwiML has no namespaces.
pub(super) fn is_name(text: &str) -> bool {
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    starts
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
}
