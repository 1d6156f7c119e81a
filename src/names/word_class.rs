//! The classes of words that the language files define.

/// A set of word classes: what a word may do before, in or after a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WordClass(u32);

impl WordClass {
    /// Said before the answer: "yes", "well", "hi", "sure".
    pub const FILLER: WordClass = WordClass(1);
    /// Said after the name: "please", "thanks", "speaking".
    pub const TAIL: WordClass = WordClass(1 << 1);
    /// Begins the next clause after a name: "and", "i", "what".
    pub const STARTER: WordClass = WordClass(1 << 2);
    /// "Dr", "Mrs".
    pub const TITLE: WordClass = WordClass(1 << 3);
    /// Inside a surname: "van", "de", "von".
    pub const PARTICLE: WordClass = WordClass(1 << 4);
    /// Never a name after a cue: "not", "a", "from".
    pub const NEVER: WordClass = WordClass(1 << 5);
    /// "wife", "son", "friend".
    pub const RELATION: WordClass = WordClass(1 << 6);
    /// Left out of the turn: "uh", "um".
    pub const HESITATION: WordClass = WordClass(1 << 7);
    /// Of a courtesy or introduction: not worth an answer of its own.
    pub const COURTESY: WordClass = WordClass(1 << 8);
    /// "first", "full", "given" before "name".
    pub const NAME_KIND: WordClass = WordClass(1 << 9);
    /// "no", "nope".
    pub const NO: WordClass = WordClass(1 << 11);
    /// "actually", "sorry", "I mean": the next name replaces the last.
    pub const RETRACT: WordClass = WordClass(1 << 12);
    /// Months and weekdays.
    pub const CALENDAR: WordClass = WordClass(1 << 13);
    /// Letters' names of the radio alphabet.
    pub const PHONETIC: WordClass = WordClass(1 << 14);
    /// "hi", "hello", "good morning".
    pub const GREETING: WordClass = WordClass(1 << 15);
    /// What a caller gives besides the name: "account", "number", "reservation".
    pub const DETAIL: WordClass = WordClass(1 << 10);

    /// "name": what a refusal is about.
    pub const NAME_NOUN: WordClass = WordClass(1 << 16);

    /// Begins a question: "why", "do".
    pub const QUESTION: WordClass = WordClass(1 << 17);

    /// "thanks", "bye": a name right behind is spoken to.
    pub const PARTING: WordClass = WordClass(1 << 18);

    /// A title by which somebody is addressed: "Mr", "Mrs".
    pub const ADDRESS: WordClass = WordClass(1 << 19);
    /// "first", "given" before "name".
    pub const FIRST_KIND: WordClass = WordClass(1 << 20);
    /// "last", "family" before "name".
    pub const LAST_KIND: WordClass = WordClass(1 << 21);

    pub fn intersects(self, other: WordClass) -> bool {
        self.0 & other.0 != 0
    }

    /// The class of that name in a language file.
    pub fn from_name(class: &str) -> Option<WordClass> {
        Some(match class {
            "filler" => WordClass::FILLER,
            "tail" => WordClass::TAIL,
            "starter" => WordClass::STARTER,
            "title" => WordClass::TITLE,
            "particle" => WordClass::PARTICLE,
            "never" => WordClass::NEVER,
            "relation" => WordClass::RELATION,
            "hesitation" => WordClass::HESITATION,
            "courtesy" => WordClass::COURTESY,
            "name_kind" => WordClass::NAME_KIND,
            "no" => WordClass::NO,
            "retract" => WordClass::RETRACT,
            "calendar" => WordClass::CALENDAR,
            "phonetic" => WordClass::PHONETIC,
            "greeting" => WordClass::GREETING,
            "detail" => WordClass::DETAIL,
            "name_noun" => WordClass::NAME_NOUN,
            "question" => WordClass::QUESTION,
            "address" => WordClass::ADDRESS,
            "first_kind" => WordClass::FIRST_KIND,
            "last_kind" => WordClass::LAST_KIND,
            "parting" => WordClass::PARTING,
            _ => return None,
        })
    }

    /// Both sets.
    pub const fn union(self, other: WordClass) -> WordClass {
        WordClass(self.0 | other.0)
    }
}
