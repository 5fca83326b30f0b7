//! Tests of who is let in, and the helper with which other rooms' tests get a partner.

use data_encoding::BASE64;
use rcgen::{CertificateParams, CertifiedIssuer, KeyPair, SanType};

use super::enrol::{Enrolment, add, check_name, rotate, set_disabled};
use super::token::Token;
use super::*;
use crate::clock::ManualClock;
use crate::keys::Secret;
use crate::state::Sqlite;

/// A partner of this name, let in with a token through a store in memory: the only way there is.
pub(crate) fn partner(name: &str) -> Partner {
    let world = World::new();
    let token = world.add(Enrolment { name: name.to_owned(), ..Enrolment::default() });
    world.bearer(token.expose()).unwrap()
}

/// A store, a clock and an identity over them. The time is 2027-01-15 08:00 UTC.
struct World {
    store: Arc<dyn Store>,
    clock: ManualClock,
    identity: Identity,
}

impl World {
    fn new() -> Self {
        let clock = ManualClock::new(1_800_000_000_000_000);
        let store: Arc<dyn Store> = Arc::new(Sqlite::in_memory(Arc::new(clock.clone())).unwrap());
        let identity = Identity::new(Arc::clone(&store), Arc::new(clock.clone()), ring(3));
        Self { store, clock, identity }
    }

    fn add(&self, enrolment: Enrolment) -> Token {
        add(&*self.store, &self.clock, enrolment).unwrap().unwrap()
    }

    fn check(&self, header: Option<&str>, certificate: Option<&[u8]>, ca: bool) -> Result<Partner> {
        let certificates: Vec<Vec<u8>> = certificate.into_iter().map(<[u8]>::to_vec).collect();
        self.identity.authenticate(&Credentials {
            authorization: header.map(str::as_bytes),
            certificates: &certificates,
            ca_verified: ca,
            custodian: None,
        })
    }

    fn bearer(&self, token: &str) -> Result<Partner> {
        self.check(Some(&format!("Bearer {token}")), None, false)
    }
}

fn ring(seed: u8) -> Arc<KeyRing> {
    Arc::new(KeyRing::new(vec![(1, Secret::new([seed; 32]))]).unwrap())
}

fn named(name: &str) -> Enrolment {
    Enrolment { name: name.to_owned(), ..Enrolment::default() }
}

fn basic(name: &str, token: &str) -> String {
    format!("Basic {}", BASE64.encode(format!("{name}:{token}").as_bytes()))
}

/// The name, or the operator's reason for a refusal.
fn told(result: Result<Partner>) -> String {
    match result {
        Ok(partner) => partner.name().to_owned(),
        Err(error) => {
            assert_eq!(error.code(), Code::CredentialsRefused);
            error.to_string()
        }
    }
}

/// A certificate (DER) with these subject names, valid from 2026-01-01 to 2028-01-01.
fn certificate(names: Vec<SanType>) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.subject_alt_names = names;
    params.not_before = rcgen::date_time_ymd(2026, 1, 1);
    params.not_after = rcgen::date_time_ymd(2028, 1, 1);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    issuer.der().to_vec()
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

#[test]
fn other_rooms_get_their_partner_through_the_front_door() {
    assert_eq!(partner("cern").name(), "cern");
}

#[test]
fn a_token_lets_its_partner_in_and_no_other_text_does() {
    let world = World::new();
    let token = world.add(named("cern"));
    world.add(named("other"));
    assert_eq!(token.expose().len(), 3 + 52);
    assert!(token.expose().starts_with("vf_"));
    assert_eq!(told(world.bearer(token.expose())), "cern");
    assert_eq!(
        told(world.check(Some(&format!("bEaReR  {} ", token.expose())), None, false)),
        "cern"
    );
    for wrong in [
        "",
        "vf_",
        "cern",
        token.expose().trim_start_matches("vf_"),
        &token.expose().to_uppercase(),
    ] {
        let header = format!("Bearer x{wrong}");
        assert_eq!(told(world.check(Some(&header), None, false)), "the token is unknown");
    }
    let mut changed = token.expose().to_owned();
    let last = changed.pop().unwrap();
    changed.push(if last == 'a' { 'b' } else { 'a' });
    assert_eq!(told(world.bearer(&changed)), "the token is unknown");
}

