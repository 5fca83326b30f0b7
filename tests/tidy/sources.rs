//! The project's files as text, and where words stand in them. Knows how Rust comments, strings and
//! test modules look, roughly; does not parse.

use std::path::Path;

/// One file of the project.
#[derive(Debug)]
pub(super) struct File {
    /// Its path from the project's root, with `/`.
    pub(super) path: String,
    /// Its text.
    pub(super) text: String,
}

impl File {
    /// A file that exists in a test only.
    pub(super) fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// Whether the path ends in `.extension`.
    pub(super) fn is(&self, extension: &str) -> bool {
        self.path.rsplit_once('.').is_some_and(|(_, end)| end == extension)
    }

    /// The lines of code with their numbers: comments are cut off, and so is the test module that ends
    /// a file.
    pub(super) fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let tests = self.path.ends_with("/tests.rs") || self.path.ends_with("/testing.rs");
        let end = if tests { 0 } else { self.first_of_tests() };
        self.text.lines().take(end).enumerate().map(|(at, line)| (at + 1, without_comment(line)))
    }

    /// How many lines come before the test module; all where there is none.
    fn first_of_tests(&self) -> usize {
        let lines: Vec<&str> = self.text.lines().collect();
        (0..lines.len())
            .find(|&at| lines[at] == "#[cfg(test)]" && lines.get(at + 1) == Some(&"mod tests {"))
            .unwrap_or(lines.len())
    }
}

/// The line up to a comment. A `//` inside a string literal is no comment.
fn without_comment(line: &str) -> &str {
    let mut quoted = false;
    let mut escaped = false;
    let bytes = line.as_bytes();
    for (at, &byte) in bytes.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'/' if !quoted && bytes.get(at + 1) == Some(&b'/') => return line.split_at(at).0,
            _ => {}
        }
    }
    line
}

/// Whether `word` stands in `line` as a word: no letter, digit or `_` goes on at either end.
pub(super) fn has_word(line: &str, word: &str) -> bool {
    let part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    line.match_indices(word).any(|(at, found)| {
        let (left, right) = (line.split_at(at).0, line.split_at(at + found.len()).1);
        let before = part(word.chars().next()) && part(left.chars().next_back());
        let after = part(word.chars().next_back()) && part(right.chars().next());
        !before && !after
    })
}

/// The root of the project.
pub(super) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All text files that belong to the project: what version control ignores is left out, and so is
/// what is hidden, but for the folder of the continuous integration.
pub(super) fn all() -> Vec<File> {
    let ignored = std::fs::read_to_string(root().join(".gitignore")).unwrap_or_default();
    let ignored: Vec<&str> = ignored
        .lines()
        .map(|line| line.trim_matches('/'))
        .filter(|line| !line.is_empty())
        .collect();
    let mut files = Vec::new();
    walk("", &ignored, &mut files);
    files.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(files.len() > 50, "the project's files are not where they should be");
    files
}

fn walk(folder: &str, ignored: &[&str], files: &mut Vec<File>) {
    for entry in std::fs::read_dir(root().join(folder)).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
        let hidden = name.starts_with('.') && name != ".ci" && name != ".github";
        let skip = |pattern: &&str| {
            let ending = pattern.strip_prefix('*').is_some_and(|end| name.ends_with(end));
            ending || *pattern == path || *pattern == name
        };
        if hidden || ignored.iter().any(skip) {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            walk(&path, ignored, files);
        } else if let Ok(text) = std::fs::read_to_string(entry.path()) {
            files.push(File { path, text });
        }
    }
}

/// The Rust files below `src`.
pub(super) fn crate_sources() -> Vec<File> {
    all().into_iter().filter(|file| file.is("rs") && file.path.starts_with("src/")).collect()
}

/// One file.
pub(super) fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|cause| panic!("{path}: {cause}"))
}

#[test]
fn comments_and_the_test_module_are_no_code() {
    let file = File::new(
        "src/a.rs",
        "//! Says tokio.\nlet a = \"http://b\"; // tokio\n#[cfg(test)]\nmod tests {\n tokio\n}\n",
    );
    let code: Vec<_> = file.code().collect();
    assert_eq!(code, [(1, ""), (2, "let a = \"http://b\"; ")]);
    assert_eq!(File::new("src/a/tests.rs", "tokio\n").code().count(), 0);
}

#[test]
fn words_are_found_whole() {
    assert!(has_word("use tonic::Status;", "tonic"));
    assert!(has_word("Err(Status::internal())", "Status::"));
    assert!(!has_word("CancelStatus::Cancelled", "Status::"));
    assert!(!has_word("tonics", "tonic"));
}
