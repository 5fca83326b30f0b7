//! What columns teach: joins, boundaries, cases, and words that mean several values.

use super::*;

#[test]
fn the_same_pseudonym_as_in_the_column_it_came_from() {
    let scene = Scene::users(&["ada@fnal.gov", "bob@cern.ch"], &[]);
    let (ada, bob) = (scene.own(0, "ada@fnal.gov"), scene.own(0, "bob@cern.ch"));
    let local = |own: &str| own.split_once('@').unwrap().0.to_owned();
    for (value, expected) in [
        ("mail ada@fnal.gov", format!("mail {ada}")),
        ("/home/ada/run.sh --as bob", format!("/home/{}/run.sh --as {}", local(&ada), local(&bob))),
        ("USER=ADA X=Bob@CERN.ch", format!("USER={} X={bob}", local(&ada))),
        ("/pnfs/dune/scratch/users/ada/x", format!("/pnfs/dune/scratch/users/{}/x", local(&ada))),
        ("group_dune.prod.ada", format!("group_dune.prod.{}", local(&ada))),
        ("out_ada_17.log ada-1", format!("out_{0}_17.log {0}-1", local(&ada))),
        ("nevada ada2 adam xada", "nevada ada2 adam xada".to_owned()),
        ("\u{201c}ada\u{201d} 用户ada是", format!("\u{201c}{0}\u{201d} 用户{0}是", local(&ada))),
    ] {
        assert_eq!(scene.scrub(value), expected, "{value}");
    }
}

#[test]
fn a_user_named_run_is_replaced_as_a_word_unless_the_policy_excepts_it() {
    let scene = Scene::users(&["run@fnal.gov"], &[]);
    let run = scene.own(0, "run@fnal.gov").split_once('@').unwrap().0.to_owned();
    assert_eq!(scene.scrub("./run.sh --prerun runs"), format!("./{run}.sh --prerun runs"));
    let scene = Scene::users(&["run@fnal.gov"], &[("except", words(&["RUN"]))]);
    assert_eq!(scene.scrub("./run.sh"), "./run.sh");
    // The whole address is still somebody's.
    assert!(!scene.scrub("x run@fnal.gov").contains("run"));
}

#[test]
fn a_short_handle_is_replaced_alone_and_not_in_names_of_files_and_flags() {
    let scene = Scene::users(&["a@fnal.gov", "kl@fnal.gov"], &[("detect", words(&[]))]);
    let own = |value: &str| scene.own(0, value).split_once('@').unwrap().0.to_owned();
    let (a, kl) = (own("a@fnal.gov"), own("kl@fnal.gov"));
    for (value, expected) in [
        ("a.sh -a x_a.log data", "a.sh -a x_a.log data".to_owned()),
        ("/exp/a/x USER=a by a.", format!("/exp/{a}/x USER={a} by {a}.")),
        ("kl: a,kl (A)", format!("{kl}: {a},{kl} ({a})")),
        ("kl_1 kl.txt", "kl_1 kl.txt".to_owned()),
    ] {
        assert_eq!(scene.scrub(value), expected, "{value}");
    }
}

#[test]
fn equal_handles_on_two_domains_join_with_neither() {
    let scene = Scene::users(&["ada@fnal.gov", "ada@cern.ch", "Ada@FNAL.gov"], &[]);
    let out = scene.scrub("ada ADA /home/ada ada@cern.ch ada@fnal.gov Ada@FNAL.gov");
    let parts: Vec<&str> = out.split(' ').collect();
    for own in ["ada@fnal.gov", "ada@cern.ch", "Ada@FNAL.gov"] {
        let own = scene.own(0, own);
        let local = own.split_once('@').unwrap().0;
        assert!(!parts[..3].iter().any(|part| part.contains(local)), "{out}");
    }
    assert_eq!(parts[0], parts[1]);
    assert_eq!(parts[2], format!("/home/{}", parts[0]));
    assert_eq!(parts[0].len(), 22);
    // Whole addresses are one person's each; the rule tells the two spellings apart, and so does this.
    assert_eq!(parts[3], scene.own(0, "ada@cern.ch"));
    assert_eq!(parts[4], scene.own(0, "ada@fnal.gov"));
    assert_eq!(parts[5], scene.own(0, "Ada@FNAL.gov"));
    assert_ne!(parts[4], parts[5]);
}

#[test]
fn one_person_spelled_in_two_ways_is_one_where_the_rule_says_so() {
    let set = [("keep", word("email_domain")), ("normalize", words(&["trim", "case_fold"]))];
    let users = text(&[" Ada@FNAL.gov", "ada@fnal.gov"]);
    let scene = Scene::new(&[], &[("User", users, "pseudonym", Some("hmac"), &set)]);
    let own = scene.own(0, "ada@fnal.gov");
    let local = own.split_once('@').unwrap().0;
    assert_eq!(scene.scrub("ada Ada@fnal.gov"), format!("{local} {own}"));
}

