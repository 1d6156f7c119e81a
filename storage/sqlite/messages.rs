//! `conversations.messages`: one JSON array, each element a turn. Elements that an older program
//! wrote, without a place of their own, are kept as they are and come first.

use crate::record::{Turn, TurnKey, TurnKind, TurnRole};
use serde_json::{Value, json};

/// The array of a conversation's column.
pub(crate) struct ConversationMessages(Vec<Value>);

impl ConversationMessages {
    /// Reads the column. Text that is no array is kept as one note, so that nothing is lost.
    pub(crate) fn parse(column: Option<&str>) -> Self {
        let text = column.unwrap_or_default().trim();
        if text.is_empty() {
            return Self(Vec::new());
        }
        match serde_json::from_str(text) {
            Ok(Value::Array(elements)) => Self(elements),
            _ => Self(vec![
                json!({ "role": "system", "content": text, "kind": "note" }),
            ]),
        }
    }

    /// The text for the column.
    pub(crate) fn to_column(&self) -> String {
        serde_json::to_string(&self.0).expect("JSON values are JSON")
    }

    /// The places of all elements that have one.
    pub(crate) fn keys(&self) -> Vec<TurnKey> {
        self.0.iter().filter_map(key_of).collect()
    }

    /// Takes `turn` in at its place; if one is there, only a higher revision replaces it. Whether
    /// anything changed.
    pub(crate) fn merge(&mut self, turn: &Turn) -> bool {
        let element = serde_json::to_value(turn).expect("a turn is JSON");
        let key = turn.key();
        let at = self
            .0
            .partition_point(|known| key_of(known).is_none_or(|known| known < key));
        match self
            .0
            .get_mut(at)
            .filter(|known| key_of(known) == Some(key))
        {
            Some(known) if revision_of(known) < turn.revision => *known = element,
            Some(_) => return false,
            None => self.0.insert(at, element),
        }
        true
    }

    /// The elements as turns; those without a place are counted on from 0.
    pub(crate) fn turns(&self) -> Vec<Turn> {
        self.0
            .iter()
            .enumerate()
            .map(|(index, element)| turn_of(element, index))
            .collect()
    }
}

fn key_of(element: &Value) -> Option<TurnKey> {
    let field = |name: &str| {
        element
            .get(name)
            .and_then(Value::as_u64)
            .and_then(|n| u32::try_from(n).ok())
    };
    Some(TurnKey {
        epoch: field("epoch")?,
        seq: field("seq")?,
    })
}

fn revision_of(element: &Value) -> u32 {
    element
        .get("revision")
        .and_then(Value::as_u64)
        .and_then(|n| u32::try_from(n).ok())
        .unwrap_or(0)
}

fn turn_of(element: &Value, index: usize) -> Turn {
    if let Ok(turn) = serde_json::from_value::<Turn>(element.clone()) {
        return turn;
    }
    let text = |name: &str| {
        element
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let role = TurnRole::parse(text("role")).unwrap_or(TurnRole::System);
    let at = element
        .get("at")
        .or_else(|| element.get("timestamp"))
        .and_then(Value::as_i64)
        .unwrap_or(0);
    let seq = u32::try_from(index).unwrap_or(u32::MAX);
    Turn::new(role, text("content"), at, 0, seq).with_kind(TurnKind::parse(text("kind")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(epoch: u32, seq: u32, words: &str) -> Turn {
        Turn::new(TurnRole::Caller, words, 1, epoch, seq)
    }

    #[test]
    fn a_late_turn_lands_at_its_place_and_only_once() {
        let mut messages = ConversationMessages::parse(Some("[]"));
        assert!(messages.merge(&turn(0, 0, "one")) && messages.merge(&turn(1, 0, "three")));
        assert!(messages.merge(&turn(0, 1, "two")));
        assert!(!messages.merge(&turn(0, 1, "two")));
        let words: Vec<_> = messages
            .turns()
            .into_iter()
            .map(|turn| turn.content)
            .collect();
        assert_eq!(words, ["one", "two", "three"]);
    }

    #[test]
    fn only_a_higher_revision_replaces_a_turn() {
        let mut messages = ConversationMessages::parse(None);
        messages.merge(&Turn {
            revision: 2,
            ..turn(0, 0, "heard")
        });
        assert!(!messages.merge(&Turn {
            revision: 1,
            ..turn(0, 0, "older")
        }));
        assert_eq!(messages.turns()[0].content, "heard");
    }

    #[test]
    fn what_an_older_program_wrote_is_kept_and_comes_first() {
        let mut messages = ConversationMessages::parse(Some(r#"[{"role":"user","content":"hi"}]"#));
        messages.merge(&turn(1, 0, "again"));
        let words: Vec<_> = messages
            .turns()
            .into_iter()
            .map(|turn| turn.content)
            .collect();
        assert_eq!(words, ["hi", "again"]);
        assert_eq!(
            ConversationMessages::parse(Some("not json")).turns()[0].content,
            "not json"
        );
    }
}
