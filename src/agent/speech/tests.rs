//! What is said of what is written.

use super::{SpeechFilter, speakable};
use proptest::prelude::*;

fn said(text: &str) -> String {
    said_in_pieces(text, &[], "en-US")
}

/// The whole output when `text` arrives cut at `cuts` (fractions of its characters in 0..=255).
fn said_in_pieces(text: &str, cuts: &[u8], language: &str) -> String {
    let boundaries: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    let mut at: Vec<usize> = match boundaries.len() {
        0 => Vec::new(),
        n => cuts
            .iter()
            .map(|cut| boundaries[usize::from(*cut) * n / 256])
            .collect(),
    };
    at.sort_unstable();
    at.push(text.len());
    let mut speech = SpeechFilter::new(language);
    let mut out = String::new();
    let mut from = 0;
    for to in at {
        out.push_str(&speech.push(&text[from..to]));
        from = to;
    }
    out.push_str(&speech.finish());
    out
}

#[test]
fn markup_is_not_said() {
    let cases = [
        ("**Pikachu** is *fast*.", "Pikachu is fast."),
        (
            "__Pikachu__ is _fast_ and ***strong***.",
            "Pikachu is fast and strong.",
        ),
        ("~~Raichu~~ Pikachu", "Raichu Pikachu"),
        ("Use `Thunderbolt` now.", "Use Thunderbolt now."),
        (
            "# Pikachu\nAn electric mouse.",
            " Pikachu.\nAn electric mouse.",
        ),
        ("Types:\n- Fire\n- Flying", "Types:\n Fire.\n Flying."),
        (
            "Types:\n* **Fire**\n* Flying!\nDone.",
            "Types:\n Fire.\n Flying!\nDone.",
        ),
        (
            "Steps:\n1. Catch it\n2) Train it.\n",
            "Steps:\n Catch it.\n Train it.\n",
        ),
        ("> Quoted words\nand more", " Quoted words\nand more"),
        ("Above\n---\nBelow\n***\nEnd", "Above\n\nBelow\n\nEnd"),
        (
            "See [the Pokédex](https://pokemon.com/a_b(c)?x=1#y) now",
            "See the Pokédex now",
        ),
        (
            "See [the Pokédex](https://pokemon.com/a_b?x=1#y) now",
            "See the Pokédex now",
        ),
        ("![a mouse](mouse.png) here", "!a mouse here"),
        ("```text\nRun away\n```\nDone.", "\nRun away\n\nDone."),
        ("```Run away``` Done.", "Run away Done."),
        ("set_name is a_tool_", "set name is a tool"),
        ("Escaped \\*stars\\*", "Escaped stars"),
    ];
    for (written, expected) in cases {
        assert_eq!(said(written), expected, "{written:?}");
    }
}

#[test]
fn what_turns_out_to_be_no_markup_is_said() {
    let cases = [
        ("```Pikachu", "Pikachu"),
        ("Look:\n```Pikachu", "Look:\nPikachu"),
        ("```text\nRun", "\nRun"),
        ("Look:\n```\nRun\n```", "Look:\n\nRun\n"),
        ("[Onix](it is **big**\nNext.", "Onix(it is big\nNext."),
        ("[Onix](it is _big_", "Onix(it is big"),
        (
            "[Onix](https://www.pokemon.com/us is big",
            "Onix(pokemon.com is big",
        ),
        ("[a](b [c](d [e](f)", "a(b c(d e"),
        ("[a](b [c](d [e](f\ng", "a(b c(d e(f\ng"),
        ("- [a](b\n- c](<i>d</i> <", "\u{20}a(b.\n c(d ."),
        ("a <b http", "a b http"),
        ("a <b www.c.d", "a b c.d"),
    ];
    for (written, expected) in cases {
        assert_eq!(said(written), expected, "{written:?}");
    }
}

