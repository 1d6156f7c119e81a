//! Places and things that have the names of people: "Phoenix, Arizona", "Chelsea boots", "Mercedes Benz". Where no cue
//! says that it is a name, such a turn is asked back, or names nobody.

use super::cue::capped;
use super::grammar::Role;
use super::reader::{Reader, Reading};
use super::token::Break;
use super::wordlist::Word;

/// What is asked back rather than captured.
const ASKED_BACK: f32 = 0.6;
/// From this count (half-logs) on a place is as well a first name: Georgia, Virginia.
const GIVEN_HALF_LOGS_MIN: i32 = 32;
/// Regions of two words.
const REGIONS: [&str; 24] = [
    "north carolina",
    "south carolina",
    "north dakota",
    "south dakota",
    "west virginia",
    "new york",
    "new jersey",
    "new mexico",
    "new hampshire",
    "rhode island",
    "puerto rico",
    "british columbia",
    "nova scotia",
    "new brunswick",
    "new zealand",
    "new south",
    "south africa",
    "south korea",
    "north korea",
    "south australia",
    "western australia",
    "northern ireland",
    "united kingdom",
    "united states",
];
/// Regions of one word that no list of countries and states has.
const SHORT_REGIONS: [&str; 6] = ["uk", "usa", "england", "scotland", "wales", "dc"];
/// With these a place begins, and hardly ever a name of several words.
const PLACE_OPENERS: [&str; 9] = [
    "san", "santa", "fort", "saint", "st", "los", "las", "mount", "port",
];
/// What is said of somebody from a place.
const FROM_PLACE: [&str; 5] = ["based", "born", "area", "native", "resident"];
/// Makes and dishes that begin with the name of a person or are one, and further places.
const MAKES: [&str; 55] = [
    "alfa romeo",
    "aston martin",
    "aunt jemima",
    "ben and jerry's",
    "betty crocker",
    "calvin klein",
    "captain morgan",
    "chanel",
    "charles schwab",
    "christian dior",
    "coco chanel",
    "dolce gabbana",
    "dr pepper",
    "elizabeth arden",
    "estee lauder",
    "giorgio armani",
    "goldman sachs",
    "harley davidson",
    "harry potter",
    "hugo boss",
    "jack daniels",
    "jack daniel's",
    "jim beam",
    "jimmy choo",
    "john deere",
    "johnnie walker",
    "johnny walker",
    "kate spade",
    "lexus",
    "little caesars",
    "louis vuitton",
    "madison square",
    "marc jacobs",
    "mary kay",
    "max mara",
    "mercedes benz",
    "mercedes-benz",
    "merrill lynch",
    "michael kors",
    "morgan stanley",
    "oscar mayer",
    "papa john's",
    "pierre cardin",
    "ralph lauren",
    "ray ban",
    "ronald mcdonald",
    "sam adams",
    "sara lee",
    "stella artois",
    "stella mccartney",
    "tesla",
    "tommy hilfiger",
    "uncle ben's",
    "virginia beach",
    "wells fargo",
];

/// First names that are as well towns, makes, plants, stones or dishes: what stands behind them may be a thing. Behind
/// others a noun is a misheard surname, more often than not ("Geraldine boots", "Nicola cheese").
const NAMES_OF_THINGS: &str = "alfredo amber austin barbie basil benedict berlin boston brooklyn caesar carmen carolina \
    charlotte chelsea daisy dallas denver diesel florence ford frank georgia ginger hamilton houston jasmine jordan kobe \
    lexus lincoln london madison margarita mercedes olive orlando oxford paris pearl phoenix rose rosemary ruby savannah \
    stella sydney tesla victoria virginia";
/// Things that are sold and asked for.
const THINGS: &str = "airport alert ale beach beef bread butter cake car cheese chicken club coffee cream cruise dress \
    earring fc flight garden gown handbag jacket jewelry lamp line loan lotion makeup mall menu necklace oil pasta \
    perfume phone pizza plant policy purse rice ring rug salad sandwich sauce sausage shampoo shirt shoe sofa soup stadium \
    station steak sweater tea ticket tunnel university watch whiskey wine yogurt";
/// Letters of a plural at least.
const PLURAL_CHARS_MIN: usize = 4;
/// Letters of a place's name at least, behind a town without a pause.
const PLACE_CHARS_MIN: usize = 4;

