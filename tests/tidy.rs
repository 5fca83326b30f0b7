//! Rules of the house that types cannot express, checked on the text of the sources; `ARCHITECTURE.md`
//! says why each is there. A rule that cannot fail is no rule, so every one is also shown a text that
//! breaks it. Does not check behaviour.

use std::collections::BTreeSet;

use sources::{File, has_word};

mod manual;
mod sources;

/// Words that only some files may hold.
struct Ban {
    /// The words.
    words: &'static [&'static str],
    /// The files that the rule is about.
    within: fn(&str) -> bool,
    /// Files that may, and why.
    except: &'static [(&'static str, &'static str)],
}

impl Ban {
    fn excepted(&self, path: &str) -> bool {
        self.except.iter().any(|(except, _)| path.starts_with(except))
    }

    /// Every place that breaks the rule.
    fn breaches(&self, files: &[File]) -> Vec<String> {
        let bound = files.iter().filter(|file| (self.within)(&file.path));
        bound.filter(|file| !self.excepted(&file.path)).flat_map(|file| self.places(file)).collect()
    }

    fn places(&self, file: &File) -> Vec<String> {
        file.code()
            .filter_map(|(at, line)| {
                let word = self.words.iter().find(|word| has_word(line, word))?;
                Some(format!("{}:{at}: `{word}`", file.path))
            })
            .collect()
    }

    /// The tree keeps the rule, no exception is out of date, and `breach` would have been found.
    fn holds(&self, breach: &File) {
        assert_eq!(self.breaches(std::slice::from_ref(breach)).len(), 1, "the rule cannot fail");
        let files = sources::crate_sources();
        assert_eq!(self.breaches(&files), [] as [String; 0]);
        for (except, reason) in self.except {
            assert!(!reason.is_empty(), "{except}: an exception needs a reason");
            let used = files
                .iter()
                .any(|file| file.path.starts_with(except) && !self.places(file).is_empty());
            assert!(used, "{except}: the exception is not needed any more");
        }
    }
}

#[test]
fn the_policy_room_is_pure() {
    let ban = Ban {
        words: &["tonic", "tokio", "datafusion", "rusqlite", "arrow_flight", "std::net"],
        within: |path| path.starts_with("src/policy/"),
        except: &[],
    };
    ban.holds(&File::new("src/policy/load.rs", "use tokio::fs;\n"));
}

#[test]
fn the_wire_room_knows_no_query_engine_and_no_raw_batches() {
    let ban = Ban {
        words: &["datafusion", "parquet", "RecordBatch", "arrow_csv", "FlightDataEncoderBuilder"],
        within: |path| path.starts_with("src/wire/"),
        except: METADATA,
    };
    ban.holds(&File::new("src/wire/flights.rs", "fn send(batch: RecordBatch) {}\n"));
}

/// Where tables are made that hold no row of anybody's.
const METADATA: &[(&str, &str)] = &[
    ("src/wire/sql/metadata.rs", "tables about the catalogue, from plans and constants"),
    ("src/wire/sql/info.rs", "a table of constants"),
    ("src/wire/sql/types.rs", "a table of constants"),
];

#[test]
fn the_report_room_reads_released_data_only() {
    let ban = Ban {
        words: &[
            "pipeline",
            "datafusion",
            "File::open",
            "fs::read",
            "fs::read_to_string",
            "arrow_csv",
            "KeyRing",
            "Store",
        ],
        within: |path| path.starts_with("src/report/"),
        except: &[],
    };
    ban.holds(&File::new("src/report/users.rs", "use crate::pipeline::source::snapshot;\n"));
}

#[test]
fn the_risk_room_knows_codes_and_counts_only() {
    let ban = Ban {
        words: &["pipeline", "datafusion", "arrow", "parquet", "RecordBatch", "KeyRing", "Store"],
        within: |path| path.starts_with("src/risk/"),
        except: &[],
    };
    ban.holds(&File::new("src/risk/page.rs", "use crate::pipeline::source::snapshot;\n"));
}