#[test]
fn a_target_without_an_end_is_said_whole_and_not_held_for_ever() {
    let words = "word ".repeat(1_000);
    assert_eq!(said(&format!("[a]({words}")), format!("a({words}"));
    let mut speech = SpeechFilter::new("en-US");
    assert!(!speech.push(&format!("[a]({words}")).is_empty());
    assert!(!speech.has_pending());
    let nested = "](".repeat(5_000);
    assert_eq!(said(&nested), "(".repeat(5_000));
}

#[test]
fn tables_are_read_as_lists() {
    let table = "| Name | Type |\n|:---|---:|\n| Onix | Rock |\n| Abra | -5 |\nEnd";
    assert_eq!(said(table), "Name, Type.\n\nOnix, Rock.\nAbra, -5.\nEnd");
    assert_eq!(said("fire | water"), "fire , water");
}

#[test]
fn addresses_are_kept_short() {
    let cases = [
        (
            "Go to https://www.pokemon.com/us/pokedex?x=1. Then call.",
            "Go to pokemon.com. Then call.",
        ),
        ("Go to http://pokemon.com.", "Go to pokemon.com."),
        (
            "Go to www.pokemon.com/us, please",
            "Go to pokemon.com, please",
        ),
        ("(https://pokemon.com/us)", "(pokemon.com)"),
        ("HTTPS://POKEMON.COM", "POKEMON.COM"),
        (
            "詳しくは https://example.com/zukan/025をご覧ください。次に進みます。",
            "詳しくは example.comをご覧ください。次に進みます。",
        ),
        (
            "詳しくはhttps://example.com/zukan/025をご覧ください。",
            "詳しくはexample.comをご覧ください。",
        ),
        (
            "https://example.com/zukan。次に。www.example.com/a.次に",
            "example.com。次に。example.com.次に",
        ),
        (
            "See https://example.com/wiki/Pokémon_Żółć now—https://example.com/a—so",
            "See example.com now—example.com—so",
        ),
        (
            "Hello HTTP world, Http and Www work",
            "Hello HTTP world, Http and Www work",
        ),
    ];
    for (written, expected) in cases {
        assert_eq!(said(written), expected, "{written:?}");
    }
}

#[test]
fn tags_and_thoughts_are_dropped() {
    let cases = [
        ("Wait <break time=\"500ms\"/> here", "Wait  here"),
        (
            "<speak>Hello <emphasis level='strong'>you</emphasis></speak>",
            "Hello you",
        ),
        ("a<br>b<br/>c<!-- no -->d", "abcd"),
        (
            "<think>He wants **fire**. a < b </no></think>\nCharmander.",
            "\nCharmander.",
        ),
        ("<THINKING>x</THINKING>Hi", "Hi"),
        (
            "if 3 < 5 and 5 > 3",
            "if 3 less than 5 and 5 greater than 3",
        ),
        ("I <3 you", "I 3 you"),
        ("a <b and c> d", "a b and c d"),
        ("a <b", "a b"),
    ];
    for (written, expected) in cases {
        assert_eq!(said(written), expected, "{written:?}");
    }
    assert_eq!(said_in_pieces("3 < 5", &[], "fi-FI"), "3  5");
}