#[test]
fn nothing_is_missing_and_malformed_is_refused() {
    let world = World::new();
    assert_eq!(world.check(None, None, false).unwrap_err().code(), Code::CredentialsMissing);
    let long = format!("Bearer {}", "x".repeat(5000));
    let cases = [
        ("", "the authorization header has no scheme"),
        ("Bearer", "the authorization header has no scheme"),
        ("Digest abc", "the authorization header has an unknown scheme"),
        ("Basic !!", "the Basic credentials are malformed"),
        ("Basic bm9jb2xvbg==", "the Basic credentials are malformed"),
        (long.as_str(), "the authorization header is too long"),
    ];
    for (header, reason) in cases {
        assert_eq!(told(world.check(Some(header), None, false)), reason, "{header}");
    }
    let credentials = Credentials { authorization: Some(&[0xff]), ..Credentials::default() };
    assert_eq!(
        told(world.identity.authenticate(&credentials)),
        "the authorization header is not text"
    );
}

#[test]
fn basic_credentials_are_name_and_token() {
    let world = World::new();
    let token = world.add(named("cern"));
    let other = world.add(named("other"));
    let header = basic("cern", token.expose());
    assert_eq!(told(world.check(Some(&header), None, false)), "cern");
    let unpadded = header.trim_end_matches('=').to_owned();
    assert_eq!(told(world.check(Some(&unpadded), None, false)), "cern");
    for (name, token) in
        [("cern", other.expose()), ("nobody", token.expose()), ("", ""), ("cern", "")]
    {
        let header = basic(name, token);
        assert_eq!(told(world.check(Some(&header), None, false)), "the token is unknown");
    }
}

#[test]
fn a_partner_without_token_is_not_let_in_by_an_empty_hash() {
    let world = World::new();
    let enrolment = Enrolment { without_token: true, certificates: vec![[1; 32]], ..named("cern") };
    assert!(add(&*world.store, &world.clock, enrolment).unwrap().is_none());
    assert_eq!(told(world.check(Some(&basic("cern", "")), None, false)), "the token is unknown");
}

#[test]
fn only_a_hash_of_the_token_is_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.sqlite");
    let clock = ManualClock::new(0);
    let store = Sqlite::open(&path, Arc::new(clock.clone())).unwrap();
    let token = add(&store, &clock, named("cern")).unwrap().unwrap();
    let rotated = rotate(&store, "cern").unwrap();
    let mut bytes = Vec::new();
    for file in std::fs::read_dir(folder.path()).unwrap() {
        bytes.extend(std::fs::read(file.unwrap().path()).unwrap());
    }
    let holds = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
    for token in [&token, &rotated] {
        let text = token.expose().strip_prefix("vf_").unwrap();
        assert!(!holds(text.as_bytes()));
        assert!(!holds(
            &data_encoding::BASE32_NOPAD.decode(text.to_uppercase().as_bytes()).unwrap()
        ));
    }
    // The search itself works.
    assert!(holds(&rotated.hash()));
    assert!(!format!("{token:?}").contains(token.expose()));
}

#[test]
fn a_disabled_partner_is_refused_at_the_next_call() {
    let world = World::new();
    let token = world.add(named("cern"));
    let partner = world.bearer(token.expose()).unwrap();
    let session = world.identity.session(&partner).unwrap();
    set_disabled(&*world.store, "cern", true).unwrap();
    assert_eq!(told(world.bearer(token.expose())), "partner `cern` is disabled");
    assert_eq!(told(world.bearer(&session)), "partner `cern` is disabled");
    set_disabled(&*world.store, "cern", false).unwrap();
    assert_eq!(told(world.bearer(token.expose())), "cern");
}

#[test]
fn the_day_of_expiry_is_the_last_one() {
    let world = World::new();
    let expires = Some("2027-01-15".parse().unwrap());
    let token = world.add(Enrolment { expires, ..named("cern") });
    // 23:59:59 of that day.
    world.clock.advance_seconds(16 * 3600 - 1);
    assert_eq!(told(world.bearer(token.expose())), "cern");
    world.clock.advance_seconds(1);
    assert_eq!(told(world.bearer(token.expose())), "partner `cern` is expired");
}

#[test]
fn a_rotation_ends_the_old_token_and_its_sessions() {
    let world = World::new();
    let old = world.add(named("cern"));
    let session = world.identity.session(&world.bearer(old.expose()).unwrap()).unwrap();
    assert_eq!(told(world.bearer(&session)), "cern");
    let new = rotate(&*world.store, "cern").unwrap();
    assert_eq!(told(world.bearer(old.expose())), "the token is unknown");
    assert_eq!(told(world.bearer(&session)), "the session of `cern` is older than its token");
    assert_eq!(told(world.bearer(new.expose())), "cern");
    assert_eq!(rotate(&*world.store, "nobody").unwrap_err().code(), Code::Usage);
}