#[test]
fn what_measures_a_release_shares_no_code_with_what_makes_it() {
    let ban = Ban {
        words: &[
            "super::model",
            "release::model",
            "Guarantees",
            "ClassCounts",
            "lattice",
            "choice",
        ],
        within: |path| path.starts_with("src/pipeline/release/measure/"),
        except: &[],
    };
    let breach = "use crate::pipeline::release::model::Guarantees;\n";
    ban.holds(&File::new("src/pipeline/release/measure/judge.rs", breach));
}

#[test]
fn one_file_makes_what_a_partner_hears_of_an_error() {
    let ban = Ban {
        words: &["Status::"],
        within: |_| true,
        except: &[("src/wire/status.rs", "the one file")],
    };
    ban.holds(&File::new("src/wire/service.rs", "Err(Status::internal(error.to_string()))\n"));
    let ban =
        Ban { words: &["tonic"], within: |path| !path.starts_with("src/wire/"), except: TONIC };
    ban.holds(&File::new("src/pipeline/stream.rs", "use tonic::Status;\n"));
}

#[test]
fn one_file_has_tables_sealed_that_passed_no_policy() {
    // By its whole path, or brought in by name.
    fn breaches(files: &[File]) -> Vec<String> {
        let mut found = Vec::new();
        for file in files.iter().filter(|file| file.path != "src/wire/sql/metadata.rs") {
            for (at, line) in file.code() {
                let brought = line.contains("seal::{") && has_word(line, "metadata");
                let all = line.contains("seal::*") && !file.path.starts_with("src/pipeline/seal");
                if has_word(line, "seal::metadata") || brought || all {
                    found.push(format!("{}:{at}: {line}", file.path));
                }
            }
        }
        found
    }
    for text in [
        "seal::metadata(batch, format)\n",
        "use crate::pipeline::seal::{Sealed, metadata};\n",
        "use super::seal::*;\n",
    ] {
        assert_eq!(breaches(&[File::new("src/pipeline/query/run.rs", text)]).len(), 1, "{text}");
        assert_eq!(breaches(&[File::new("src/wire/sql/metadata.rs", text)]).len(), 0, "{text}");
    }
    let door = sources::read("src/pipeline/seal.rs");
    assert!(door.contains("pub fn metadata("), "it has moved");
    assert_eq!(breaches(&sources::crate_sources()), [] as [String; 0]);
}

#[test]
fn the_custodians_word_cannot_come_over_a_network() {
    let ban = Ban {
        words: &["Custodian"],
        within: |path| !path.starts_with("src/identity/"),
        except: &[("src/local/mod.rs", "acts for a partner on the custodian's own machine")],
    };
    ban.holds(&File::new("src/wire/authenticate.rs", "Some(Custodian::acting_for(name))\n"));
    let ban = Ban {
        words: &["crate::local", "super::local"],
        within: |path| {
            ["cli/", "local/", "export/", "report/"]
                .iter()
                .all(|room| path.strip_prefix("src/").is_none_or(|path| !path.starts_with(room)))
        },
        except: &[],
    };
    ban.holds(&File::new("src/wire/flights.rs", "use crate::local::Local;\n"));
}

/// Who beside the wire speaks gRPC.
const TONIC: &[(&str, &str)] =
    &[("src/server/", "builds the listener and mounts the service on it")];

#[test]
fn time_enters_through_the_clock() {
    let ban = Ban {
        words: &["SystemTime::now", "Utc::now", "Local::now", "Instant::now", "UnixTime::now"],
        within: |_| true,
        except: CLOCKS,
    };
    ban.holds(&File::new("src/policy/plan.rs", "let today = Utc::now();\n"));
}

/// Who reads a clock of its own.
const CLOCKS: &[(&str, &str)] = &[
    ("src/clock.rs", "the one place"),
    (
        "src/pipeline/noise/curator/tick.rs",
        "answers leave at multiples of a time from their beginning, which no date moves",
    ),
    (
        "src/pipeline/query/run.rs",
        "how long a statement was worked at; a monotonic age, never a date",
    ),
    ("src/wire/catalog.rs", "how old a look at files is; a monotonic age, never a date"),
    ("src/server/tls.rs", "rustls wants its own type of time to check certificates"),
];

