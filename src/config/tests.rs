//! Settings as an operator writes them: defaults, origins, and what is refused in which words.

use clap::{Args, FromArgMatches};

use super::*;

fn given(arguments: &[&str]) -> RawSettings {
    let command = RawSettings::augment_args(Command::new("serve").no_binary_name(true));
    RawSettings::from_arg_matches(&command.try_get_matches_from(arguments).unwrap()).unwrap()
}

#[test]
fn every_default_is_good() {
    let settings = RawSettings::default().resolve().unwrap();
    assert_eq!(settings.listen.to_string(), "127.0.0.1:8815");
    assert_eq!(settings.key, Source::File(PathBuf::from("state/master.key")));
    let quotas = &settings.quotas;
    assert_eq!((quotas.streams_max, quotas.streams_partner_max), (256, 64));
    assert_eq!((quotas.queries_max, quotas.queries_partner_max), (4, 2));
    assert_eq!((quotas.rows_day, quotas.bytes_day), (None, None));
    assert_eq!(quotas.query, Duration::from_secs(300));
    assert_eq!(settings.query.spill, PathBuf::from("state/spill"));
    assert!(settings.query.threads > 0);
    assert!(settings.advertise.is_empty());
    assert_eq!(settings.limits.message_bytes, 1_572_864);
    assert_eq!(settings.ticket, Duration::from_secs(3600));
    assert_eq!(settings.tls, None);
    assert!(settings.origins.iter().all(|(_, _, origin)| *origin == Origin::Default));
}

#[test]
fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("server.yaml");
    std::fs::write(&file, "streams_max: 7\nshards_max: 3\npolicies: here\n").unwrap();
    let config = file.to_str().unwrap();
    let settings = given(&["--config", config, "--streams-max", "9"]).resolve().unwrap();
    assert_eq!((settings.quotas.streams_max, settings.shards_max), (9, 3));
    assert_eq!(settings.policies, folder.path().join("here"));
    let origin = |wanted: &str| {
        let found = settings.origins.iter().find(|(name, _, _)| *name == wanted).unwrap();
        found.2.clone()
    };
    assert_eq!(origin("streams_max"), Origin::Flag("streams-max"));
    assert_eq!(origin("shards_max"), Origin::File(file.clone(), 2));
    assert_eq!(origin("idle_seconds"), Origin::Default);
}

#[test]
fn a_misspelt_setting_in_a_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("server.yaml");
    std::fs::write(&file, "stream_max: 7\n").unwrap();
    let error = given(&["--config", file.to_str().unwrap()]).resolve().unwrap_err();
    assert!(error.to_string().contains("did you mean `streams_max`"), "{error}");
}

#[test]
fn a_value_that_makes_no_sense_is_told_with_its_origin() {
    let error = given(&["--idle-seconds", "soon"]).resolve().unwrap_err();
    assert_eq!(
        error.to_string(),
        "setting `idle_seconds`: `soon` is not a whole number (from flag --idle-seconds)"
    );
    let error = given(&["--shards-max", "0"]).resolve().unwrap_err();
    assert_eq!(
        error.to_string(),
        "setting `shards_max`: `0` is not between 1 and 4096 (from flag --shards-max)"
    );
}

#[test]
fn a_key_has_a_place_and_a_key_in_its_stead_is_not_repeated() {
    let source = |text: &str| given(&["--key", text]).resolve().map(|settings| settings.key);
    assert_eq!(source("env:MASTER").unwrap(), Source::Environment("MASTER".to_owned()));
    assert_eq!(source("command:pass a").unwrap(), Source::Command("pass a".to_owned()));
    let error = source("00112233445566778899aabbccddeeff").unwrap_err();
    assert_eq!(error.code(), Code::Config);
    assert!(!error.to_string().contains("0011"));
}

#[test]
fn amounts_a_day_are_numbers_and_nought_is_no_limit() {
    let a_day = |words: &[&str]| given(words).resolve().map(|settings| settings.quotas);
    let quotas = a_day(&["--rows-day", "12", "--bytes-day", "0"]).unwrap();
    assert_eq!((quotas.rows_day, quotas.bytes_day), (Some(12), None));
    assert_eq!(a_day(&["--rows-day", ""]).unwrap().rows_day, None);
    let error = a_day(&["--bytes-day", "10 GB"]).unwrap_err();
    assert!(error.to_string().contains("`10 GB` is not a whole number"), "{error}");
}

#[test]
fn statements_have_what_is_said_and_a_folder_of_their_own() {
    let words = ["--query-threads", "3", "--state", "here", "--query-spill-bytes", "0"];
    let query = given(&words).resolve().unwrap().query;
    assert_eq!((query.threads, query.spill_bytes), (3, 0));
    assert_eq!(query.spill, PathBuf::from("here/spill"));
    let query = given(&["--query-spill", "there"]).resolve().unwrap().query;
    assert_eq!(query.spill, PathBuf::from("there"));
}

#[test]
fn locations_have_a_scheme_a_host_and_a_port() {
    let advertise = |text: &str| given(&["--advertise", text]).resolve();
    let good = " grpc+tls://a.example.org:8815 , grpc://[::1]:1,grpc+tcp://10.0.0.1:65535,";
    assert_eq!(
        advertise(good).unwrap().advertise,
        ["grpc+tls://a.example.org:8815", "grpc://[::1]:1", "grpc+tcp://10.0.0.1:65535"]
    );
    for wrong in [
        "a.example.org:8815",
        "https://a.example.org:8815",
        "grpc+tls://a.example.org",
        "grpc+tls://a.example.org:0",
        "grpc+tls://a.example.org:65536",
        "grpc+tls://:8815",
        "grpc+tls://user@a.example.org:8815",
        "grpc+tls://a.example.org:8815/path",
        "grpc+tls://a/b:8815",
    ] {
        let error = advertise(wrong).unwrap_err();
        assert!(error.to_string().contains("is not a list of locations"), "{wrong}: {error}");
    }
}

#[test]
fn plain_text_needs_loopback_or_the_word() {
    assert!(given(&["--listen", "127.0.0.1:0"]).resolve().is_ok());
    assert!(given(&["--listen", "[::1]:0"]).resolve().is_ok());
    let open = given(&["--listen", "0.0.0.0:0"]).resolve().unwrap_err();
    assert_eq!(open.code(), Code::Config);
    let said = given(&["--listen", "0.0.0.0:0", "--dangerous-plaintext"]);
    assert!(said.resolve().is_ok());
    let half = given(&["--tls-certificate", "a.pem"]).resolve().unwrap_err();
    assert_eq!(half.code(), Code::Config);
}
