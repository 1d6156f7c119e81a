//! The types of some well-known species, from general knowledge.

/// A species the script knows.
pub(super) struct Species {
    /// As it is spoken.
    pub name: &'static str,
    /// One or two types.
    pub types: &'static [&'static str],
}

const fn known(name: &'static str, types: &'static [&'static str]) -> Species {
    Species { name, types }
}

static SPECIES: &[Species] = &[
    known("Abra", &["psychic"]),
    known("Arcanine", &["fire"]),
    known("Articuno", &["ice", "flying"]),
    known("Blastoise", &["water"]),
    known("Bulbasaur", &["grass", "poison"]),
    known("Charizard", &["fire", "flying"]),
    known("Charmander", &["fire"]),
    known("Charmeleon", &["fire"]),
    known("Chikorita", &["grass"]),
    known("Cyndaquil", &["fire"]),
    known("Ditto", &["normal"]),
    known("Dragonite", &["dragon", "flying"]),
    known("Eevee", &["normal"]),
    known("Garchomp", &["dragon", "ground"]),
    known("Gardevoir", &["psychic", "fairy"]),
    known("Gengar", &["ghost", "poison"]),
    known("Geodude", &["rock", "ground"]),
    known("Greninja", &["water", "dark"]),
    known("Gyarados", &["water", "flying"]),
    known("Jigglypuff", &["normal", "fairy"]),
    known("Lapras", &["water", "ice"]),
    known("Lucario", &["fighting", "steel"]),
    known("Lugia", &["psychic", "flying"]),
    known("Machop", &["fighting"]),
    known("Magikarp", &["water"]),
    known("Meowth", &["normal"]),
    known("Mew", &["psychic"]),
    known("Mewtwo", &["psychic"]),
    known("Onix", &["rock", "ground"]),
    known("Pikachu", &["electric"]),
    known("Psyduck", &["water"]),
    known("Raichu", &["electric"]),
    known("Snorlax", &["normal"]),
    known("Squirtle", &["water"]),
    known("Togepi", &["fairy"]),
    known("Totodile", &["water"]),
    known("Umbreon", &["dark"]),
    known("Venusaur", &["grass", "poison"]),
    known("Vulpix", &["fire"]),
    known("Wooper", &["water", "ground"]),
];

/// The first species named in `heard` (lower-case words); a possessive counts.
pub(super) fn named_in(heard: &[String]) -> Option<&'static Species> {
    heard.iter().find_map(|word| {
        SPECIES.iter().find(|species| {
            let rest = word.strip_prefix(species.name.to_lowercase().as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest == "s")
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_species_is_found_by_its_name_and_has_one_or_two_types() {
        for species in SPECIES {
            let word = species.name.to_lowercase();
            assert_eq!(
                named_in(&[word]).map(|found| found.name),
                Some(species.name)
            );
            assert!(matches!(species.types.len(), 1 | 2));
        }
        assert!(SPECIES.is_sorted_by_key(|species| species.name));
    }
}