#[test]
fn the_environment_enters_through_settings_keys_and_arguments() {
    let ban = Ban {
        words: &["std::env", "env::var", "env::vars", "env::var_os", "env::args", "env::args_os"],
        within: |_| true,
        except: ENVIRONMENT,
    };
    ban.holds(&File::new("src/telemetry.rs", "let level = env::var(\"RUST_LOG\");\n"));
}

/// Who reads the environment or the arguments.
const ENVIRONMENT: &[(&str, &str)] = &[
    ("src/main.rs", "hands the arguments to the command line"),
    ("src/keys/provider.rs", "a master key may come from a variable"),
];

#[test]
fn randomness_for_secrets_comes_from_the_system() {
    let ban = Ban {
        words: &["rand", "thread_rng", "fastrand", "SmallRng", "StdRng"],
        within: |_| true,
        except: &[],
    };
    ban.holds(&File::new("src/wire/ticket.rs", "let id = rand::random();\n"));
}

#[test]
fn the_way_back_to_originals_is_for_the_command_line() {
    let ban = Ban {
        words: &[
            "reidentify",
            "Private",
            "import_tokens",
            "seal_originals",
            "set_originals_key",
            "rotate_originals",
        ],
        within: |path| !path.starts_with("src/cli/"),
        except: &[
            ("src/pipeline/mod.rs", "names the file"),
            ("src/state/", "keeps what is sealed"),
            ("src/keys/originals.rs", "the key itself"),
        ],
    };
    ban.holds(&File::new("src/wire/flights.rs", "use crate::pipeline::reidentify::search;\n"));
    // Nor does a room that partners reach ask for a map's originals.
    let ban = Ban {
        words: &[".tokens("],
        within: |path| {
            ["wire/", "server/", "identity/", "budget/"]
                .iter()
                .any(|room| path.starts_with(&format!("src/{room}")))
        },
        except: &[],
    };
    ban.holds(&File::new("src/wire/flights.rs", "let map = store.tokens(scope, None, None)?;\n"));
}

#[test]
fn raw_rows_have_no_way_to_be_shown() {
    fn breaches(files: &[File]) -> Vec<String> {
        let mut found = Vec::new();
        for file in files {
            let lines: Vec<&str> = file.text.lines().collect();
            for (at, line) in lines.iter().enumerate() {
                let declared = has_word(line, "struct RawBatch");
                let attributes = lines[..at].iter().rev().take_while(|line| !line.is_empty());
                let derived = declared && attributes.clone().any(|line| line.contains("derive("));
                let open = declared && (line.contains("pub struct") || line.contains("(pub"));
                let shown = ["Debug", "Display", "Serialize", "Deref", "AsRef", "IntoIterator"]
                    .iter()
                    .any(|name| line.starts_with("impl") && line.contains(name))
                    && has_word(line, "for RawBatch");
                if derived || open || shown {
                    found.push(format!("{}:{}: {line}", file.path, at + 1));
                }
            }
        }
        found
    }
    for text in [
        "#[derive(Debug)]\nstruct RawBatch(RecordBatch);\n",
        "pub struct RawBatch(RecordBatch);\n",
        "struct RawBatch(pub RecordBatch);\n",
        "impl fmt::Debug for RawBatch {\n",
    ] {
        assert_eq!(breaches(&[File::new("src/pipeline/mod.rs", text)]).len(), 1, "{text}");
    }
    let files = sources::crate_sources();
    assert!(files.iter().any(|file| file.text.contains("struct RawBatch(")), "it has moved");
    assert_eq!(breaches(&files), [] as [String; 0]);
}

