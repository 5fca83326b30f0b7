//! The fuzz targets' entry points on a stable compiler: a fixed number of mutations of real policies
//! and tickets, the same in every run. Finds what is shallow; `cargo fuzz` looks deeper.

use std::fs;
use std::path::Path;

#[cfg(feature = "server")]
#[path = "../fuzz/entry/command.rs"]
mod command_entry;
#[path = "../fuzz/entry/policy.rs"]
mod policy_entry;
#[cfg(feature = "server")]
#[path = "../fuzz/entry/ticket.rs"]
mod ticket_entry;

/// Mutations of each seed.
const ROUNDS: u32 = 400;

/// Pieces that mean something to YAML or to the policy grammar, with `¦` between them.
const PIECES: &str = "\t¦\n¦- ¦: ¦? ¦{¦}¦[¦]¦&a ¦*a¦<<: *a¦!!int ¦!¦|\n¦>-\n¦---\n¦...\n¦%YAML 1.1\n¦#¦\"¦'¦\\¦\
    \u{feff}¦\u{0}¦\u{85}¦\u{2028}¦é¦\u{1f512}¦NO¦yes¦~¦null¦1e3¦0x10¦0o7¦1_000¦.inf¦-0¦007¦2026-02-30¦\
    version: 1\n¦columns:\n¦keep¦drop¦pseudonym¦method: hmac¦release:¦grants:";

/// A small generator with a fixed start (xorshift64*): mutations need variety, not secrecy.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `end`, or 0.
    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap() % end.max(1)
    }

    /// The seed with one to four changes.
    fn mutate(&mut self, seed: &[u8]) -> Vec<u8> {
        let mut bytes = seed.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len() + 1);
            let end = (at + self.below(40)).min(bytes.len());
            match self.below(6) {
                0 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
                1 => drop(bytes.drain(at..end)),
                2 => {
                    let copy = bytes[at..end].to_vec();
                    let to = self.below(bytes.len() + 1);
                    bytes.splice(to..to, copy);
                }
                3 => bytes.truncate(at),
                4 => bytes.insert(at, u8::try_from(self.below(256)).unwrap()),
                _ => {
                    let pieces: Vec<&str> = PIECES.split('¦').collect();
                    bytes.splice(at..at, pieces[self.below(pieces.len())].bytes());
                }
            }
        }
        bytes
    }
}

/// The policies that are shipped, and small ones.
fn policies() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = vec![
        Vec::new(),
        b"version: 1".to_vec(),
        b"{version: 1, dataset: a, source: {parquet: a}, columns: {a: keep}}".to_vec(),
        "\u{feff}version: 1\ndataset: \u{e9}\n".as_bytes().to_vec(),
        "[".repeat(100).into_bytes(),
        vec![0xff; 40],
    ];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    let mut paths: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let shipped = paths.iter().filter(|path| path.extension().is_some_and(|end| end == "yaml"));
    seeds.extend(shipped.map(|path| fs::read(path).unwrap()));
    assert!(seeds.len() >= 6, "no policies to start from");
    seeds
}

#[test]
fn the_policy_loader_answers_for_any_bytes() {
    let mut dice = Dice(0x5eed);
    for seed in policies() {
        policy_entry::policy(&seed);
        for _ in 0..ROUNDS {
            policy_entry::policy(&dice.mutate(&seed));
        }
    }
}

#[cfg(feature = "server")]
#[test]
fn no_forged_ticket_opens() {
    let mut dice = Dice(0x71c_3e7);
    for len in [0, 1, 4, 19, 20, 36, 200, 2048, 2049] {
        let seed: Vec<u8> = (0..len).map(|_| u8::try_from(dice.below(256)).unwrap()).collect();
        ticket_entry::ticket(&seed);
        for _ in 0..ROUNDS {
            ticket_entry::ticket(&dice.mutate(&seed));
        }
    }
}

#[cfg(feature = "server")]
#[test]
fn every_single_bit_of_a_ticket_counts() {
    for bit in 0..200 * 8 {
        let mut change = vec![0; 200];
        change[bit / 8] = 1 << (bit % 8);
        ticket_entry::ticket(&change);
    }
}

#[cfg(feature = "server")]
#[test]
fn any_command_is_read_or_refused() {
    use arrow_flight::sql::{
        CommandGetTables, CommandPreparedStatementQuery, CommandStatementQuery,
        CommandStatementUpdate, ProstMessageExt,
    };
    use prost::Message;

    let query = "SELECT 1".to_owned();
    let pattern = Some("a%".to_owned());
    let tables = CommandGetTables { table_name_filter_pattern: pattern, ..Default::default() };
    let prepared = CommandPreparedStatementQuery { prepared_statement_handle: "handle".into() };
    let mut dice = Dice(0xc0_33a4d);
    for seed in [
        b"\nSELECT a FROM b".to_vec(),
        CommandStatementQuery { query: query.clone(), transaction_id: None }
            .as_any()
            .encode_to_vec(),
        CommandStatementUpdate { query, transaction_id: None }.as_any().encode_to_vec(),
        tables.as_any().encode_to_vec(),
        prepared.as_any().encode_to_vec(),
    ] {
        command_entry::command(&seed);
        for _ in 0..ROUNDS {
            command_entry::command(&dice.mutate(&seed));
        }
    }
}

#[cfg(feature = "server")]
#[test]
fn any_parameters_are_read_or_refused() {
    use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};

    let number: ArrayRef = std::sync::Arc::new(Int64Array::from(vec![7]));
    let text: ArrayRef = std::sync::Arc::new(StringArray::from(vec!["text"]));
    let row = RecordBatch::try_from_iter([("$1", number), ("$2", text)]).unwrap();
    let messages = arrow_flight::utils::batches_to_flight_data(&row.schema(), vec![row]).unwrap();
    let mut dice = Dice(0x9a7a_3e7e);
    for at in 0..messages.len() {
        let header = &messages[at].data_header;
        let end = u16::try_from(header.len()).unwrap().to_le_bytes();
        let seed = [&end, header.as_ref(), messages[at].data_body.as_ref()].concat();
        command_entry::parameters(&messages[..at], &seed);
        for _ in 0..ROUNDS {
            command_entry::parameters(&messages[..at], &dice.mutate(&seed));
        }
    }
}
