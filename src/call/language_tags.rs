//! Language tags compared.

/// Whether two BCP-47 tags name the same language, whatever their regions and scripts.
pub fn same_language(one: &str, other: &str) -> bool {
    primary_subtag(one) == primary_subtag(other)
}

/// The first subtag in lower case; languages with two codes by one of them.
fn primary_subtag(tag: &str) -> String {
    let first = tag.split(['-', '_']).next().unwrap_or_default();
    let first = first.trim().to_ascii_lowercase();
    match first.as_str() {
        "nb" | "nn" => "no".to_owned(),
        "cmn" | "yue" => "zh".to_owned(),
        "iw" => "he".to_owned(),
        _ => first,
    }
}
