//! TwiML read as strictly as Twilio reads it (docs/protocol.md 3).

mod element;

use element::Element;

/// Longest TwiML document (docs/protocol.md 2.4).
pub const TWIML_BYTES_MAX: usize = 64 * 1024;

/// Why an answer is no TwiML.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TwimlError {
    #[error("the document has {0} bytes, more than 64 KB")]
    TooLong(usize),
    #[error("not well-formed XML: {0}")]
    Xml(String),
    #[error("the root is <{0}>, not <Response>")]
    Root(String),
    #[error("the verb <{0}> is unknown")]
    UnknownVerb(String),
    #[error("<{parent}> cannot hold <{child}>")]
    Nesting { parent: String, child: String },
    #[error("<{element}> has no attribute {attribute:?}")]
    Attribute { element: String, attribute: String },
    #[error("<{element}> lacks {attribute:?}")]
    Missing { element: String, attribute: String },
    #[error("the content type {0:?} is not XML (12300)")]
    ContentType(String),
}

/// A TwiML document: its verbs in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Twiml {
    pub verbs: Vec<Verb>,
}

/// The verbs that a voice application uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verb {
    Connect(Box<Connect>),
    Say(String),
    Play(String),
    /// Seconds.
    Pause(u64),
    Hangup,
    /// The reason, `rejected` or `busy`.
    Reject(String),
    /// Whom to call: the text, or that of the first nested noun.
    Dial(String),
    Enqueue(String),
    /// Where the next TwiML comes from.
    Redirect(String),
    /// Any other known verb, such as `Start`; skipped.
    Other(String),
}

/// `<Connect><ConversationRelay>`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Connect {
    /// Requested when the session ends.
    pub action: Option<String>,
    /// `POST` unless said otherwise.
    pub method: Option<String>,
    /// The noun's attributes in order, unescaped.
    pub attributes: Vec<(String, String)>,
    /// `<Parameter>`: name and value.
    pub parameters: Vec<(String, String)>,
    /// The attributes of each `<Language>`.
    pub languages: Vec<Vec<(String, String)>>,
}

impl Connect {
    /// An attribute of the noun.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The relay's `url`.
    pub fn url(&self) -> &str {
        self.attribute("url").unwrap_or_default()
    }
}

impl Twiml {
    /// Reads a document.
    pub fn parse(text: &str) -> Result<Self, TwimlError> {
        if text.len() > TWIML_BYTES_MAX {
            return Err(TwimlError::TooLong(text.len()));
        }
        let root = element::tree(text)?;
        if root.name != "Response" {
            return Err(TwimlError::Root(root.name));
        }
        let verbs = root
            .children
            .into_iter()
            .map(verb)
            .collect::<Result<_, _>>()?;
        Ok(Self { verbs })
    }

    /// The first `<Connect><ConversationRelay>`.
    pub fn relay(&self) -> Option<&Connect> {
        self.verbs.iter().find_map(|verb| match verb {
            Verb::Connect(connect) => Some(connect.as_ref()),
            _ => None,
        })
    }

    /// What `<Say>` speaks, in order.
    pub fn said(&self) -> Vec<&str> {
        let mut said = Vec::new();
        for verb in &self.verbs {
            if let Verb::Say(text) = verb {
                said.push(text.as_str());
            }
        }
        said
    }
}

fn verb(mut element: Element) -> Result<Verb, TwimlError> {
    Ok(match element.name.as_str() {
        "Connect" => Verb::Connect(Box::new(connect(element)?)),
        "Say" => {
            element.allow(&["voice", "language", "loop"])?;
            Verb::Say(element.spoken())
        }
        "Play" => Verb::Play(element.spoken()),
        "Pause" => {
            element.allow(&["length"])?;
            let length = element.take("length").unwrap_or_else(|| "1".into());
            Verb::Pause(
                length
                    .parse()
                    .map_err(|_| element.lacks("a length in seconds"))?,
            )
        }
        "Hangup" => {
            element.allow(&[])?;
            Verb::Hangup
        }
        "Reject" => {
            element.allow(&["reason"])?;
            Verb::Reject(element.take("reason").unwrap_or_else(|| "rejected".into()))
        }
        "Dial" => Verb::Dial(element.addressee()),
        "Enqueue" => Verb::Enqueue(element.addressee()),
        "Redirect" => {
            element.allow(&["method"])?;
            Verb::Redirect(element.spoken())
        }
        "Start" | "Stop" | "Gather" | "Record" | "Leave" | "Refer" | "Prompt" | "Sms" => {
            Verb::Other(element.name)
        }
        _ => return Err(TwimlError::UnknownVerb(element.name)),
    })
}

