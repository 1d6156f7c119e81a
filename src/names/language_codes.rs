//! Codes of languages.

/// Those of ISO 639-1, and the older ones that providers still use, in order.
const OF_TWO: &str = "aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de \
    dv dz ee el en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id \
    ie ig ii ik io is it iu iw ja ji jv jw ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln \
    lo lt lu lv mg mh mi mk ml mn mo mr ms mt my na nb nd ne ng nl nn no nr nv ny oc oj om or os pa pi \
    pl ps pt qu rm rn ro ru rw sa sc sd se sg sh si sk sl sm sn so sq sr ss st su sv sw ta te tg th ti \
    tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu";
/// Of ISO 639-3 those that speech providers and recognisers know, in order.
const OF_THREE: &str = "ace ajp apc arb ary arz ast awa azb bal ban bem bho bik brx bug ceb chr ckb cmn crh doi dyu fil fon \
    fur fuv gom gsw hak haw hil hmn hne hsb ilo kab kac kam kea kmb kmr kok kri ksh lij lmo ltg lua luo \
    lus mag mai mfe min mni mos mwl nan nap nqo nso nus pag pam pap pes prs rom sat scn sco shn sma smj \
    srn syl szl taq tet tpi trv tum tzm udm umb vec wal war wuu yua yue zgh zsm";

/// Whether `tag` (BCP 47) begins with the code of a language. Of its region and script nothing is asked.
#[must_use]
pub fn is_language_code(tag: &str) -> bool {
    let code = tag.split(['-', '_']).next().unwrap_or_default().trim();
    let code = code.to_ascii_lowercase();
    let known = |codes: &str| codes.split_whitespace().any(|known| known == code);
    match code.len() {
        2 => known(OF_TWO),
        3 => known(OF_THREE),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Language;

    #[test]
    fn languages_have_codes_and_other_words_have_none() {
        for tag in [
            "en",
            "EN-us",
            "de_DE",
            "zh-Hant-TW",
            "fil-PH",
            "cmn-CN",
            "yue",
            "nb-NO",
            "es-419",
            "iw",
        ] {
            assert!(is_language_code(tag), "{tag}");
        }
        for tag in [
            "", "xx", "english", "jp", "cz", "dk", "gr", "multi", "e", "qqq", "zz-ZZ", "-",
        ] {
            assert!(!is_language_code(tag), "{tag}");
        }
        // What the rules know is known here.
        for language in Language::ALL {
            assert!(is_language_code(language.tag()), "{language:?}");
        }
    }
}
