//! What stands in braces and brackets in a spoken sentence, and what is put there.

/// A part in these is left out where its placeholder has nothing to stand for.
const OPTIONAL_BRACKETS: [char; 2] = ['[', ']'];
/// The one placeholder that an optional part may have.
const TOPIC_PLACEHOLDER: &str = "{topic}";

/// `text` with business name and topic in it. Where there is no topic, the parts in brackets that name it are
/// left out; other placeholders stay.
pub(super) fn fill_persona(text: &str, business_name: &str, topic: Option<&str>) -> String {
    let mut filled = String::with_capacity(text.len() + business_name.len());
    let mut rest = text;
    while let Some((before, inside, after)) = split_optional(rest) {
        filled.push_str(before);
        if topic.is_some() {
            filled.push_str(inside);
        }
        rest = after;
    }
    filled.push_str(rest);
    filled
        .replace("{business}", business_name)
        .replace(TOPIC_PLACEHOLDER, topic.unwrap_or_default())
}

/// What is wrong with the placeholders of a sentence that may have those in `allowed` beside the business name and
/// topic: the piece, and what to do. `has_topic`: the persona has a topic in its language.
pub(super) fn placeholder_error<'t>(
    text: &'t str,
    allowed: &[&str],
    has_topic: bool,
) -> Option<(&'t str, String)> {
    let mut outside = String::new();
    let mut rest = text;
    while let Some((before, inside, after)) = split_optional(rest) {
        if !inside.contains(TOPIC_PLACEHOLDER) || inside.contains(OPTIONAL_BRACKETS) {
            let hint = "in brackets stands what is left out where there is no {topic}";
            return Some((inside, hint.to_owned()));
        }
        outside.push_str(before);
        rest = after;
    }
    outside.push_str(rest);
    if outside.contains(OPTIONAL_BRACKETS) {
        let hint = "has a bracket without its other half: it would be spoken as it stands";
        return Some((text, hint.to_owned()));
    }
    if !has_topic && outside.contains(TOPIC_PLACEHOLDER) {
        let hint = "has no persona.topic in this language: set it, or put what names it in [ ]";
        return Some((TOPIC_PLACEHOLDER, hint.to_owned()));
    }
    let known = |placeholder: &str| {
        ["{business}", TOPIC_PLACEHOLDER].contains(&placeholder) || allowed.contains(&placeholder)
    };
    let unknown = first_unknown(text, known)?;
    let filled = [allowed, &["{business}", TOPIC_PLACEHOLDER]]
        .concat()
        .join(", ");
    let hint = format!("would be spoken as it stands: filled in here are {filled}");
    Some((unknown, hint))
}

/// The first `{…}` that is not known; one without its end counts.
fn first_unknown(text: &str, known: impl Fn(&str) -> bool) -> Option<&str> {
    let mut rest = text;
    while let Some(start) = rest.find('{') {
        let end = rest[start..]
            .find('}')
            .map_or(rest.len(), |end| start + end + 1);
        let placeholder = &rest[start..end];
        if !known(placeholder) {
            return Some(placeholder);
        }
        rest = &rest[end..];
    }
    None
}

/// The text before the next part in brackets, the part, and what follows it.
fn split_optional(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once(OPTIONAL_BRACKETS[0])?;
    let (inside, after) = rest.split_once(OPTIONAL_BRACKETS[1])?;
    Some((before, inside, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_does_without_a_topic() {
        let text = "Welcome to {business}, {name}! What[ {topic}] would you like?";
        assert_eq!(
            fill_persona(text, "Mount Moon Books", Some("books")),
            "Welcome to Mount Moon Books, {name}! What books would you like?"
        );
        assert_eq!(
            fill_persona(text, "Mount Moon Books", None),
            "Welcome to Mount Moon Books, {name}! What would you like?"
        );
    }

    #[test]
    fn what_would_be_spoken_as_it_stands_is_found() {
        for (text, piece) in [
            ("Hi {nmae}!", "{nmae}"),
            ("Hi {languages}!", "{languages}"),
            ("Bye {", "{"),
            ("[laughs] Hello!", "laughs"),
            ("What[ {topic} now?", "What[ {topic} now?"),
            ("What] now?", "What] now?"),
            ("What {topic} now?", "{topic}"),
            ("What[ {topic} {other}] now?", "{other}"),
        ] {
            let found = placeholder_error(text, &["{name}"], false).map(|(piece, _)| piece);
            assert_eq!(found, Some(piece), "{text}");
        }
        for text in ["{business}, {name}.", "What[ {topic}] now?", "Hello."] {
            assert_eq!(placeholder_error(text, &["{name}"], false), None, "{text}");
        }
        assert_eq!(placeholder_error("What {topic} now?", &[], true), None);
    }
}
