//! The parts of the documents that the program knows better than people: tables of transforms, of
//! problems and of settings. `UPDATE=1` writes them anew; otherwise a stale one is a failure. Does not
//! check prose.

use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

use veilflight::error::Code;
use veilflight::pipeline::transform::{ALL, Spec};
use veilflight::policy::args::{Default, Kind, Param};
use veilflight::policy::problem::Problem;

use super::sources::{self, File};

/// The text between the marks of a part: `<!-- name -->` and `<!-- end of name -->`.
fn part<'a>(document: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = document.split_once(&format!("<!-- {name} -->\n"))?;
    Some(rest.split_once(&format!("<!-- end of {name} -->"))?.0)
}

/// The part says what it should; with `UPDATE=1` it does afterwards.
fn expect(path: &str, name: &str, expected: &str) {
    // Two parts of one document are not written at the same time.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let document = sources::read(path);
    let found = part(&document, name).unwrap_or_else(|| panic!("{path} has no part `{name}`"));
    if found == expected {
        return;
    }
    assert!(
        std::env::var_os("UPDATE").is_some(),
        "{path}: the part `{name}` is stale; run the tests once with UPDATE=1"
    );
    let begin = format!("<!-- {name} -->\n");
    let updated = document.replacen(&format!("{begin}{found}"), &format!("{begin}{expected}"), 1);
    std::fs::write(sources::root().join(path), updated).unwrap();
}

fn specs() -> impl Iterator<Item = &'static Spec> {
    ALL.iter().map(|transform| transform.spec())
}

/// A text for a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

#[test]
fn the_readme_lists_every_transform() {
    let mut table =
        "| rule | what it does | what it hides | what still leaks |\n|---|---|---|---|\n"
            .to_owned();
    for spec in specs() {
        let Spec { does, hides, leaks, .. } = spec;
        let row = [does, hides, leaks].map(|text| cell(text)).join(" | ");
        writeln!(table, "| `{}` | {row} |", spec.name()).unwrap();
    }
    expect("README.md", "transforms", &table);
}

#[test]
fn the_policy_manual_lists_every_transform_and_parameter() {
    let mut text = String::new();
    for spec in specs() {
        write!(
            text,
            "\n### `{}`\n\n{}\n\n- Takes: {}.\n- Hides: {}\n- **Still leaks:** {}\n- Example: \
             `column: {}`\n",
            spec.name(),
            spec.does,
            spec.takes,
            spec.hides,
            spec.leaks,
            spec.example
        )
        .unwrap();
        if !spec.references.is_empty() {
            writeln!(text, "- References: {}", spec.references.join("; ")).unwrap();
        }
        if !spec.params.is_empty() {
            text.push_str("\n| parameter | holds | default | meaning |\n|---|---|---|---|\n");
        }
        for param in spec.params {
            let primary = if spec.primary == Some(param.name) { " (bare value)" } else { "" };
            let doc = param.doc.trim_end_matches('.');
            let cells = [kind(param.kind), default(param), doc.to_owned()].map(|text| cell(&text));
            writeln!(text, "| `{}`{primary} | {} |", param.name, cells.join(" | ")).unwrap();
        }
    }
    text.push('\n');
    expect("docs/policies.md", "transforms", &text);
}

fn kind(kind: Kind) -> String {
    let words = |words: &[&str]| {
        words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
    };
    match kind {
        Kind::Flag => "`true` or `false`".to_owned(),
        Kind::Integer { min, max } => format!("whole number, {min} to {max}"),
        Kind::Number { min, max } => format!("number, {} to {}", number(min), number(max)),
        Kind::Text => "text".to_owned(),
        Kind::Choice(choices) => format!("one of {}", words(choices)),
        Kind::Choices(choices) => format!("list of {}", words(choices)),
        Kind::Date => "date".to_owned(),
        Kind::Column => "name of a column".to_owned(),
        Kind::Columns => "list of names of columns".to_owned(),
        Kind::Numbers => "list of numbers".to_owned(),
        Kind::Texts => "list of texts".to_owned(),
        Kind::Path => "file, from the policy's folder".to_owned(),
        Kind::Scalar => "text, number or flag".to_owned(),
    }
}

fn number(value: f64) -> String {
    let plain = value == 0.0 || (0.001..1e6).contains(&value.abs());
    if plain { value.to_string() } else { format!("{value:e}") }
}

fn default(param: &Param) -> String {
    match param.default {
        None if param.required => "**required**".to_owned(),
        None | Some(Default::Text("")) => "none".to_owned(),
        Some(Default::Flag(value)) => format!("`{value}`"),
        Some(Default::Integer(value)) => format!("`{value}`"),
        Some(Default::Number(value)) => format!("`{value}`"),
        Some(Default::Text(value)) => format!("`{value}`"),
        Some(Default::Texts(values)) => format!("`[{}]`", values.join(", ")),
    }
}

#[test]
fn the_policy_manual_lists_every_problem() {
    let mut table = "| code | | meaning |\n|---|---|---|\n".to_owned();
    for problem in Problem::ALL {
        let severity = problem.severity().as_str();
        writeln!(table, "| {} | {severity} | {} |", problem.code(), cell(problem.doc().trim()))
            .unwrap();
    }
    expect("docs/policies.md", "problems", &table);
}

