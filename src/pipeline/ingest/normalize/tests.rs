//! Shared names stand for columns that formats have, and say what these say. What runs make of them is in
//! the tests of formats.

use std::collections::BTreeSet;

use super::super::{ALL, condor, lsf, pbs, uge};
use super::*;

#[test]
fn every_column_behind_a_shared_name_is_one_that_its_format_knows() {
    let formats: BTreeSet<&str> = ALL.iter().map(|format| format.name()).collect();
    let mut seen = BTreeSet::new();
    for shared in NAMES {
        assert!(seen.insert(("", shared.name)), "{} twice", shared.name);
        for (format, raw) in shared.from {
            assert!(formats.contains(format), "{format} of {}", shared.name);
            for column in *raw {
                assert!(seen.insert((format, column)), "{format}.{column} has two names");
                let known = match *format {
                    "condor" => condor::KNOWN,
                    "lsf" if lsf::BHIST.iter().any(|known| known.name == *column) => lsf::BHIST,
                    "lsf" => lsf::ACCT,
                    "pbs" => pbs::KNOWN,
                    "uge" => uge::KNOWN,
                    // The columns of SWF and Slurm are met in runs.
                    _ => continue,
                };
                // Graphics processors are asked for by few jobs: the column is found in the data.
                if *column == "Resource_List.ngpus" {
                    continue;
                }
                let known = known.iter().find(|known| known.name == *column);
                let known = known.unwrap_or_else(|| panic!("{format} has no {column}"));
                let column = Column { unit: known.unit, ..Column::new(known.name, known.kind) };
                let taken = shared.wanted.take(&column);
                let taken = taken.unwrap_or_else(|| panic!("{} is no {}", known.name, shared.name));
                let field = taken.field();
                let unit = field.metadata().get(super::super::column::UNIT).map(String::as_str);
                match shared.wanted {
                    Wanted::Span => assert_eq!(unit, Some("seconds"), "{}", known.name),
                    Wanted::Bytes => assert_eq!(unit, Some("bytes"), "{}", known.name),
                    Wanted::Count | Wanted::Hosts => assert_eq!(unit, None, "{}", known.name),
                    Wanted::Label | Wanted::Moment => {}
                }
            }
        }
    }
}

#[test]
fn a_column_that_says_something_else_keeps_its_name_and_takes_no_shared_one() {
    // In this pool memory use is an expression, and an attribute has a shared name by chance.
    let raw = [
        Column::new("MemoryUsage", Kind::Text),
        Column::new("Owner", Kind::Text),
        Column::new("user", Kind::Integer),
        Column::new("RequestMemory", Kind::Integer).in_unit("mebibytes"),
        Column::new("ResidentSetSize", Kind::Integer).in_unit("kibibytes"),
    ];
    let named = columns("condor", &raw);
    let names: Vec<&str> = named.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(
        names,
        ["MemoryUsage", "Owner", "user", "memory_requested_bytes", "memory_used_bytes"]
    );
    assert_eq!(named[3].kind, Kind::Mebibytes);
    assert_eq!(named[4].kind, Kind::Kibibytes);
    let raw = [Column::new("user", Kind::Text), Column::new("owner", Kind::Text)];
    let names: Vec<String> = columns("uge", &raw).into_iter().map(|column| column.name).collect();
    assert_eq!(names, ["uge_user", "user"]);
    assert_eq!(columns("nothing", &raw), raw);
}
