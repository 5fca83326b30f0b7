//! What a policy declares equal before a pseudonym is made: `Alice ` and `alice`, composed and
//! decomposed accents. Changes nothing that the policy does not name.

use unicode_normalization::{UnicodeNormalization, is_nfc};

use crate::policy::args::{Args, Default, Kind, Param};

/// The parameter that pseudonym transforms share.
pub(super) const PARAM: Param = Param {
    name: "normalize",
    kind: Kind::Choices(&["trim", "case_fold", "nfc"]),
    required: false,
    default: Some(Default::Texts(&[])),
    doc: "What to even out before the pseudonym is made: `trim` white space at both ends, `case_fold` \
          upper and lower case, `nfc` composed and decomposed accents.",
};

/// The declared normalization of one column.
///
/// The steps run in one order whatever the order in the policy: NFC, trim, case fold, and NFC again
/// where both were asked for, so that the same words always mean the same thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Normalization {
    trim: bool,
    case_fold: bool,
    nfc: bool,
}

impl Normalization {
    /// As the policy says.
    pub(super) fn new(args: &Args) -> Self {
        let has = |word: &str| args.texts(PARAM.name).iter().any(|step| step == word);
        Self { trim: has("trim"), case_fold: has("case_fold"), nfc: has("nfc") }
    }

    /// Whether nothing is evened out.
    pub(super) const fn is_none(self) -> bool {
        !(self.trim || self.case_fold || self.nfc)
    }

    /// The normalized form of UTF-8 text; `scratch` lends its memory where the text changes.
    #[inline]
    pub(super) fn apply<'a>(self, value: &'a [u8], scratch: &'a mut String) -> &'a [u8] {
        if self.is_none() {
            return value;
        }
        match std::str::from_utf8(value) {
            Ok(text) => self.apply_text(text, scratch).as_bytes(),
            Err(_) => value,
        }
    }

    /// The normalized form of a text.
    fn apply_text<'a>(self, text: &'a str, scratch: &'a mut String) -> &'a str {
        if text.is_ascii() {
            let text = if self.trim { text.trim() } else { text };
            if !self.case_fold || !text.bytes().any(|byte| byte.is_ascii_uppercase()) {
                return text;
            }
            scratch.clear();
            scratch.push_str(text);
            scratch.make_ascii_lowercase();
            return scratch;
        }
        let composed: String;
        let mut text = text;
        if self.nfc && !is_nfc(text) {
            composed = text.nfc().collect();
            text = &composed;
        }
        if self.trim {
            text = text.trim();
        }
        scratch.clear();
        if self.case_fold {
            // Up, then down: `ß` meets `SS` and the two small sigmas meet each other, which lower case
            // alone does not do. Down before that, because the capital `ẞ` is its own upper case.
            // Character by character, so that no rule looks at neighbours.
            let folded = text
                .chars()
                .flat_map(char::to_lowercase)
                .flat_map(char::to_uppercase)
                .flat_map(char::to_lowercase);
            if self.nfc {
                scratch.extend(folded.nfc());
            } else {
                scratch.extend(folded);
            }
        } else {
            scratch.push_str(text);
        }
        scratch
    }

    /// For `explain`: `, after trimming and case folding`, or nothing.
    pub(super) fn explain(self) -> String {
        let steps: Vec<&str> = [
            (self.nfc, "composing accents (NFC)"),
            (self.trim, "trimming white space"),
            (self.case_fold, "evening out upper and lower case"),
        ]
        .into_iter()
        .filter_map(|(on, words)| on.then_some(words))
        .collect();
        match steps.as_slice() {
            [] => String::new(),
            [one] => format!(", after {one}"),
            [most @ .., last] => format!(", after {} and {last}", most.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::transform::testing::words;

    fn normalized(steps: &[&str], text: &str) -> String {
        let args = Args::new().with("normalize", words(steps));
        let mut scratch = String::new();
        let out = Normalization::new(&args).apply(text.as_bytes(), &mut scratch);
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn nothing_declared_changes_nothing() {
        assert_eq!(normalized(&[], " Ä\u{301} X "), " Ä\u{301} X ");
    }

    #[test]
    fn each_step_does_its_own_part_only() {
        let cases: [(&[&str], &str, &str); 13] = [
            (&["trim"], " Alice\t", "Alice"),
            (&["trim"], "\u{a0}Zoë\u{2003}", "Zoë"),
            (&["trim"], "A b", "A b"),
            (&["case_fold"], " Alice", " alice"),
            (&["case_fold"], "ÉCOLE", "école"),
            (&["case_fold"], "Straße", "strasse"),
            (&["case_fold"], "STRASSE", "strasse"),
            (&["case_fold"], "STRAẞE", "strasse"),
            (&["case_fold"], "ΟΔΟΣ", "οδοσ"),
            (&["case_fold"], "οδος", "οδοσ"),
            (&["nfc"], "Zoe\u{308}", "Zoë"),
            (&["nfc"], " ZOE ", " ZOE "),
            (&["trim", "case_fold", "nfc"], " ZOE\u{308} ", "zoë"),
        ];
        for (steps, text, expected) in cases {
            assert_eq!(normalized(steps, text), expected, "{steps:?} of {text:?}");
        }
    }

    #[test]
    fn the_order_in_the_policy_does_not_matter() {
        let text = " E\u{301}Ç ";
        let one = normalized(&["nfc", "trim", "case_fold"], text);
        assert_eq!(one, normalized(&["case_fold", "trim", "nfc"], text));
        assert_eq!(one, "éç");
    }

    #[test]
    fn explain_lists_the_steps_as_a_sentence_would() {
        let explain =
            |steps: &[&str]| Normalization::new(&Args::new().with("normalize", words(steps)));
        assert_eq!(explain(&[]).explain(), "");
        assert_eq!(explain(&["trim"]).explain(), ", after trimming white space");
        assert_eq!(
            explain(&["trim", "case_fold", "nfc"]).explain(),
            ", after composing accents (NFC), trimming white space and evening out upper and lower \
             case"
        );
    }

    #[test]
    fn a_character_and_its_other_cases_are_one() {
        let steps: [&[&str]; 2] = [&["case_fold"], &["case_fold", "nfc"]];
        for steps in steps {
            for one in ('\u{80}'..=char::MAX).filter(|one| one.is_alphabetic()) {
                let folded = normalized(steps, &one.to_string());
                assert_eq!(normalized(steps, &folded), folded, "{one}");
                assert_eq!(
                    normalized(steps, &String::from_iter(one.to_lowercase())),
                    folded,
                    "{one}"
                );
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn normalizing_twice_is_normalizing_once(text in "\\PC{0,12}") {
            let steps = ["trim", "case_fold", "nfc"];
            let once = normalized(&steps, &text);
            proptest::prop_assert_eq!(normalized(&steps, &once), once);
        }
    }
}
