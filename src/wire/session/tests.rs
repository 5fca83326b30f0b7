//! Options by header and by cookie, and the session's actions.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;
use prost::Message as _;

use super::message::{
    CloseResult, GetResult, INVALID_NAME, INVALID_VALUE, Kind, SetRequest, SetResult, Texts, Value,
};
use super::*;
use crate::keys::Secret;

fn sessions(byte: u8) -> Sessions {
    Sessions::new(&KeyRing::new(vec![(1, Secret::new([byte; 32]))]).unwrap()).unwrap()
}

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| {
            (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap())
        })
        .collect()
}

fn of(pairs: &[(&str, &str)]) -> Result<Session> {
    sessions(1).of(&headers(pairs), "cern")
}

fn hint(error: &Error) -> &str {
    error.hint().unwrap().as_str()
}

/// Sets options in a session; gives what was refused, and the `cookie` header that follows.
fn set(session: &Session, options: Vec<(&str, Option<Kind>)>) -> (BTreeMap<String, i32>, String) {
    let session_options =
        options.into_iter().map(|(name, kind)| (name.to_owned(), Value { kind })).collect();
    let body = SetRequest { session_options }.encode_to_vec().into();
    let answer = session.act("cern", SET, &body).unwrap();
    let errors = SetResult::decode(answer.body).unwrap().errors;
    let errors = errors.into_iter().map(|(name, refusal)| (name, refusal.value)).collect();
    let cookie = answer.cookie.unwrap().to_str().unwrap().to_owned();
    (errors, cookie.split_once(';').unwrap().0.to_owned())
}

fn text(text: &str) -> Option<Kind> {
    Some(Kind::Text(text.to_owned()))
}

#[test]
fn without_headers_answers_are_what_every_client_reads() {
    let session = of(&[("cookie", "other=1"), ("user-agent", "x")]).unwrap();
    assert_eq!(session.options(), &Options::default());
    assert_eq!(session.options().format, Format::default());
}

#[test]
fn every_header_takes_effect_whatever_its_case() {
    let session = of(&[
        ("veilflight-strings", "UTF8_View"),
        ("veilflight-dictionaries", "true"),
        ("veilflight-compression", " zstd "),
        ("veilflight-time-zone", "Europe/Zurich"),
        ("veilflight-epsilon", " 2.5e-1 "),
        ("veilflight-locations", "reuse"),
    ]);
    let expected = Options {
        format: Format {
            strings: Strings::View,
            dictionaries: true,
            compression: Compression::Zstd,
        },
        time_zone: Some("Europe/Zurich".to_owned()),
        epsilon: "0.25".parse().ok(),
        reuse_connection: true,
    };
    assert_eq!(session.unwrap().options(), &expected);
    for offset in ["+02:00", "-0330", "UTC"] {
        let session = of(&[("veilflight-time-zone", offset)]).unwrap();
        assert_eq!(session.options().time_zone.as_deref(), Some(offset));
    }
}

#[test]
fn a_header_or_a_value_that_does_not_exist_is_refused_and_the_good_ones_are_named() {
    for (name, value, expected) in [
        ("veilflight-strings", "utf16", "`veilflight-strings` takes utf8, large_utf8 or utf8_view"),
        ("veilflight-dictionaries", "1", "`veilflight-dictionaries` takes true or false"),
        ("veilflight-compression", "snappy", "`veilflight-compression` takes none, lz4 or zstd"),
        ("veilflight-locations", "", "`veilflight-locations` takes none or reuse"),
        (
            "veilflight-time-zone",
            "Europe/Zuerich",
            "`veilflight-time-zone` takes a name of the time zone database such as Europe/Zurich, or \
             an offset such as +02:00",
        ),
        (
            "veilflight-string",
            "utf8",
            "there is no header `veilflight-string`; there are veilflight-strings, \
             veilflight-dictionaries, veilflight-compression, veilflight-time-zone, \
             veilflight-epsilon, veilflight-locations",
        ),
    ] {
        let error = of(&[(name, value)]).unwrap_err();
        assert_eq!(error.code(), Code::RequestInvalid, "{name}");
        assert_eq!(hint(&error), expected);
    }
}

#[test]
fn an_epsilon_is_a_plain_decimal_above_zero() {
    for wrong in
        ["-0.1", "+1", "0", "0.0", "NaN", "inf", "1e8", "1e-31", "0x1", "1,5", "", "0.1 0.2"]
    {
        let error = of(&[("veilflight-epsilon", wrong)]).unwrap_err();
        assert_eq!(error.code(), Code::RequestInvalid, "`{wrong}`");
        assert!(hint(&error).contains("takes a decimal above 0"), "{}", hint(&error));
        let (errors, _) = set(&of(&[]).unwrap(), vec![("epsilon", text(wrong))]);
        assert_eq!(errors.len(), 1, "`{wrong}`");
    }
    // A floating-point number is no decimal.
    let (errors, _) = set(&of(&[]).unwrap(), vec![("epsilon", Some(Kind::Real(0.1)))]);
    assert_eq!(errors.len(), 1);
}

