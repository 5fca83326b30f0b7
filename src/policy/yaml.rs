//! YAML as a tree of nodes with their places: scalars as the text that is written, lists, and maps
//! whose keys have places too. Gives no scalar a type; that is for the grammar to ask for.
//!
//! What would let a file mean something else than it seems to is refused here: anchors, aliases,
//! merge keys, tags, several documents, duplicate keys.

use saphyr_parser::{Event, Parser, ScalarStyle};

use super::problem::{Problem, Problems};
use crate::diagnostic::Span;

/// A value with its place.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// Where it stands.
    pub(super) span: Span,
    /// What it is.
    pub(super) content: Content,
}

/// What a node holds.
#[derive(Debug, Clone)]
pub(super) enum Content {
    /// The text as written; `plain` when without quotes.
    Scalar {
        /// The text, without quotes and with escapes resolved.
        text: String,
        /// Written without quotes.
        plain: bool,
    },
    /// A list.
    List(Vec<Node>),
    /// A map, in the order of the file, without duplicates.
    Map(Vec<Entry>),
    /// Something refused, about which everything has been said.
    Refused,
}

/// A key and its value.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// The key.
    pub(super) key: String,
    /// Where the key stands.
    pub(super) key_span: Span,
    /// The value.
    pub(super) value: Node,
}

/// The most bytes a policy file may have.
pub(super) const BYTES_MAX: usize = 1 << 20;

/// How deep maps and lists may nest.
pub(super) const DEPTH_MAX: usize = 32;

/// How many items a list or map may have.
pub(super) const ITEMS_MAX: usize = 10_000;

/// Parses one document. Problems go to `problems`; `None` when there is nothing to look at.
pub(super) fn parse(text: &str, problems: &mut Problems) -> Option<Node> {
    // A byte-order mark is no part of the document, but it is part of the file that spans point into.
    let (body, skipped) = match text.strip_prefix('\u{feff}') {
        Some(body) => (body, '\u{feff}'.len_utf8()),
        None => (text, 0),
    };
    let mut builder = Builder {
        places: Places { offsets: body.char_indices().map(|(at, _)| at).collect(), skipped },
        text,
        stack: Vec::new(),
        root: None,
        documents: 0,
        problems,
    };
    let mut parser = Parser::new_from_str(body);
    while let Some(event) = parser.next_event() {
        match event {
            Ok((event, span)) => {
                if !builder.event(event, span) {
                    return None;
                }
            }
            Err(error) => {
                builder.broken(&error);
                return None;
            }
        }
    }
    builder.root
}

/// Turns the parser's character indices into bytes of the file.
struct Places {
    offsets: Vec<usize>,
    skipped: usize,
}

impl Places {
    fn byte(&self, index: usize, text: &str) -> usize {
        self.offsets.get(index).map_or(text.len(), |at| at + self.skipped)
    }
}

/// A list or map that is still open.
enum Open {
    List { start: usize, items: Vec<Node> },
    Map { start: usize, entries: Vec<Entry>, key: Option<(String, Span)>, refused: bool },
}

struct Builder<'a> {
    places: Places,
    text: &'a str,
    stack: Vec<Open>,
    root: Option<Node>,
    documents: usize,
    problems: &'a mut Problems,
}

