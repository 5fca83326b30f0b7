//! Any text goes through: without a panic, as text, and in time that grows as the text does.

use proptest::prelude::*;

use super::super::words::STEPS;
use super::*;

proptest! {
    #[test]
    fn any_text_goes_through(value in "\\PC{0,60}") {
        for format in ["auto", "text", "environment", "json"] {
            plain(&[("format", word(format))], &value);
        }
    }

    #[test]
    fn any_text_of_the_marks_that_detectors_look_for_goes_through(
        value in "[a-cA0-9@:=/\\\\~.%+'\"{}()<>é用 -]{0,60}",
    ) {
        plain(&[("drop_keys", words(&["A"]))], &value);
        plain(&[], &value);
    }
}

#[test]
fn what_stands_in_for_a_find_is_left_alone_the_second_time() {
    let values = [
        "mail ada@x.org or /home/ada/x from 10.1.2.3 and ::1, card 4111111111111111",
        "HOME=/home/ada TOKEN=abc URL=https://x.org/~ada D=/DC=org/CN=Jane Doe P=user/admin@X.ORG",
        "{\"a\": \"call +41 44 123 45 67\", \"ssn\": \"460-89-9847\", \"host\": \"n1.fnal.gov\"}",
    ];
    for value in values {
        for replace in ["pseudonym", "marker"] {
            let set = [("replace", word(replace))];
            let once = plain(&set, value);
            assert_ne!(once, value);
            assert_eq!(plain(&set, &once), once);
        }
    }
}

/// Texts that make detectors begin everywhere and end nowhere.
fn hostile(length: usize) -> Vec<String> {
    [
        "a",
        "a@",
        "@",
        "1.",
        "1",
        "1 ",
        "12-",
        "::",
        "a:",
        "http://",
        "://",
        "/home/",
        "/user/a/",
        "~a",
        "\\",
        "\\Users\\",
        "CN=",
        "/CN=a ",
        "/CN=a",
        "CN=a, ",
        "a.",
        "a.b@",
        "eyJ",
        "password=",
        "password ",
        "-----BEGIN ",
        "GB82 ",
        "GB82",
        "ada/",
        "ada-",
        "adaada ",
        "é",
        "用",
        "A='",
        "A=b;",
        "{\"a\":",
        "[",
        "\"",
        "+1 ",
        "(1) ",
    ]
    .iter()
    .map(|part| part.repeat(length / part.len()))
    .collect()
}

/// A scene whose dictionary has entries that begin as others do.
fn nested() -> Scene {
    let entry = "ada/".repeat(200);
    Scene::new(&[], &[("U", text(&["ada@x.org", "ada-ada", &entry]), "drop", None, &[])])
}

// INVARIANT: the work for a text grows as the text does, whatever the text is.
#[test]
fn steps_grow_as_the_text_does() {
    let scene = nested();
    let mut kernel = scene.kernel();
    let mut steps = |value: &str| {
        let before = STEPS.get();
        kernel.apply(&text(&[value]), &[]).unwrap();
        STEPS.get() - before
    };
    let mut slow = Vec::new();
    for (small, large) in hostile(4_000).iter().zip(&hostile(32_000)) {
        let (few, many) = (steps(small), steps(large));
        // Eight times the text; a quadratic walk would take sixty-four times the steps.
        if many > few * 10 + 1_000 {
            slow.push(format!("{:.12}: {few}, then {many}", large));
        }
    }
    assert_eq!(slow, [""; 0]);
    // The longest entry bounds the steps a word: this text is nothing but its beginnings.
    let entry = "ada/".repeat(200);
    assert!(steps(&entry.repeat(20)) <= entry.len() * entry.len() * 20);
}

#[test]
fn long_hostile_texts_come_to_an_end() {
    // What is not counted as a step is walked here too: a quadratic one would take hours at this length.
    let scene = nested();
    let mut kernel = scene.kernel();
    for value in hostile(256_000) {
        kernel.apply(&text(&[&value]), &[]).unwrap();
    }
}