#[test]
fn a_session_counts_one_hour_on_any_replica_with_the_same_keys() {
    let world = World::new();
    let token = world.add(named("cern"));
    let session = world.identity.session(&world.bearer(token.expose()).unwrap()).unwrap();
    assert!(session.starts_with("vs_"));
    let replica = Identity::new(Arc::clone(&world.store), Arc::new(world.clock.clone()), ring(3));
    let stranger = Identity::new(Arc::clone(&world.store), Arc::new(world.clock.clone()), ring(4));
    let header = format!("Bearer {session}");
    let credentials =
        || Credentials { authorization: Some(header.as_bytes()), ..Credentials::default() };
    world.clock.advance_seconds(3599);
    assert_eq!(told(replica.authenticate(&credentials())), "cern");
    assert_eq!(told(stranger.authenticate(&credentials())), "the session token is not authentic");
    world.clock.advance_seconds(1);
    assert_eq!(told(replica.authenticate(&credentials())), "the session of `cern` is over");
}

#[test]
fn a_session_cannot_prolong_itself() {
    let world = World::new();
    let token = world.add(named("cern"));
    let session = world.identity.session(&world.bearer(token.expose()).unwrap()).unwrap();
    world.clock.advance_seconds(3000);
    let second = world.identity.session(&world.bearer(&session).unwrap()).unwrap();
    assert_eq!(told(world.bearer(&second)), "cern");
    world.clock.advance_seconds(600);
    assert_eq!(told(world.bearer(&second)), "the session of `cern` is over");
    assert_eq!(told(world.bearer(token.expose())), "cern");
}

#[test]
fn a_session_does_not_stand_in_for_the_certificate_of_a_partner_without_token() {
    let world = World::new();
    let der = certificate(Vec::new());
    let certificates = vec![certificate::fingerprint(&der)];
    let enrolment = Enrolment { certificates, without_token: true, ..named("cern") };
    assert!(add(&*world.store, &world.clock, enrolment).unwrap().is_none());
    let partner = world.check(None, Some(&der), false).unwrap();
    let session = world.identity.session(&partner).unwrap();
    assert_eq!(told(world.bearer(&session)), "partner `cern` came without certificate");
    assert_eq!(told(world.check(Some(&format!("Bearer {session}")), Some(&der), false)), "cern");
}

#[test]
fn a_changed_session_token_is_refused() {
    let world = World::new();
    let token = world.add(named("cern"));
    let session = world.identity.session(&world.bearer(token.expose()).unwrap()).unwrap();
    for position in 3..session.len() {
        let mut forged = session.clone().into_bytes();
        forged[position] = if forged[position] == b'a' { b'b' } else { b'a' };
        let forged = String::from_utf8(forged).unwrap();
        // The last character carries bits that no byte needs; changing those is refused as well.
        assert_eq!(told(world.bearer(&forged)), "the session token is not authentic", "{position}");
    }
}

#[test]
fn a_pinned_certificate_counts_without_an_authority() {
    let world = World::new();
    let der = certificate(vec![dns("cern.example.org")]);
    let enrolment =
        Enrolment { certificates: vec![certificate::fingerprint(&der)], ..named("cern") };
    let token = world.add(enrolment);
    assert_eq!(told(world.check(None, Some(&der), false)), "cern");
    let both = format!("Bearer {}", token.expose());
    assert_eq!(told(world.check(Some(&both), Some(&der), false)), "cern");
    let another = certificate(vec![dns("cern.example.org")]);
    assert_eq!(told(world.check(None, Some(&another), true)), "the certificate is no partner's");
}

#[test]
fn a_subject_name_counts_only_under_the_authority() {
    let world = World::new();
    for (name, subject) in [
        ("host", "Host.Example.org"),
        ("mail", "someone@EXAMPLE.org"),
        ("workload", "spiffe://example.org/pull"),
    ] {
        let subjects = vec![certificate::parse_subject(subject).unwrap()];
        world.add(Enrolment { subjects, ..named(name) });
    }
    let cases = [
        ("host", dns("hOST.example.org")),
        ("mail", SanType::Rfc822Name("someone@example.ORG".try_into().unwrap())),
        ("workload", SanType::URI("spiffe://example.org/pull".try_into().unwrap())),
    ];
    for (name, subject) in cases {
        let der = certificate(vec![subject]);
        assert_eq!(told(world.check(None, Some(&der), true)), name);
        assert_eq!(told(world.check(None, Some(&der), false)), "the certificate is no partner's");
    }
    // A host that is spelt like a mail address is not one, and the other way round.
    let strangers = [
        dns("example.org"),
        dns("*.example.org"),
        SanType::Rfc822Name("host.example.org".try_into().unwrap()),
    ];
    for stranger in strangers {
        let der = certificate(vec![stranger]);
        assert_eq!(told(world.check(None, Some(&der), true)), "the certificate is no partner's");
    }
}

