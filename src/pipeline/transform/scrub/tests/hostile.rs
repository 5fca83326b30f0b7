//! Any text goes through: without a panic, as text, and in time that grows as the text does.

use proptest::prelude::*;

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

#[test]
fn long_hostile_texts_come_to_an_end() {
    // Linear work ends within a second or two. A quadratic step would take hours at this length.
    let entry = "ada/".repeat(200);
    let scene =
        Scene::new(&[], &[("U", text(&["ada@x.org", "ada-ada", &entry]), "drop", None, &[])]);
    let mut kernel = scene.kernel();
    for value in hostile(256_000) {
        kernel.apply(&text(&[&value]), &[]).unwrap();
    }
}