fn connect(mut element: Element) -> Result<Connect, TwimlError> {
    element.allow(&["action", "method"])?;
    let mut made = Connect {
        action: element.take("action"),
        method: element.take("method"),
        ..Connect::default()
    };
    let noun = match element.children.pop() {
        None => return Err(element.lacks("ConversationRelay")),
        Some(noun) if noun.name == "ConversationRelay" && element.children.is_empty() => noun,
        Some(noun) => return Err(element.misplaced(&noun)),
    };
    made.attributes = noun.attributes.clone();
    if made.url().is_empty() {
        return Err(noun.lacks("url"));
    }
    for child in &noun.children {
        match child.name.as_str() {
            "Parameter" => made.parameters.push(parameter(child)?),
            "Language" if child.attribute("code").is_none() => return Err(child.lacks("code")),
            "Language" => made.languages.push(child.attributes.clone()),
            "Failover" => {}
            _ => return Err(noun.misplaced(child)),
        }
    }
    Ok(made)
}

fn parameter(element: &Element) -> Result<(String, String), TwimlError> {
    element.allow(&["name", "value"])?;
    let of = |name: &str| {
        element
            .attribute(name)
            .map(str::to_owned)
            .ok_or_else(|| element.lacks(name))
    };
    Ok((of("name")?, of("value")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RELAY: &str = r##"<?xml version="1.0" encoding="UTF-8"?>
<Response><Connect action="https://h.example/over?a=1&amp;b=2"><ConversationRelay url="wss://h.example/relay"
 welcomeGreeting="Tom &amp; Jo&#39;s, &lt;hello&gt;"><Language code="es-MX" voice="x"/>
 <Parameter name="ref" value="&quot;q&quot;"/></ConversationRelay></Connect></Response>"##;

    #[test]
    fn a_relay_is_read_with_everything_unescaped() {
        let twiml = Twiml::parse(RELAY).unwrap();
        let connect = twiml.relay().unwrap();
        assert_eq!(
            connect.action.as_deref(),
            Some("https://h.example/over?a=1&b=2")
        );
        assert_eq!(
            connect.attribute("welcomeGreeting"),
            Some("Tom & Jo's, <hello>")
        );
        assert_eq!(connect.parameters, [("ref".to_owned(), "\"q\"".to_owned())]);
        assert_eq!(
            connect.languages[0][0],
            ("code".to_owned(), "es-MX".to_owned())
        );
    }

    #[test]
    fn plain_verbs_are_read_in_order() {
        let text = "<Response><Say>Rock &amp; <break/>roll</Say><Pause length=\"2\"/><Dial><Number>+1555</Number></Dial><Hangup/></Response>";
        let twiml = Twiml::parse(text).unwrap();
        assert_eq!(
            twiml.verbs,
            [
                Verb::Say("Rock & roll".into()),
                Verb::Pause(2),
                Verb::Dial("+1555".into()),
                Verb::Hangup
            ]
        );
    }

    #[test]
    fn what_twilio_refuses_is_refused() {
        for (text, why) in [
            ("", "empty"),
            ("OK", "text"),
            ("<Response>", "unclosed"),
            ("<Response/><Response/>", "two roots"),
            ("<Response><Say>a & b</Say></Response>", "a bare ampersand"),
            ("<Response><Talk/></Response>", "an unknown verb"),
            ("<Html/>", "another root"),
            ("<Response><Connect/></Response>", "nothing to connect"),
            (
                "<Response><Connect><ConversationRelay/></Connect></Response>",
                "no url",
            ),
            (
                "<Response><Connect wait='1'><ConversationRelay url='wss://h'/></Connect></Response>",
                "a strange attribute",
            ),
            (
                "<Response><Connect><ConversationRelay url='wss://h'><Parameter name='a'/></ConversationRelay></Connect></Response>",
                "no value",
            ),
            (
                "<Response><Connect><ConversationRelay url='wss://h' url='wss://i'/></Connect></Response>",
                "an attribute twice",
            ),
        ] {
            assert!(Twiml::parse(text).is_err(), "{why}");
        }
    }

    #[test]
    fn a_document_over_64_kb_is_refused() {
        let text = format!(
            "<Response><Say>{}</Say></Response>",
            "x".repeat(TWIML_BYTES_MAX)
        );
        assert!(matches!(Twiml::parse(&text), Err(TwimlError::TooLong(_))));
    }
}
