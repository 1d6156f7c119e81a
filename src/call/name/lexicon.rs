//! The words and phrases by which people introduce themselves, language by language.
//!
//! Everything is written folded (lower case, no accents). Phrases: see
//! [`Grammar`](super::grammar::Grammar).

mod english;
mod germanic;
pub mod japanese;
mod polish;
mod romance;

use super::grammar::{Act, Role};
use super::language::Language;

/// A share of a language's lexicon.
pub struct Part {
    pub roles: &'static [(Role, &'static str)],
    pub phrases: &'static [(Act, &'static str)],
}

/// What the default persona's world calls people and things: said before a name ("Gym Leader
/// Brock"), never one. Each form is matched folded ("Pokémon" is "pokemon").
pub const BRAND: &str = "pokemon pokemons pokedex pokeball pokeballs pokestop pokemart poke trainer trainers professor prof gym \
     gyms leader leaders champion elite arenaleiter entrenador entrenadora dresseur dresseuse allenatore allenatrice \
     treinador treinadora trener trenerka capopalestra lider professore profesor profesora professeur";

/// Whether a folded word is one of [`BRAND`].
pub fn is_brand(folded: &str) -> bool {
    BRAND.split_ascii_whitespace().any(|word| word == folded)
}

/// Hesitations and titles that recognisers write alike in every language.
const UNIVERSAL: Part = Part {
    roles: &[
        (
            Role::HESITATION,
            "uh uhm umm uhh uhhh ehm hmm hm mm mmm mhm mh ah euh ahm hmmm ummm yyy eee eem",
        ),
        (Role::TITLE, "dr mr mrs ms doctor prof professor"),
        (Role::TITLE, BRAND),
        (
            Role::PARTICLE,
            "van von der den de la le da di del della dos das du bin ibn al el ter ten zu mac mc o st san d l",
        ),
    ],
    phrases: &[],
};

/// The parts of a language; English for a language without its own.
pub fn of(language: Language) -> Vec<&'static Part> {
    match language {
        Language::Spanish => vec![&UNIVERSAL, &romance::SPANISH],
        Language::Portuguese => vec![&UNIVERSAL, &romance::PORTUGUESE],
        Language::Italian => vec![&UNIVERSAL, &romance::ITALIAN],
        Language::French => vec![&UNIVERSAL, &romance::FRENCH],
        Language::German => vec![&UNIVERSAL, &germanic::GERMAN],
        Language::Dutch => vec![&UNIVERSAL, &germanic::DUTCH],
        Language::Polish => vec![&UNIVERSAL, &polish::POLISH],
        Language::English | Language::Japanese | Language::Other => {
            vec![
                &UNIVERSAL,
                &english::WORDS,
                &english::CUES,
                &english::OTHERS,
            ]
        }
    }
}