#[test]
fn every_transform_says_what_it_leaks() {
    for spec in specs() {
        for text in [spec.does, spec.hides, spec.leaks] {
            assert!(text.ends_with('.'), "{}: `{text}` is no sentence", spec.name());
        }
        assert!(!spec.takes.is_empty() && !spec.example.is_empty(), "{}", spec.name());
    }
}

/// The codes in `error.rs`, from its text: the type itself has no list.
fn codes(source: &str) -> Vec<&str> {
    let (_, body) = source.split_once("fn as_str(self)").unwrap();
    let (body, _) = body.split_once("\n    }\n").unwrap();
    body.split('"').skip(1).step_by(2).collect()
}

/// The names that have no row in a document's table.
fn without_row(names: &[&str], document: &str) -> Vec<String> {
    let unknown = |name: &&&str| !document.contains(&format!("| `{name}` |"));
    names.iter().filter(unknown).map(|&name| name.to_owned()).collect()
}

#[test]
fn the_operations_manual_lists_every_error_code() {
    assert_eq!(without_row(&["I001"], "| `I002` | |"), ["I001"], "the rule cannot fail");
    let source = sources::read("src/error.rs");
    let codes = codes(&source);
    assert!(codes.contains(&"I001") && codes.contains(&"X001"), "{codes:?}");
    assert_eq!(without_row(&codes, &sources::read("docs/operations.md")), [] as [String; 0]);
}

#[test]
fn the_list_of_codes_is_whole() {
    let all: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(all, codes(&sources::read("src/error.rs")));
}

#[cfg(feature = "server")]
#[test]
fn the_page_for_partners_lists_every_error_code() {
    use veilflight::wire::status::{advice, sentence};

    let mut table =
        "| code | gRPC status | what you hear | what to do |\n|---|---|---|---|\n".to_owned();
    for code in Code::ALL {
        let (grpc, told) = sentence(*code);
        writeln!(table, "| `{code}` | {} | {} | {} |", name(grpc), cell(told), cell(advice(*code)))
            .unwrap();
    }
    expect("docs/partners.md", "codes", &table);
}

/// The name of a gRPC status as the specification writes it.
#[cfg(feature = "server")]
fn name(grpc: tonic::Code) -> String {
    let mut name = String::new();
    for c in format!("{grpc:?}").chars() {
        if c.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(c.to_ascii_uppercase());
    }
    name
}

#[cfg(feature = "server")]
#[test]
fn the_operations_manual_lists_every_setting() {
    let names: Vec<&str> =
        veilflight::config::SETTINGS.iter().map(|setting| setting.name).collect();
    assert_eq!(without_row(&names, &sources::read("docs/operations.md")), [] as [String; 0]);
}

#[test]
fn links_between_documents_lead_somewhere() {
    fn broken(file: &File, exists: impl Fn(&str) -> bool) -> Vec<String> {
        let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let mut found = Vec::new();
        for (at, _) in file.text.match_indices("](") {
            let Some((target, _)) = file.text.split_at(at + 2).1.split_once(')') else { continue };
            let target = target.split('#').next().unwrap_or_default();
            if target.is_empty() || target.contains("://") || target.contains(char::is_whitespace) {
                continue;
            }
            if !exists(&format!("{folder}/{target}")) {
                found.push(format!("{}: {target}", file.path));
            }
        }
        found
    }
    let page = File::new("docs/a.md", "[b](b.md) [c](#c) [d](https://example.org/d)");
    assert_eq!(broken(&page, |_| false), ["docs/a.md: b.md"]);
    let exists = |path: &str| sources::root().join(path.trim_start_matches('/')).exists();
    for file in sources::all().iter().filter(|file| file.is("md")) {
        assert_eq!(broken(file, exists), [] as [String; 0]);
    }
}

#[test]
fn what_documents_name_exists() {
    /// Names of tests and of files that no file has.
    fn unknown(document: &File, files: &[File]) -> Vec<String> {
        let words = document.text.split('`').skip(1).step_by(2);
        let name = |word: &&str| {
            word.bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_./".contains(&b))
        };
        let missing = |word: &&str| {
            if word.ends_with(".rs") && !word.starts_with("foo/") {
                return !files
                    .iter()
                    .any(|file| format!("/{}", file.path).ends_with(&format!("/{word}")));
            }
            let test = word.matches('_').count() >= 4 && !word.contains(['.', '/']);
            let (rust, python) = (format!("fn {word}("), format!("def {word}("));
            test && !files
                .iter()
                .any(|file| file.text.contains(&rust) || file.text.contains(&python))
        };
        words
            .filter(name)
            .filter(missing)
            .map(|word| format!("{}: {word}", document.path))
            .collect()
    }
    let page =
        File::new("a.md", "`wire/a.rs` `b.rs` `no_test_has_this_name` `a_b_c` `other words`");
    let there = File::new("src/wire/a.rs", "");
    assert_eq!(unknown(&page, &[there]), ["a.md: b.rs", "a.md: no_test_has_this_name"]);
    let files = sources::all();
    let code: Vec<File> = sources::all().into_iter().filter(|file| !file.is("md")).collect();
    for document in files.iter().filter(|file| file.is("md") && !file.path.starts_with("tests/")) {
        assert_eq!(unknown(document, &code), [] as [String; 0]);
    }
}

#[test]
fn a_part_is_found_between_its_marks() {
    assert_eq!(part("a\n<!-- t -->\nb\n<!-- end of t -->\nc", "t"), Some("b\n"));
    assert_eq!(part("a", "t"), None);
}