impl Builder<'_> {
    /// Takes one event; false to stop.
    fn event(&mut self, event: Event<'_>, span: saphyr_parser::Span) -> bool {
        let span = self.span(span);
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    self.problems
                        .add(Problem::DocumentMany, span, "a second document begins here")
                        .help("write one policy a file");
                    return false;
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.plain_only(anchor, tag.is_some(), span);
                let plain = style == ScalarStyle::Plain;
                let content = Content::Scalar { text: text.into_owned(), plain };
                return self.put(Node { span, content });
            }
            Event::Alias(_) => {
                self.problems
                    .add(Problem::AnchorOrAlias, span, "aliases are not allowed")
                    .help("write the value out, so that it can be read where it applies");
                return self.put(Node { span, content: Content::Refused });
            }
            Event::SequenceStart(anchor, tag) => {
                self.plain_only(anchor, tag.is_some(), span);
                self.stack.push(Open::List { start: span.start, items: Vec::new() });
                return self.shallow(span);
            }
            Event::MappingStart(anchor, tag) => {
                self.plain_only(anchor, tag.is_some(), span);
                let entries = Vec::new();
                self.stack.push(Open::Map {
                    start: span.start,
                    entries,
                    key: None,
                    refused: false,
                });
                return self.shallow(span);
            }
            Event::SequenceEnd | Event::MappingEnd => match self.stack.pop() {
                Some(Open::List { start, items }) => {
                    let span = self.whole(start, span);
                    return self.put(Node { span, content: Content::List(items) });
                }
                Some(Open::Map { start, entries, .. }) => {
                    let span = self.whole(start, span);
                    return self.put(Node { span, content: Content::Map(entries) });
                }
                None => {}
            },
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        true
    }

    /// Puts a finished node where it belongs: as a key, a value, an item or the root; false to stop.
    fn put(&mut self, node: Node) -> bool {
        let problems = &mut *self.problems;
        let items = match self.stack.last() {
            Some(Open::List { items, .. }) => items.len(),
            Some(Open::Map { entries, .. }) => entries.len(),
            None => 0,
        };
        if items >= ITEMS_MAX {
            let message = format!("a list or map has more than {ITEMS_MAX} items");
            problems.add(Problem::Nesting, node.span, message);
            return false;
        }
        match self.stack.last_mut() {
            None => self.root = Some(node),
            Some(Open::List { items, .. }) => items.push(node),
            Some(Open::Map { refused, .. }) if *refused => *refused = false,
            Some(Open::Map { entries, key, refused, .. }) => match key.take() {
                Some((key, key_span)) => entries.push(Entry { key, key_span, value: node }),
                None => match accept_key(node, entries, problems) {
                    Some(accepted) => *key = Some(accepted),
                    None => *refused = true,
                },
            },
        }
        true
    }

    fn plain_only(&mut self, anchor: usize, tagged: bool, span: Span) {
        if anchor != 0 {
            self.problems
                .add(Problem::AnchorOrAlias, span, "anchors are not allowed")
                .label("this value has an anchor")
                .help("write the value out, so that it can be read where it applies");
        }
        if tagged {
            self.problems
                .add(Problem::Tag, span, "tags are not allowed")
                .label("this value has a tag")
                .help("leave the `!` and its word out; the grammar knows what each value is");
        }
    }

    fn shallow(&mut self, span: Span) -> bool {
        if self.stack.len() <= DEPTH_MAX {
            return true;
        }
        self.problems.add(
            Problem::Nesting,
            span,
            format!("lists and maps nest deeper than {DEPTH_MAX}"),
        );
        false
    }

    /// The span of a whole list or map, without the blank lines that follow a block.
    fn whole(&self, start: usize, end: Span) -> Span {
        let text = self.text.get(start..end.end).unwrap_or_default();
        Span::new(start, start + text.trim_end().len())
    }

    fn span(&self, span: saphyr_parser::Span) -> Span {
        let start = self.places.byte(span.start.index(), self.text);
        let end = self.places.byte(span.end.index(), self.text).max(start);
        let text = self.text.get(start..end).unwrap_or_default();
        Span::new(start, start + text.trim_end().len())
    }

    /// The parser's own refusal, in our words where a tab is at fault.
    fn broken(&mut self, error: &saphyr_parser::ScanError) {
        let at = self.places.byte(error.marker().index(), self.text);
        let rest = self.text.get(at..).unwrap_or_default();
        let width = rest.chars().next().filter(|c| *c != '\n').map_or(0, char::len_utf8);
        let span = Span::new(at, at + width);
        if let Some(tab) = self.tab_before(at) {
            self.problems
                .add(Problem::Tab, tab, "a tab is used for indentation")
                .help("indent with spaces");
            return;
        }
        if error.info().contains("unknown anchor") {
            self.problems
                .add(Problem::AnchorOrAlias, span, "aliases are not allowed")
                .help("write the value out, so that it can be read where it applies");
            return;
        }
        if error.info().contains("recursion limit") {
            let message = format!("lists and maps nest deeper than {DEPTH_MAX}");
            self.problems.add(Problem::Nesting, span, message);
            return;
        }
        let info = error.info().trim_end_matches('.');
        let mut message = "this is not YAML: ".to_owned();
        message.extend(info.chars().map(|c| if c == '`' { '\'' } else { c.to_ascii_lowercase() }));
        self.problems.add(Problem::Syntax, span, message);
    }

    /// A tab in the indentation of the line at fault, or of the one before.
    fn tab_before(&self, at: usize) -> Option<Span> {
        let before = self.text.get(..at).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        let earlier = before.get(..line_start.saturating_sub(1)).unwrap_or_default();
        let earlier_start = earlier.rfind('\n').map_or(0, |end| end + 1);
        [line_start, earlier_start].into_iter().find_map(|start| {
            let line = self.text.get(start..).unwrap_or_default();
            let indent = line.len() - line.trim_start_matches([' ', '\t']).len();
            let tab = line.get(..indent).unwrap_or_default().find('\t')?;
            Some(Span::new(start + tab, start + tab + 1))
        })
    }
}

/// A key must be a plain word that the map does not have yet.
fn accept_key(node: Node, entries: &[Entry], problems: &mut Problems) -> Option<(String, Span)> {
    let Content::Scalar { text, plain } = node.content else {
        if !matches!(node.content, Content::Refused) {
            problems.add(Problem::Nesting, node.span, "a key must be a word");
        }
        return None;
    };
    if plain && text == "<<" {
        problems
            .add(Problem::AnchorOrAlias, node.span, "merge keys are not allowed")
            .help("write the keys out, so that they can be read where they apply");
        return None;
    }
    if let Some(first) = entries.iter().find(|entry| entry.key == text) {
        problems
            .add(Problem::DuplicateKey, node.span, format!("the key `{text}` stands twice"))
            .label("again here")
            .other(first.key_span, "first here")
            .help("remove one of them");
        return None;
    }
    Some((text, node.span))
}