#[test]
fn what_was_set_comes_back_in_a_cookie_and_any_replica_reads_it() {
    let (errors, cookie) = set(
        &of(&[]).unwrap(),
        vec![
            ("string_type", text("large_utf8")),
            ("dictionary", Some(Kind::Flag(true))),
            ("compression", text("LZ4")),
            ("time_zone", text("+02:00")),
            ("epsilon", text("0.1")),
            ("locations", text("reuse")),
            ("catalog", text("veilflight")),
            ("schema", text("public")),
        ],
    );
    assert_eq!(errors, BTreeMap::new());
    // Another server with the same keys, and other cookies around ours.
    let cookies = format!("a=b; {cookie}; c=d");
    let options = sessions(1).of(&headers(&[("cookie", &cookies)]), "cern").unwrap().options;
    let expected = Options {
        format: Format {
            strings: Strings::Large,
            dictionaries: true,
            compression: Compression::Lz4,
        },
        time_zone: Some("+02:00".to_owned()),
        epsilon: "0.1".parse().ok(),
        reuse_connection: true,
    };
    assert_eq!(options, expected);
}

#[test]
fn a_header_counts_for_more_than_the_cookie_and_does_not_change_it() {
    let (_, cookie) = set(&of(&[]).unwrap(), vec![("compression", text("lz4"))]);
    let both = of(&[("cookie", &cookie), ("veilflight-compression", "none")]).unwrap();
    assert_eq!(both.options().format.compression, Compression::None);
    let (_, cookie) = set(&both, vec![("string_type", text("utf8_view"))]);
    let options = of(&[("cookie", &cookie)]).unwrap().options;
    assert_eq!(options.format.compression, Compression::Lz4);
    assert_eq!(options.format.strings, Strings::View);
}

#[test]
fn bad_options_are_named_one_by_one_and_the_good_ones_hold() {
    let (errors, cookie) = set(
        &of(&[]).unwrap(),
        vec![
            ("compression", text("zstd")),
            ("compresion", text("zstd")),
            ("string_type", text("utf32")),
            ("dictionary", Some(Kind::Integer(1))),
            ("time_zone", text("Mars/Olympus")),
            ("locations", Some(Kind::Texts(Texts { values: vec!["reuse".to_owned()] }))),
            ("catalog", text("hr")),
            ("schema", text("private")),
        ],
    );
    let expected = [
        ("catalog", INVALID_VALUE),
        ("compresion", INVALID_NAME),
        ("dictionary", INVALID_VALUE),
        ("locations", INVALID_VALUE),
        ("schema", INVALID_VALUE),
        ("string_type", INVALID_VALUE),
        ("time_zone", INVALID_VALUE),
    ];
    assert_eq!(errors, expected.map(|(name, value)| (name.to_owned(), value)).into());
    let options = of(&[("cookie", &cookie)]).unwrap().options;
    let format = Format { compression: Compression::Zstd, ..Format::default() };
    assert_eq!(options, Options { format, ..Options::default() });
}

#[test]
fn an_option_without_a_value_is_taken_back() {
    let (_, cookie) = set(&of(&[]).unwrap(), vec![("compression", text("lz4"))]);
    let session = of(&[("cookie", &cookie)]).unwrap();
    let (errors, cookie) = set(&session, vec![("compression", None)]);
    assert_eq!(errors, BTreeMap::new());
    assert_eq!(of(&[("cookie", &cookie)]).unwrap().options(), &Options::default());
}

#[test]
fn the_options_in_force_are_told_with_their_defaults() {
    let session = of(&[("veilflight-dictionaries", "true")]).unwrap();
    let answer = session.act("cern", GET, &Bytes::new()).unwrap();
    assert!(answer.cookie.is_none());
    let told = GetResult::decode(answer.body).unwrap().session_options;
    let told: Vec<(String, Option<Kind>)> =
        told.into_iter().map(|(name, value)| (name, value.kind)).collect();
    let expected = [
        ("catalog", text("veilflight")),
        ("compression", text("none")),
        ("dictionary", Some(Kind::Flag(true))),
        // Nothing: what a grant says for a statement counts.
        ("epsilon", text("")),
        ("locations", text("none")),
        ("schema", text("public")),
        ("string_type", text("utf8")),
        ("time_zone", text("UTC")),
    ];
    assert_eq!(told, expected.map(|(name, kind)| (name.to_owned(), kind)));
}

