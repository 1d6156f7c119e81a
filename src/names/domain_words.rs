//! The default persona's world: what its people and things are called, said before a name ("Gym
//! Leader Brock"), never one.

/// Each form is matched folded ("Pokémon" is "pokemon").
pub const BRAND: &str = "pokemon pokemons pokedex pokeball pokeballs pokestop pokemart poke trainer trainers professor prof gym \
     gyms leader leaders champion elite arenaleiter entrenador entrenadora dresseur dresseuse allenatore allenatrice \
     treinador treinadora trener trenerka capopalestra lider professore profesor profesora professeur";

/// Whether a folded word is one of [`BRAND`].
pub fn is_brand(folded: &str) -> bool {
    BRAND.split_ascii_whitespace().any(|word| word == folded)
}