#[test]
fn types_that_prove_something_cannot_be_forged() {
    /// The fields of a struct that everyone can set.
    fn open_fields(file: &File, name: &str) -> Option<Vec<String>> {
        let (_, body) = file.text.split_once(&format!("pub struct {name} {{\n"))?;
        let (body, _) = body.split_once("\n}")?;
        Some(
            body.lines()
                .filter(|line| line.trim().starts_with("pub "))
                .map(str::to_owned)
                .collect(),
        )
    }
    let forged = File::new("a.rs", "pub struct Plan {\n    pub partner: String,\n}\n");
    assert_eq!(open_fields(&forged, "Plan").unwrap().len(), 1);
    for (path, name) in [
        ("src/identity/mod.rs", "Partner"),
        ("src/policy/plan.rs", "Plan"),
        ("src/budget/mod.rs", "Reservation"),
        ("src/pipeline/seal.rs", "Sealed"),
        ("src/audit/mod.rs", "Entry"),
        ("src/wire/authenticate.rs", "Call"),
    ] {
        let file = File::new(path, &sources::read(path));
        let open = open_fields(&file, name).unwrap_or_else(|| panic!("{path} has no {name}"));
        assert_eq!(open, [] as [String; 0], "{path}: {name}");
    }
}

#[test]
fn files_are_short_and_say_what_they_answer_for() {
    fn breaches(files: &[File]) -> Vec<String> {
        let mut found = Vec::new();
        for file in files.iter().filter(|file| file.is("rs")) {
            if file.text.lines().count() > LINES_MAX {
                found.push(format!("{}: over {LINES_MAX} lines", file.path));
            }
            let first = file.text.lines().find(|line| !line.starts_with("#!"));
            if !first.is_some_and(|line| line.starts_with("//!")) {
                found.push(format!("{}: does not begin with `//!`", file.path));
            }
        }
        found
    }
    let long = format!("//! Long.\n{}", "fn a() {}\n".repeat(LINES_MAX));
    assert_eq!(breaches(&[File::new("a.rs", &long)]).len(), 1);
    assert_eq!(breaches(&[File::new("a.rs", "use std::fmt;\n")]).len(), 1);
    assert_eq!(breaches(&sources::all()), [] as [String; 0]);
}

/// The most lines a file may have.
const LINES_MAX: usize = 1_000;

#[test]
fn nothing_is_left_to_be_done_in_comments() {
    // Put together here, so that this file does not hold them.
    let words =
        [["TO", "DO"], ["FIX", "ME"], ["XX", "X"], ["dbg", "!"]].map(|parts| parts.concat());
    let breaches = |files: &[File]| {
        let mut found = Vec::new();
        for file in files.iter().filter(|file| file.is("rs") || file.is("py") || file.is("toml")) {
            for (at, line) in file.text.lines().enumerate() {
                if words.iter().any(|word| has_word(line, word)) {
                    found.push(format!("{}:{}: {line}", file.path, at + 1));
                }
            }
        }
        found
    };
    for word in &words {
        assert_eq!(breaches(&[File::new("a.rs", &format!("// {word} later\n"))]).len(), 1);
    }
    assert_eq!(breaches(&sources::all()), [] as [String; 0]);
}

#[test]
fn no_file_names_a_folder_of_the_machine_it_was_written_on() {
    let folders = ["work", "root"].map(|name| format!("/{name}/"));
    let breaches = |files: &[File]| {
        let mut found = Vec::new();
        for file in files {
            for (at, line) in file.text.lines().enumerate() {
                let absolute = |folder: &String| {
                    line.match_indices(folder.as_str()).any(|(start, _)| {
                        let before = line.split_at(start).0.chars().next_back();
                        before.is_none_or(|c| !c.is_alphanumeric() && !"._-/*>".contains(c))
                    })
                };
                if folders.iter().any(absolute) {
                    found.push(format!("{}:{}: {line}", file.path, at + 1));
                }
            }
        }
        found
    };
    let breach = format!("see `{}shared`\n", folders[0]);
    assert_eq!(breaches(&[File::new("README.md", &breach)]).len(), 1);
    let inside = format!("https://example.org{}x and ..{}y\n", folders[0], folders[0]);
    assert_eq!(breaches(&[File::new("README.md", &inside)]).len(), 0);
    assert_eq!(breaches(&sources::all()), [] as [String; 0]);
}

