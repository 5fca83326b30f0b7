//! What the ticket target calls with arbitrary bytes, and what must hold then. Shared by the libFuzzer
//! target and by the smoke test on a stable compiler; makes no bytes of its own.

use veilflight::error::Code;
use veilflight::keys::{KeyRing, Secret};
use veilflight::pipeline::format::Format;
use veilflight::wire::ticket::{Asked, Read, Seen, Subject, Ticket, Tickets};

/// No bytes open as a ticket but those that were sealed: neither the bytes themselves, nor a genuine
/// ticket changed by them.
pub(crate) fn ticket(bytes: &[u8]) {
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
    let seen = Seen {
        dataset: "dataset".to_owned(),
        policy_digest: "ab".repeat(32),
        data_version: "cd".repeat(32),
    };
    let asked = Asked { sql: "SELECT 1".to_owned(), ..Asked::default() };
    Ticket {
        partner: "partner".to_owned(),
        subject: Subject::Query {
            asked,
            reads: vec![Read { seen, columns: vec!["Id".to_owned()] }],
            shard: 3,
        },
        plan: [7; 16],
        format: Format::default(),
        expires_seconds: i64::MAX,
    }
}