impl Reader<'_> {
    /// A reading without a strong cue, as far as the words around it let it be a person.
    pub fn of_person(&self, reading: Reading) -> Option<Reading> {
        let (start, end) = (reading.words.start, reading.words.end);
        if self.is_region_behind_town(start, end) || self.is_town_in_region(start, end) {
            return None;
        }
        let next = self.turn.folded(end);
        if self.turn.pause_before(end) == Break::None && FROM_PLACE.contains(&next) {
            return None;
        }
        let region = self.region(end);
        let is_asked_back = region.is_some() && self.turn.pause_before(end) == Break::Comma
            || self.is_listed_thing(start)
            || self.is_made_of_thing(start, end)
            || end - start > 1 && PLACE_OPENERS.contains(&self.turn.folded(start));
        Some(match is_asked_back {
            true => capped(reading, ASKED_BACK),
            false => reading,
        })
    }

    /// "Phoenix, Arizona" where the surname was taken to stand first.
    fn is_region_behind_town(&self, start: usize, end: usize) -> bool {
        end == start + 1
            && start > 0
            && self.turn.pause_before(start) == Break::Comma
            && is_only_place(self.turn.tokens[start].word)
    }

    /// "Austin, Texas", "Madison Wisconsin", "Brooklyn New York".
    fn is_town_in_region(&self, start: usize, end: usize) -> bool {
        let sure = |at: usize| self.region(at) == Some(Sureness::Region);
        let behind = self.turn.pause_before(end) == Break::Comma && sure(end);
        let joined = |at: usize| {
            let surname = self.turn.tokens[at].word.surname() > 1 && self.region_words(at) == 1;
            let long = self.turn.folded(at).len() >= PLACE_CHARS_MIN;
            sure(at) && long && !surname && self.pauses_at(at + self.region_words(at))
        };
        let within = (start + 1..end).any(joined);
        let right_behind = self.turn.pause_before(end) == Break::None
            && end < self.turn.tokens.len()
            && joined(end);
        behind || within || right_behind
    }

    /// The region that is named at a word.
    fn region(&self, at: usize) -> Option<Sureness> {
        let token = self.turn.tokens.get(at)?;
        if self.region_words(at) > 1 || SHORT_REGIONS.contains(&self.turn.folded(at)) {
            return Some(Sureness::Region);
        }
        token
            .word
            .is_place()
            .then(|| match is_only_place(token.word) {
                true => Sureness::Region,
                false => Sureness::PerhapsName,
            })
    }

    fn region_words(&self, at: usize) -> usize {
        let next = at + 1;
        let joined = next < self.turn.tokens.len() && self.turn.pause_before(next) == Break::None;
        let both = || format!("{} {}", self.turn.folded(at), self.turn.folded(next));
        1 + usize::from(joined && REGIONS.contains(&both().as_str()))
    }

    /// "Mercedes Benz", word by word from the first of the name on.
    fn is_listed_thing(&self, start: usize) -> bool {
        MAKES.iter().any(|thing| {
            let mut words = thing.split(' ').enumerate();
            words.all(|(index, word)| self.turn.folded(start + index) == word)
        })
    }

    /// "Chelsea boots", "Caesar salad": a first name, and a thing that ends the clause.
    fn is_made_of_thing(&self, start: usize, end: usize) -> bool {
        let last = match end - start {
            1 if self.turn.pause_before(end) == Break::None => end,
            1 => return false,
            _ => end - 1,
        };
        let Some(thing) = self.turn.tokens.get(last) else {
            return false;
        };
        let first = self.turn.folded(start);
        let known = NAMES_OF_THINGS.split_whitespace().any(|name| name == first);
        let role = Role::FILLER
            .or(Role::TAIL)
            .or(Role::DETAIL)
            .or(Role::NAME_KIND)
            .or(Role::NEVER);
        known
            && self.turn.language.is_english()
            && !thing.is(role)
            && is_thing(self.turn.folded(last), thing.word)
            && self.pauses_at(last + 1)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sureness {
    Region,
    /// It is a frequent first name as well.
    PerhapsName,
}

fn is_only_place(word: Word) -> bool {
    word.is_place() && word.half_logs() < GIVEN_HALF_LOGS_MIN
}

/// A listed thing, or the plural of a common word that is no frequent surname.
fn is_thing(folded: &str, word: Word) -> bool {
    let is_plural = folded.ends_with('s')
        && !folded.ends_with("ss")
        && folded.len() >= PLURAL_CHARS_MIN
        && word.band() > 0
        && !word.is_stop()
        && word.surname() < 3;
    is_plural || THINGS.split_whitespace().any(|thing| thing == folded)
}