#[test]
fn one_file_says_whether_tests_may_do_without_the_shared_data() {
    // Put together here, so that this file does not hold it.
    let asked = ["\"C", "I\""].concat();
    let breaches = |files: &[File]| -> Vec<String> {
        let rust = files.iter().filter(|file| file.is("rs") && file.path != "tests/shared.rs");
        rust.filter(|file| file.text.contains(&asked)).map(|file| file.path.clone()).collect()
    };
    let breach = format!("assert!(option_env!({asked}).is_none());\n");
    assert_eq!(breaches(&[File::new("tests/a.rs", &breach)]), ["tests/a.rs"]);
    assert!(sources::read("tests/shared.rs").contains(&asked), "it has moved");
    assert_eq!(breaches(&sources::all()), [] as [String; 0]);
}

#[test]
fn every_test_that_a_document_of_claims_names_is_there() {
    /// Names of tests and of whatever else has three underscores, in the documents that say what is shown by what.
    fn missing(files: &[File]) -> Vec<String> {
        let is_claims = |path: &str| {
            ["SECURITY.md", "ARCHITECTURE.md"].contains(&path) || path.starts_with("docs/privacy/")
        };
        let named = files.iter().filter(|file| is_claims(&file.path)).flat_map(|file| {
            let quoted = file.text.split('`').skip(1).step_by(2);
            quoted.filter(|name| {
                let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
                name.chars().all(plain) && name.matches('_').count() >= 3
            })
        });
        let code: Vec<&File> = files.iter().filter(|file| file.is("rs") || file.is("py")).collect();
        let names: BTreeSet<&str> = named.collect();
        names
            .into_iter()
            .filter(|name| {
                let here = [format!("fn {name}("), format!("def {name}("), format!("\"{name}\"")];
                !code.iter().any(|file| here.iter().any(|here| file.text.contains(here)))
            })
            .map(str::to_owned)
            .collect()
    }
    let claim = File::new("SECURITY.md", "shown by `one_that_is_there` and `one_that_is_gone`\n");
    let test = File::new("src/a.rs", "fn one_that_is_there() {}\n");
    assert_eq!(missing(&[claim, test]), ["one_that_is_gone"]);
    assert_eq!(missing(&sources::all()), [] as [String; 0]);
}

#[test]
fn every_policy_that_we_ship_has_its_page_and_its_test() {
    fn missing(files: &[File]) -> Vec<String> {
        let paths: BTreeSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
        let policies = paths.iter().filter_map(|path| {
            let stem = path.strip_suffix(".yaml")?;
            let own = stem.strip_prefix("policies/").is_some_and(|name| !name.contains('/'));
            (own && !stem.ends_with(".test")).then_some(stem)
        });
        policies
            .flat_map(|stem| [format!("{stem}.md"), format!("{stem}.test.yaml")])
            .filter(|path| !paths.contains(path.as_str()))
            .collect()
    }
    let alone = [File::new("policies/a.yaml", ""), File::new("policies/a.test.yaml", "")];
    assert_eq!(missing(&alone), ["policies/a.md"]);
    let files = sources::all();
    let shipped = |file: &&File| file.path.starts_with("policies/") && file.is("yaml");
    assert!(files.iter().filter(shipped).count() >= 2, "no policies are shipped");
    assert_eq!(missing(&files), [] as [String; 0]);
}

#[test]
fn the_changelog_has_an_entry_for_what_is_here() {
    fn has_entry(changelog: &str, version: &str) -> bool {
        changelog.lines().any(|line| {
            line.starts_with("## [Unreleased]") || line.starts_with(&format!("## [{version}]"))
        })
    }
    assert!(!has_entry("# Changelog\n\n## [0.0.9]\n", "0.1.0"), "the rule cannot fail");
    assert!(has_entry(&sources::read("CHANGELOG.md"), env!("CARGO_PKG_VERSION")));
}