#[test]
fn a_certificate_that_names_two_partners_is_refused() {
    let world = World::new();
    world.add(Enrolment { subjects: vec!["dns:a.example.org".to_owned()], ..named("a") });
    world.add(Enrolment { subjects: vec!["dns:b.example.org".to_owned()], ..named("b") });
    let der = certificate(vec![dns("a.example.org"), dns("b.example.org")]);
    assert_eq!(told(world.check(None, Some(&der), true)), "the certificate names both `a` and `b`");
}

#[test]
fn token_and_certificate_must_prove_the_same_partner() {
    let world = World::new();
    let der = certificate(Vec::new());
    let certificates = vec![certificate::fingerprint(&der)];
    world.add(Enrolment { certificates, ..named("a") });
    let token = world.add(named("b"));
    let header = format!("Bearer {}", token.expose());
    assert_eq!(
        told(world.check(Some(&header), Some(&der), true)),
        "the token is that of `b`, the certificate that of `a`"
    );
    let stranger = certificate(Vec::new());
    assert_eq!(
        told(world.check(Some(&header), Some(&stranger), true)),
        "the certificate is no partner's"
    );
    assert_eq!(told(world.check(Some("Bearer x"), Some(&der), true)), "the token is unknown");
}

#[test]
fn a_required_certificate_cannot_be_left_out() {
    let world = World::new();
    let der = certificate(Vec::new());
    let enrolment = Enrolment {
        certificates: vec![certificate::fingerprint(&der)],
        require_certificate: true,
        ..named("cern")
    };
    let token = world.add(enrolment);
    assert_eq!(told(world.bearer(token.expose())), "partner `cern` came without certificate");
    let header = format!("Bearer {}", token.expose());
    let partner = world.check(Some(&header), Some(&der), false).unwrap();
    let session = world.identity.session(&partner).unwrap();
    assert_eq!(told(world.bearer(&session)), "partner `cern` came without certificate");
    assert_eq!(told(world.check(Some(&format!("Bearer {session}")), Some(&der), false)), "cern");
}

#[test]
fn a_certificate_counts_only_in_its_time() {
    let world = World::new();
    let der = certificate(Vec::new());
    world.add(Enrolment { certificates: vec![certificate::fingerprint(&der)], ..named("cern") });
    world.clock.advance_seconds(366 * 86_400);
    assert_eq!(
        told(world.check(None, Some(&der), true)),
        "the certificate is not valid at this time"
    );
    assert_eq!(
        told(world.check(None, Some(b"not a certificate"), true)),
        "the certificate cannot be read"
    );
}

#[test]
fn names_are_short_plain_and_lower_case() {
    for name in ["a", "7", "cern", "public-dashboard", "a_b-c", &"x".repeat(63)] {
        check_name(name).unwrap();
    }
    let wrong = ["", "-a", "_a", "A", "cern ", "a.b", "a/b", "é", "a:b", &"x".repeat(64)];
    for name in wrong {
        assert_eq!(check_name(name).unwrap_err().code(), Code::Usage, "{name}");
    }
}

#[test]
fn an_enrolment_that_proves_nobody_is_refused() {
    let world = World::new();
    let add = |enrolment| add(&*world.store, &world.clock, enrolment).map(drop);
    let without = Enrolment { without_token: true, ..named("cern") };
    assert_eq!(add(without).unwrap_err().code(), Code::Usage);
    let required = Enrolment { require_certificate: true, ..named("cern") };
    assert_eq!(add(required).unwrap_err().code(), Code::Usage);
    add(named("cern")).unwrap();
    assert_eq!(add(named("cern")).unwrap_err().code(), Code::Usage);
}

#[test]
fn subjects_and_fingerprints_are_read_as_people_write_them() {
    use certificate::{parse_fingerprint, parse_subject};
    for (written, kept) in [
        ("Host.example.ORG.", "dns:host.example.org"),
        ("a@B.org", "email:a@b.org"),
        ("https://x.org/P", "uri:https://x.org/P"),
        ("urn:x:y", "uri:urn:x:y"),
        ("dns:Host", "dns:host"),
        ("email:a@B", "email:a@b"),
    ] {
        assert_eq!(parse_subject(written).unwrap(), kept);
    }
    for wrong in ["", "dns:", "*.example.org", "two words"] {
        assert!(parse_subject(wrong).is_err(), "{wrong}");
    }
    let colons = ["AB"; 32].join(":");
    assert_eq!(parse_fingerprint(&colons).unwrap(), [0xab; 32]);
    assert!(parse_fingerprint("abcd").is_err());
}