#[test]
fn closing_takes_the_cookie_back() {
    let answer = of(&[]).unwrap().act("cern", CLOSE, &Bytes::new()).unwrap();
    assert_eq!(CloseResult::decode(answer.body).unwrap().status, 1);
    let cookie = answer.cookie.unwrap();
    assert_eq!(cookie.to_str().unwrap(), "arrow_flight_session_id=; Path=/; Max-Age=0");
    // A client that keeps the emptied cookie has no options.
    let session = of(&[("cookie", "arrow_flight_session_id=")]).unwrap();
    assert_eq!(session.options(), &Options::default());
}

#[test]
fn a_cookie_that_is_not_this_partners_is_refused_and_not_passed_over() {
    let (_, cookie) = set(&of(&[]).unwrap(), vec![("compression", text("lz4"))]);
    let of = |sessions: &Sessions, partner: &str, cookie: &str| {
        sessions.of(&headers(&[("cookie", cookie)]), partner).map(|session| session.options)
    };
    assert!(of(&sessions(1), "cern", &cookie).is_ok());
    let foreign = of(&sessions(1), "fnal", &cookie).unwrap_err();
    assert_eq!(foreign.code(), Code::TicketForeign);
    assert!(hint(&foreign).contains("cookie") && !hint(&foreign).contains("cern"));
    let elsewhere = of(&sessions(2), "cern", &cookie).unwrap_err();
    assert_eq!(elsewhere.code(), Code::TicketInvalid);
    let ticket =
        Envelope::new(&KeyRing::new(vec![(1, Secret::new([1; 32]))]).unwrap(), "ticket").unwrap();
    let other = ticket.seal(b"1\ncern\ncompression=lz4").unwrap();
    for forged in [
        "arrow_flight_session_id=xyz".to_owned(),
        format!("arrow_flight_session_id={}", BASE64URL_NOPAD.encode(&other)),
        format!("{}x", cookie),
        cookie.replacen("id=A", "id=B", 1),
    ] {
        let error = of(&sessions(1), "cern", &forged).unwrap_err();
        assert_eq!(error.code(), Code::TicketInvalid, "{forged}");
    }
    let twice = format!("{cookie}; arrow_flight_session_id=xyz");
    assert_eq!(of(&sessions(1), "cern", &twice).unwrap_err().code(), Code::RequestInvalid);
}

#[test]
fn a_cookie_with_an_option_of_another_release_is_refused() {
    let sealed = sessions(1).envelope.seal(b"1\ncern\nstring_type=rope").unwrap();
    let cookie = format!("{COOKIE_NAME}={}", BASE64URL_NOPAD.encode(&sealed));
    let error = sessions(1).of(&headers(&[("cookie", &cookie)]), "cern").unwrap_err();
    assert_eq!(error.code(), Code::TicketInvalid);
}

#[test]
fn a_body_that_is_not_the_message_is_refused() {
    let session = of(&[]).unwrap();
    for name in [SET, GET, CLOSE] {
        let error = session.act("cern", name, &Bytes::from_static(b"\xff\xff")).unwrap_err();
        assert_eq!(error.code(), Code::RequestInvalid, "{name}");
    }
    let other = session.act("cern", "BeginTransaction", &Bytes::new()).unwrap_err();
    assert_eq!(other.code(), Code::Unsupported);
}

proptest! {
    #[test]
    fn any_header_and_any_body_is_answered_or_refused(
        cookie: Vec<u8>, value: Vec<u8>, body: Vec<u8>, at in 0..SETTINGS.len(),
    ) {
        let mut headers = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_bytes(&cookie) {
            headers.append("cookie", value);
        }
        if let Ok(sealed) = HeaderValue::from_bytes(&[b"arrow_flight_session_id=", &cookie[..]].concat()) {
            headers.append("cookie", sealed);
        }
        if let (Ok(value), header @ [_, ..]) = (HeaderValue::from_bytes(&value), SETTINGS[at].header.as_bytes()) {
            headers.append(HeaderName::from_bytes(header).unwrap(), value);
        }
        let known = [Code::RequestInvalid, Code::TicketInvalid];
        if let Err(error) = sessions(1).of(&headers, "cern") {
            prop_assert!(known.contains(&error.code()));
        }
        for name in [SET, GET, CLOSE] {
            if let Err(error) = of(&[]).unwrap().act("cern", name, &body.clone().into()) {
                prop_assert_eq!(error.code(), Code::RequestInvalid);
            }
        }
    }
}
