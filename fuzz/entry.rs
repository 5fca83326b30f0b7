//! What the fuzz targets call with arbitrary bytes, and what must hold then. Shared by the libFuzzer
//! targets and by the smoke test on a stable compiler; makes no bytes of its own.

use std::path::Path;

use veilflight::diagnostic::render;
use veilflight::error::Code;
use veilflight::keys::{KeyRing, Secret};
use veilflight::policy::load::load_bytes;
use veilflight::wire::ticket::{Ticket, Tickets};

/// The policy loader answers for any bytes: with a policy whose digest is stable, or with problems that
/// can all be shown at their place.
pub fn policy(bytes: &[u8]) {
    let path = Path::new("policies/fuzzed.yaml");
    let first = load_bytes(path, bytes);
    let problems = match &first {
        Ok(loaded) => loaded.warnings.as_slice(),
        Err(report) => report.diagnostics(),
    };
    for problem in problems {
        let (Some(file), Some(span)) = (&problem.file, problem.span) else { continue };
        assert!(span.start <= span.end, "a span ends before it begins: {problem:?}");
        assert!(
            file.text().get(span.start..span.end).is_some(),
            "a span points outside its file or into a character: {problem:?}"
        );
    }
    assert_eq!(render::human(problems, true).is_empty(), problems.is_empty());
    assert!(render::json(problems).starts_with('['));
    match (first, load_bytes(path, bytes)) {
        (Ok(first), Ok(second)) => {
            assert_eq!(first.policy.digest.len(), 64);
            assert_eq!(first.policy.digest, second.policy.digest, "the digest is not stable");
        }
        (Err(first), Err(second)) => {
            assert!(first.diagnostics().iter().any(|problem| problem.is_error()));
            assert_eq!(first, second, "the report is not stable");
        }
        _ => panic!("the same bytes are a policy once and none the other time"),
    }
}

/// No bytes open as a ticket but those that were sealed: neither the bytes themselves, nor a genuine
/// ticket changed by them.
pub fn ticket(bytes: &[u8]) {
    let tickets = tickets();
    refused(&tickets, bytes);
    let Ok(genuine) = tickets.seal(&sample()) else { panic!("a ticket cannot be sealed") };
    assert!(tickets.open(&genuine).is_ok_and(|ticket| ticket == sample()));
    let mut changed = genuine.clone();
    for (place, byte) in changed.iter_mut().zip(bytes) {
        *place ^= byte;
    }
    if changed != genuine {
        refused(&tickets, &changed);
    }
    if !bytes.is_empty() {
        refused(&tickets, &[genuine.as_slice(), bytes].concat());
        refused(&tickets, &[bytes, genuine.as_slice()].concat());
    }
}

fn refused(tickets: &Tickets, bytes: &[u8]) {
    match tickets.open(bytes) {
        Ok(ticket) => panic!("a forged ticket opens: {ticket:?}"),
        Err(error) => assert_eq!(error.code(), Code::TicketInvalid),
    }
}

fn tickets() -> Tickets {
    let ring = KeyRing::new(vec![(1, Secret::new([0x5a; 32])), (2, Secret::new([0xa5; 32]))]);
    let Ok(tickets) = ring.and_then(|ring| Tickets::new(&ring)) else { panic!("no keys") };
    tickets
}

fn sample() -> Ticket {
    Ticket {
        partner: "partner".to_owned(),
        dataset: "dataset".to_owned(),
        policy_digest: "ab".repeat(32),
        data_version: "cd".repeat(32),
        shard: 3,
        plan: [7; 16],
        expires_seconds: i64::MAX,
    }
}
