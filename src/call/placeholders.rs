//! What stands in braces and brackets in a spoken sentence, and what is put there.

/// A part in these is left out where its placeholder has nothing to stand for.
const OPTIONAL: [char; 2] = ['[', ']'];
/// The one placeholder that an optional part may have.
const TOPIC: &str = "{topic}";

/// `text` with house and topic in it. Where there is no topic, the parts in brackets that name it are
/// left out; other placeholders stay.
pub(super) fn fill(text: &str, house: &str, topic: Option<&str>) -> String {
    let mut filled = String::with_capacity(text.len() + house.len());
    let mut rest = text;
    while let Some((before, inside, after)) = next_optional(rest) {
        filled.push_str(before);
        if topic.is_some() {
            filled.push_str(inside);
        }
        rest = after;
    }
    filled.push_str(rest);
    filled
        .replace("{house}", house)
        .replace(TOPIC, topic.unwrap_or_default())
}

/// What is wrong with the placeholders of a sentence that may have those in `allowed` beside house and
/// topic: the piece, and what to do. `has_topic`: the persona has a topic in its language.
pub(super) fn fault<'t>(
    text: &'t str,
    allowed: &[&str],
    has_topic: bool,
) -> Option<(&'t str, String)> {
    let mut outside = String::new();
    let mut rest = text;
    while let Some((before, inside, after)) = next_optional(rest) {
        if !inside.contains(TOPIC) || inside.contains(OPTIONAL) {
            let remedy = "in brackets stands what is left out where there is no {topic}";
            return Some((inside, remedy.to_owned()));
        }
        outside.push_str(before);
        rest = after;
    }
    outside.push_str(rest);
    if outside.contains(OPTIONAL) {
        let remedy = "has a bracket without its other half: it would be spoken as it stands";
        return Some((text, remedy.to_owned()));
    }
    if !has_topic && outside.contains(TOPIC) {
        let remedy = "has no persona.topic in this language: set it, or put what names it in [ ]";
        return Some((TOPIC, remedy.to_owned()));
    }
    let known = |placeholder: &str| {
        ["{house}", TOPIC].contains(&placeholder) || allowed.contains(&placeholder)
    };
    let unknown = unknown(text, known)?;
    let filled = [allowed, &["{house}", TOPIC]].concat().join(", ");
    let remedy = format!("would be spoken as it stands: filled in here are {filled}");
    Some((unknown, remedy))
}

/// The first `{…}` that is not known; one without its end counts.
fn unknown(text: &str, known: impl Fn(&str) -> bool) -> Option<&str> {
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
fn next_optional(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once(OPTIONAL[0])?;
    let (inside, after) = rest.split_once(OPTIONAL[1])?;
    Some((before, inside, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_does_without_a_topic() {
        let text = "Welcome to {house}, {name}! What[ {topic}] would you like?";
        assert_eq!(
            fill(text, "Mount Moon Books", Some("books")),
            "Welcome to Mount Moon Books, {name}! What books would you like?"
        );
        assert_eq!(
            fill(text, "Mount Moon Books", None),
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
            let found = fault(text, &["{name}"], false).map(|(piece, _)| piece);
            assert_eq!(found, Some(piece), "{text}");
        }
        for text in ["{house}, {name}.", "What[ {topic}] now?", "Hello."] {
            assert_eq!(fault(text, &["{name}"], false), None, "{text}");
        }
        assert_eq!(fault("What {topic} now?", &[], true), None);
    }
}
