//! Places and brands that share the names of people: "Phoenix, Arizona", "Chelsea boots", "Mercedes
//! Benz". Without a cue the agent confirms such a name, or there is none.

use super::cue_candidates::with_confidence_max;
use super::name_reader::{NameReader, NameSpan};
use super::token::Pause;
use super::word_class::WordClass;
use super::wordlist::WordEntry;

/// Confidence of a name that the agent confirms with the caller.
const CONFIRM_CONFIDENCE: f32 = 0.6;
/// From this frequency (half-logs) on a place is also a first name: Georgia, Virginia.
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
/// Words that follow the name of a place a person comes from.
const ORIGIN_WORDS: [&str; 5] = ["based", "born", "area", "native", "resident"];
/// Makes and dishes that begin with the name of a person or are one, and further places.
const BRANDS_AND_PLACES: [&str; 55] = [
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

/// First names that are also towns, brands, plants, stones or dishes: a noun after them may be a thing.
/// After other names a noun is mostly a misheard surname ("Geraldine boots", "Nicola cheese").
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

impl NameReader<'_> {
    /// A reading without a strong cue: unchanged, with its confidence lowered, or `None` if the words around
    /// it make it a place or a thing.
    pub fn checked_as_person(&self, reading: NameSpan) -> Option<NameSpan> {
        let (start, end) = (reading.words.start, reading.words.end);
        if self.is_region_behind_town(start, end) || self.is_town_in_region(start, end) {
            return None;
        }
        let next = self.turn.folded(end);
        if self.turn.pause_before(end) == Pause::None && ORIGIN_WORDS.contains(&next) {
            return None;
        }
        let region = self.region(end);
        let is_asked_back = region.is_some() && self.turn.pause_before(end) == Pause::Comma
            || self.is_listed_thing(start)
            || self.is_made_of_thing(start, end)
            || end - start > 1 && PLACE_OPENERS.contains(&self.turn.folded(start));
        Some(match is_asked_back {
            true => with_confidence_max(reading, CONFIRM_CONFIDENCE),
            false => reading,
        })
    }

    /// "Phoenix, Arizona" where the surname was taken to stand first.
    fn is_region_behind_town(&self, start: usize, end: usize) -> bool {
        end == start + 1
            && start > 0
            && self.turn.pause_before(start) == Pause::Comma
            && is_only_place(self.turn.tokens[start].entry)
    }

    /// "Austin, Texas", "Madison Wisconsin", "Brooklyn New York".
    fn is_town_in_region(&self, start: usize, end: usize) -> bool {
        let sure = |at: usize| self.region(at) == Some(RegionMatch::Region);
        let behind = self.turn.pause_before(end) == Pause::Comma && sure(end);
        let joined = |at: usize| {
            let surname =
                self.turn.tokens[at].entry.surname_rank() > 1 && self.region_words(at) == 1;
            let long = self.turn.folded(at).len() >= PLACE_CHARS_MIN;
            sure(at) && long && !surname && self.is_clause_end(at + self.region_words(at))
        };
        let within = (start + 1..end).any(joined);
        let right_behind = self.turn.pause_before(end) == Pause::None
            && end < self.turn.tokens.len()
            && joined(end);
        behind || within || right_behind
    }

    /// The region that is named at a word.
    fn region(&self, at: usize) -> Option<RegionMatch> {
        let token = self.turn.tokens.get(at)?;
        if self.region_words(at) > 1 || SHORT_REGIONS.contains(&self.turn.folded(at)) {
            return Some(RegionMatch::Region);
        }
        token
            .entry
            .is_place()
            .then(|| match is_only_place(token.entry) {
                true => RegionMatch::Region,
                false => RegionMatch::RegionOrName,
            })
    }

    fn region_words(&self, at: usize) -> usize {
        let next = at + 1;
        let joined = next < self.turn.tokens.len() && self.turn.pause_before(next) == Pause::None;
        let both = || format!("{} {}", self.turn.folded(at), self.turn.folded(next));
        1 + usize::from(joined && REGIONS.contains(&both().as_str()))
    }

    /// "Mercedes Benz", word by word from the first of the name on.
    fn is_listed_thing(&self, start: usize) -> bool {
        BRANDS_AND_PLACES.iter().any(|thing| {
            let mut words = thing.split(' ').enumerate();
            words.all(|(index, word)| self.turn.folded(start + index) == word)
        })
    }

    /// "Chelsea boots", "Caesar salad": a first name, and a thing that ends the clause.
    fn is_made_of_thing(&self, start: usize, end: usize) -> bool {
        let last = match end - start {
            1 if self.turn.pause_before(end) == Pause::None => end,
            1 => return false,
            _ => end - 1,
        };
        let Some(thing) = self.turn.tokens.get(last) else {
            return false;
        };
        let first = self.turn.folded(start);
        let known = NAMES_OF_THINGS.split_whitespace().any(|name| name == first);
        let role = WordClass::FILLER
            .union(WordClass::TAIL)
            .union(WordClass::DETAIL)
            .union(WordClass::NAME_KIND)
            .union(WordClass::NEVER);
        known
            && self.turn.language.is_english()
            && !thing.has_class(role)
            && is_thing(self.turn.folded(last), thing.entry)
            && self.is_clause_end(last + 1)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum RegionMatch {
    Region,
    /// It is a frequent first name as well.
    RegionOrName,
}

fn is_only_place(word: WordEntry) -> bool {
    word.is_place() && word.first_name_half_logs() < GIVEN_HALF_LOGS_MIN
}

/// A listed thing, or the plural of a common word that is no frequent surname.
fn is_thing(folded: &str, word: WordEntry) -> bool {
    let is_plural = folded.ends_with('s')
        && !folded.ends_with("ss")
        && folded.len() >= PLURAL_CHARS_MIN
        && word.frequency_band() > 0
        && !word.is_stop_word()
        && word.surname_rank() < 3;
    is_plural || THINGS.split_whitespace().any(|thing| thing == folded)
}
