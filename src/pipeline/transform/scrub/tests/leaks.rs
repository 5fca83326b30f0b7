//! Nothing that was learned is left anywhere, in any format, beside anything.

use proptest::prelude::*;

use super::super::dictionary::{DIGITS_MIN, SHORT};
use super::*;

/// Whether a value stands in the text as a word of its own, asked without the code under test.
fn stands_in(text: &str, value: &str) -> bool {
    let (text, value) = (text.to_lowercase(), value.to_lowercase());
    let of_word = |c: Option<char>| {
        c.is_some_and(|c| {
            c.is_ascii_alphanumeric()
                || (c.is_alphabetic()
                    && (c < '\u{250}'
                        || ('\u{2c60}'..'\u{2c80}').contains(&c)
                        || ('\u{1e00}'..'\u{1f00}').contains(&c)))
        })
    };
    text.match_indices(&value).any(|(at, _)| {
        let before =
            of_word(text.get(..at).unwrap().chars().next_back()) && of_word(value.chars().next());
        let after = of_word(text.get(at + value.len()..).unwrap().chars().next())
            && of_word(value.chars().next_back());
        !before && !after
    })
}

#[test]
fn no_learned_value_is_left_as_a_word_in_the_job_ad_of_a_real_shape() {
    let users = ["uboonepro@fnal.gov", "jdoe@fnal.gov", "kl17@cern.ch"];
    let scene = Scene::new(
        &[("words", words(&["uboone"]))],
        &[
            ("User", text(&users), "pseudonym", Some("hmac"), &KEEP()),
            ("Host", text(&["131.225.240.146"]), "ip", Some("crypto_pan"), &[]),
            ("Group", text(&["group_uboone.prod.jdoe"]), "drop", None, &[]),
        ],
    );
    for ad in [
        "POMS_TASK_ID=1688108 GRID_USER=uboonepro EXPERIMENT=UBOONE JOBSUBJOBID=17.0@jobsub05.fnal.gov",
        "BEARER_TOKEN_FILE=.condor_creds/uboone_production_6795daa7dc.use X509_USER_PROXY=/tmp/x509up_jdoe",
        "/pnfs/uboone/scratch/users/jdoe/v08/run_kl17.sh -n 'JDOE' --from=131.225.240.146:80",
        "x509userproxysubject = \"/DC=org/DC=cilogon/C=US/O=Fermi/CN=Jane Doe/CN=UID:jdoe\"",
        "<131.225.240.146:9618?addrs=131.225.240.146-9618&alias=uboonepro.fnal.gov>#17",
        "{\"Owner\": \"jdoe\", \"AccountingGroup\": \"group_uboone.prod.jdoe\", \"kl17\": [\"\\u006adoe\"]}",
        "group_uboone.prod.jdoe;jdoe,kl17|uboonepro@fnal.gov",
        "https://u:p@h.org/~jdoe/?x=kl17 jdoe%40fnal.gov ~jdoe",
    ] {
        let out = scene.scrub(ad);
        for value in users.into_iter().chain([
            "uboonepro",
            "jdoe",
            "kl17",
            "uboone",
            "131.225.240.146",
            "group_uboone.prod.jdoe",
        ]) {
            assert!(!stands_in(&out, value), "{value} is left in {out}");
        }
        assert!(!out.contains("Jane Doe"), "{out}");
        assert_eq!(scene.scrub(ad), out, "twice the same");
    }
}

/// Handles as they are, and texts that are made of them and of anything else.
fn values() -> impl Strategy<Value = (Vec<String>, String)> {
    let handle =
        prop_oneof!["[a-z]{3,6}", "[a-z]{1,2}[0-9]{4}", "[A-Z][a-z]{2,4}", "[é-ü]{3}x", "[а-я]{4}"];
    let glue = prop_oneof![
        " ",
        "/",
        "_",
        "-",
        "\\.",
        "@",
        "=",
        "\"",
        ",",
        "\\{\"a\":\"",
        "\\PC{0,3}",
        "[a-z0-9]"
    ];
    prop::collection::vec(handle, 1..6).prop_flat_map(move |handles| {
        let part = (prop::sample::select(handles.clone()), glue.clone(), any::<bool>());
        prop::collection::vec(part, 0..12).prop_map(move |parts| {
            let text = parts.into_iter().map(|(handle, glue, capitals)| {
                let handle = if capitals { handle.to_uppercase() } else { handle };
                format!("{handle}{glue}")
            });
            (handles.clone(), text.collect())
        })
    })
}

proptest! {
    #[test]
    fn no_learned_value_of_three_characters_is_left_as_a_word((handles, value) in values()) {
        let users: Vec<&str> = handles.iter().map(String::as_str).collect();
        let set = [("replace", word("marker"))];
        let scene = Scene::new(&set, &[("User", text(&users), "drop", None, &[])]);
        let out = scene.scrub(&value);
        // What stands in for what was found is no leak, even where a user is called so.
        let mut rest = out.clone();
        for marker in ["<removed>", "<email>", "<host>", "<url>", "<principal>", "<user>", "<secret>", "<dn>", "<ip>"] {
            rest = rest.replace(marker, "<>");
        }
        for user in users.into_iter().filter(|user| user.chars().count() >= SHORT) {
            prop_assert!(user.len() >= DIGITS_MIN || !user.bytes().all(|b| b.is_ascii_digit()));
            prop_assert!(!stands_in(&rest, user), "{user:?} is left in {out:?} of {value:?}");
        }
    }
}
