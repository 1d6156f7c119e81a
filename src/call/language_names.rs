//! What languages call themselves.

use calldex_names::Language;

/// The name that a language has for itself, by its BCP-47 tag; the tag where it is not known.
pub fn native_name(tag: &str) -> &str {
    match Language::from_tag(tag) {
        Language::Other => tag,
        language => language.own_name(),
    }
}

/// The names of these languages, each once, as one sentence names them.
pub fn native_names(tags: &[String]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for tag in tags {
        let name = native_name(tag);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_named_once_and_by_themselves() {
        let tags = ["en-US", "en-GB", "es-MX", "nb-NO", "cmn-CN", "xx"].map(String::from);
        assert_eq!(native_names(&tags), "English, español, norsk, 中文, xx");
    }
}