#[test]
fn signs_keep_their_meaning() {
    for (written, expected) in [
        ("about 5~10 minutes", "about 5 to 10 minutes"),
        (
            "5 ~ 10 minutes, $5~$10, 5%~10%",
            "5 to 10 minutes, $5 to $10, 5% to 10%",
        ),
        ("5kg~10kg, 9:00~9:30", "5kg to 10kg, 9:00 to 9:30"),
        ("5-10, 5–10 and 555-1234", "5-10, 5–10 and 555-1234"),
        ("5〜10 minutes", "5 to 10 minutes"),
        ("~5 minutes", "about 5 minutes"),
        ("It takes ~20 minutes", "It takes about 20 minutes"),
        ("~~old~~ and ~new", "old and new"),
        ("Press # to repeat.", "Press pound to repeat."),
        (
            "Press #. Then press \"#\", or (#)",
            "Press pound. Then press \"pound\", or (pound)",
        ),
        ("Then press #", "Then press pound"),
        ("Press # 5", "Press number 5"),
        (
            "- Press # to repeat\n- or #",
            " Press pound to repeat.\n or pound.",
        ),
        ("Enter 1234#.", "Enter 1234 pound."),
        ("press **#** or `#`", "press pound or pound"),
        ("## Keys ##\n#5", " Keys .\nnumber 5"),
        (
            "C# and F#, Issue #5, A#7",
            "C sharp and F sharp, Issue number 5, A sharp 7",
        ),
        (
            "Dial *67 first, then *82.",
            "Dial star 67 first, then star 82.",
        ),
        ("*67", "star 67"),
        (
            "Dial *21*5551234# now",
            "Dial star 21 star 5551234 pound now",
        ),
        ("*25* is its number", "25 is its number"),
        ("*25*", "25"),
        ("Press * to repeat, or *.", "Press star to repeat, or star."),
        ("2 * 3, x * y, 2*3", "2 × 3, x × y, 2×3"),
        (
            "Level<20 or level>30",
            "Level less than 20 or level greater than 30",
        ),
        ("x<5 and y>z", "x less than 5 and y greater than z"),
        (
            "a <= b and a<=5",
            "a less than or equal to b and a less than or equal to 5",
        ),
        (
            "a >= b and a>=5",
            "a greater than or equal to b and a greater than or equal to 5",
        ),
        (
            "levels <30 or >40",
            "levels less than 30 or greater than 40",
        ),
        (
            "x^2, 2^10 and 10^-3",
            "x to the power of 2, 2 to the power of 10 and 10 to the power of -3",
        ),
        (
            "2<sup>10</sup>, H<sub>2</sub>O",
            "2 to the power of 10, H2O",
        ),
        ("Onix\u{2581}is", "Onix is"),
        ("^_^ or ^", " or "),
        (
            "Rock &amp; ground, it&#39;s both.",
            "Rock & ground, it's both.",
        ),
        (
            "a &quot;b&quot; 3 &lt; 5 &gt; 4&nbsp;&eacute;&Eacute;&#x41;&euro;",
            "a \"b\" 3 less than 5 greater than 4 éÉA€",
        ),
        (
            "AT&T & R&D; Q&A &bogus; &amp",
            "AT&T & R&D; Q&A &bogus; &amp",
        ),
        ("&amp;lt; stays", "&lt; stays"),
        (
            "On\u{200D}ix is a ro\u{AD}ck\u{200B} type\u{2060}\u{200E}.",
            "Onix is a rock type.",
        ),
        ("می\u{200C}خواهم क्\u{200D}ष", "می\u{200C}خواهم क्\u{200D}ष"),
    ] {
        assert_eq!(said(written), expected, "{written:?}");
    }
    for (written, language, expected) in [
        (
            "5~10 Minuten, Taste #",
            "de-DE",
            "5 bis 10 Minuten, Taste Raute",
        ),
        ("5〜10分です", "ja-JP", "5 から 10分です"),
        ("5~10, x<5, x^2", "fi-FI", "5 10, x 5, x 2"),
    ] {
        assert_eq!(
            said_in_pieces(written, &[], language),
            expected,
            "{written:?}"
        );
    }
}

