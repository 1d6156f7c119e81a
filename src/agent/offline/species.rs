//! The types of some well-known species, from general knowledge.

/// A species the script knows.
pub(super) struct Species {
    /// As it is spoken.
    pub name: &'static str,
    /// One or two types.
    pub types: &'static [&'static str],
}

const fn species(name: &'static str, types: &'static [&'static str]) -> Species {
    Species { name, types }
}

static SPECIES: &[Species] = &[
    species("Abra", &["psychic"]),
    species("Arcanine", &["fire"]),
    species("Articuno", &["ice", "flying"]),
    species("Blastoise", &["water"]),
    species("Bulbasaur", &["grass", "poison"]),
    species("Charizard", &["fire", "flying"]),
    species("Charmander", &["fire"]),
    species("Charmeleon", &["fire"]),
    species("Chikorita", &["grass"]),
    species("Cyndaquil", &["fire"]),
    species("Ditto", &["normal"]),
    species("Dragonite", &["dragon", "flying"]),
    species("Eevee", &["normal"]),
    species("Garchomp", &["dragon", "ground"]),
    species("Gardevoir", &["psychic", "fairy"]),
    species("Gengar", &["ghost", "poison"]),
    species("Geodude", &["rock", "ground"]),
    species("Greninja", &["water", "dark"]),
    species("Gyarados", &["water", "flying"]),
    species("Jigglypuff", &["normal", "fairy"]),
    species("Lapras", &["water", "ice"]),
    species("Lucario", &["fighting", "steel"]),
    species("Lugia", &["psychic", "flying"]),
    species("Machop", &["fighting"]),
    species("Magikarp", &["water"]),
    species("Meowth", &["normal"]),
    species("Mew", &["psychic"]),
    species("Mewtwo", &["psychic"]),
    species("Onix", &["rock", "ground"]),
    species("Pikachu", &["electric"]),
    species("Psyduck", &["water"]),
    species("Raichu", &["electric"]),
    species("Snorlax", &["normal"]),
    species("Squirtle", &["water"]),
    species("Togepi", &["fairy"]),
    species("Totodile", &["water"]),
    species("Umbreon", &["dark"]),
    species("Venusaur", &["grass", "poison"]),
    species("Vulpix", &["fire"]),
    species("Wooper", &["water", "ground"]),
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