#[test]
fn numbers_of_users_are_found_as_words_and_small_ones_are_not_learned() {
    let uids: ArrayRef = Arc::new(Int64Array::from(vec![Some(423_120), Some(0), Some(137), None]));
    let token = [("prefix", word("uid_"))];
    let scene = Scene::new(&[], &[("UID", uids, "pseudonym", Some("token"), &token)]);
    assert_eq!(scene.scrub("CANCELLED by 423120"), "CANCELLED by uid_1");
    assert_eq!(scene.scrub("4231201 0 137 job_423120.0"), "4231201 0 137 job_uid_1.0");
    assert_eq!(
        scene.scrub(r#"{"by": 423120, "n": [0, 1.5e3]}"#),
        r#"{"by": "uid_1", "n": [0, 1.5e3]}"#
    );
}

#[test]
fn a_column_that_sends_no_pseudonym_teaches_a_marker() {
    for (verb, set) in [
        ("drop", vec![]),
        ("mask", vec![]),
        ("keep", vec![]),
        ("rare", vec![("below", Value::Integer(10))]),
    ] {
        let users = text(&["ada@fnal.gov", "group_x"]);
        let scene = Scene::new(&[], &[("User", users, verb, None, &set)]);
        assert_eq!(
            scene.scrub("ada in Group_X, ada@fnal.gov"),
            "<removed> in <removed>, <removed>"
        );
    }
    let scene = Scene::users(&["ada@fnal.gov"], &[("replace", word("marker"))]);
    assert_eq!(scene.scrub("ada ada@fnal.gov bob@x.org"), "<removed> <removed> <email>");
}

#[test]
fn several_columns_teach_and_the_first_that_holds_the_whole_value_counts() {
    let scene = Scene::new(
        &[],
        &[
            ("User", text(&["ada@fnal.gov", "nova@x.org"]), "pseudonym", Some("hmac"), &KEEP()),
            (
                "Group",
                text(&["nova", "dune"]),
                "pseudonym",
                Some("token"),
                &[("prefix", word("g"))],
            ),
            ("Address", text(&["131.225.10.7", "none"]), "ip", Some("crypto_pan"), &[]),
        ],
    );
    let nova = scene.own(1, "nova");
    let address = scene.own(2, "131.225.10.7");
    assert_eq!(
        scene.scrub("NOVA from 131.225.10.7:9618, none"),
        format!("{nova} from {address}:9618, <removed>")
    );
    assert!(nova.starts_with('g'));
}

#[test]
fn values_with_blanks_slashes_and_letters_of_any_script_are_found() {
    let dn = "/DC=org/DC=cilogon/CN=Jane Doe 123";
    let values = text(&[dn, "Jane Doe", "Åsa Ök", "иван", "_condor", "FERMI\\jdoe"]);
    let source = ("Subject", values, "pseudonym", Some("hmac"), &[][..]);
    let scene = Scene::new(&[("detect", words(&[]))], &[source]);
    for (value, from) in [
        (dn, dn),
        ("jane doe", "Jane Doe"),
        ("ÅSA ÖK", "Åsa Ök"),
        ("a\u{30a}sa o\u{308}k", "Åsa Ök"),
        ("ИВАН", "иван"),
        ("_CONDOR", "_condor"),
        ("JDOE", "FERMI\\jdoe"),
    ] {
        assert_eq!(
            scene.scrub(&format!("x {value}, y")),
            format!("x {}, y", scene.own(0, from)),
            "{value}"
        );
    }
    assert_eq!(scene.scrub("condor_x"), "condor_x");
}

#[test]
fn the_longest_of_several_entries_counts_and_a_shorter_one_where_that_goes_on() {
    let values = text(&["prod", "prod-x1", "prod-x1.dune"]);
    let scene =
        Scene::new(&[("detect", words(&[]))], &[("G", values, "pseudonym", Some("hmac"), &[])]);
    let own = |value: &str| scene.own(0, value);
    assert_eq!(
        scene.scrub("prod-x1.dune prod-x12 prod-x1.dunes"),
        format!("{} {}-x12 {}.dunes", own("prod-x1.dune"), own("prod"), own("prod-x1"))
    );
}

#[test]
fn lists_teach_each_of_their_items() {
    let hosts = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![
        Some(vec![Some(70_001), None]),
        None,
        Some(vec![Some(70_002)]),
    ]);
    let source = ("Hosts", Arc::new(hosts) as ArrayRef, "pseudonym", Some("token"), &[][..]);
    let scene = Scene::new(&[], &[source]);
    let out = scene.scrub("on 70001,70002 70003");
    assert!(out == "on ID_1,ID_2 70003" || out == "on ID_2,ID_1 70003", "{out}");
}

#[test]
fn capitals_matter_where_the_policy_says_so() {
    let set = [("case_sensitive", Value::Flag(true)), ("detect", words(&[]))];
    let scene = Scene::users(&["Ada@fnal.gov", "zoë@fnal.gov"], &set);
    assert_eq!(scene.scrub("ada ZOË"), "ada ZOË");
    let out = scene.scrub("Ada zoë");
    assert!(!out.contains("Ada") && !out.contains("zo"), "{out}");
}

#[test]
fn what_no_dictionary_can_hold_is_refused_without_the_value() {
    let long = "x".repeat(1025);
    let source = [("U", text(&[&long]), "pseudonym", Some("hmac"), &[][..])];
    let error = Scene::try_new(&[], &source).err().unwrap();
    assert_eq!(error.code(), Code::SourceValue);
    assert!(!error.chain().contains("xxx"));
    assert!(dictionary::check(dictionary::ENTRIES_MAX + 1, 0).is_err());
    assert!(dictionary::check(1, dictionary::BYTES_MAX + 1).is_err());
    assert!(dictionary::check(dictionary::ENTRIES_MAX, dictionary::BYTES_MAX).is_ok());
}

#[test]
fn a_dictionary_takes_less_than_two_hundred_bytes_an_entry() {
    let users: Vec<String> = (0..20_000).map(|n| format!("user{:07}@fnal.gov", n * 7919)).collect();
    let users: Vec<&str> = users.iter().map(String::as_str).collect();
    let scene = Scene::users(&users, &[]);
    let Some(Learned::Dictionary(dictionary)) = &scene.fixture.learned else { panic!() };
    let each = dictionary.bytes() / 40_000;
    println!("{each} bytes an entry");
    assert!((20..200).contains(&each), "{each}");
    assert!(!format!("{dictionary:?}").contains("user"));
}