#[test]
fn symbols_are_silent_or_words() {
    let cases = [
        ("Great 😊👍🏽! 🇯🇵 👩‍👩‍👧 1️⃣ ⚡★©™", "Great !   1 "),
        (
            "Pikachu is #25, and #fire",
            "Pikachu is number 25, and fire",
        ),
        (
            "Nidoran♀ and Nidoran ♂.",
            "Nidoran female and Nidoran male.",
        ),
        (
            "Charmander → Charmeleon -> Charizard => end",
            "Charmander , Charmeleon , Charizard , end",
        ),
        ("2 * 3 and 2*3", "2 × 3 and 2×3"),
    ];
    for (written, expected) in cases {
        assert_eq!(said(written), expected, "{written:?}");
    }
    assert_eq!(
        said_in_pieces("#25 Nidoran♂", &[], "de-DE"),
        "Nummer 25 Nidoran männlich"
    );
    assert_eq!(
        said_in_pieces("#25 Nidoran♂", &[], "ja-JP"),
        "ナンバー 25 Nidoran オス"
    );
    // A language without a file has no words for signs.
    assert_eq!(said_in_pieces("#25 Nidoran♂", &[], "fi-FI"), "25 Nidoran");
}

#[test]
fn what_is_plain_stays_as_it_is() {
    for plain in [
        "Pokémon aren't well-known; they're 20% faster at -5 °C, for $3.50 or 4 €!",
        "Who? \"Ash\" & Misty (both) — yes… 1/2 + 1 = 1.5, e.g. 3:30.\n\n  And so on.\t\r\nEnd.",
        "25. That is its number.",
        "What's Ho-Oh's type? It's fire and flying. -5 degrees.",
        "ピカチュウは電気タイプです。 Żółć, ñandú, Straße.",
        "It is\n2.5 meters tall\n100. More",
    ] {
        assert_eq!(said(plain), plain);
    }
}

#[test]
fn a_whole_text_is_trimmed() {
    assert_eq!(
        speakable(" **Goodbye**, _Misty_! 👋 ", "en-US"),
        "Goodbye, Misty!"
    );
}

#[test]
fn the_filter_is_as_new_after_its_end() {
    let mut speech = SpeechFilter::new("en-US");
    let _ = speech.push("- Fire **");
    assert_eq!(speech.finish(), ".");
    assert_eq!(speech.push("#25 is"), "number 25 is");
}

/// Text rich in what the filter looks at.
fn markup() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[a-z]{1,4}",
        r"[*_`~#|<>=+\-\[\]()!.:/ \n0-9]{1,4}",
        Just("https://www.a.b/c?d. ".to_owned()),
        Just("www.a.b".to_owned()),
        Just("<think>x</think>".to_owned()),
        Just("<break time=\"1s\"/>".to_owned()),
        Just("&amp;".to_owned()),
        "[a-zA-Z]?[&#*^~<>][a-z0-9;*#=]{0,3}",
        Just("\n- ".to_owned()),
        Just("\n12. ".to_owned()),
        Just("\n| a | b |\n|--|--|\n".to_owned()),
        Just("\n```rust\n".to_owned()),
        Just("é😊♀→•\u{200D}\r\n".to_owned()),
        any::<char>().prop_map(String::from),
    ];
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn the_cuts_between_tokens_do_not_matter(text in markup(), cuts in proptest::collection::vec(any::<u8>(), 0..12)) {
        prop_assert_eq!(said_in_pieces(&text, &cuts, "en-US"), said_in_pieces(&text, &[], "en-US"));
    }

    #[test]
    fn no_markup_is_ever_said(text in markup()) {
        let out = said(&text);
        prop_assert!(!out.contains(['*', '#', '`', '<', '>', '_', '~', '|', '[', ']', '\\', '^', '😊']), "{:?}", out);
    }

    #[test]
    fn plain_text_passes_at_once(words in proptest::collection::vec("[a-gi-vx-zA-GI-VX-Zé][a-zéß',-]{0,8}[a-zß]", 1..12)) {
        let mut speech = SpeechFilter::new("en-US");
        for word in words {
            let token = format!(" {word},");
            let out = speech.push(&token);
            prop_assert_eq!(out.as_str(), token.as_str());
            prop_assert!(!speech.has_pending());
        }
        prop_assert!(speech.finish().is_empty());
    }
}
