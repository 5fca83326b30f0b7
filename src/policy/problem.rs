//! The kinds of problems a policy can have, each with a stable code; and the list they collect in.
//! Codes are never reused. What a problem looks like is the business of [`crate::diagnostic`].

use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Severity, SourceFile, Span, did_you_mean};

macro_rules! problems {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal, $severity:ident;)+) => {
        /// A kind of problem.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Problem {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Problem {
            /// Every kind, in the order of the codes.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The stable code.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }

            /// How bad it is.
            pub const fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity,)+ }
            }

            /// What it means, for the manual.
            pub const fn doc(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+),)+ }
            }
        }
    };
}

problems! {
    /// The file, or a file that it names, cannot be read.
    FileUnreadable = "P010", Error;
    /// The file is over 1 MiB.
    FileTooLarge = "P011", Error;
    /// The file is not UTF-8.
    NotUtf8 = "P012", Error;
    /// The file is not YAML.
    Syntax = "P013", Error;
    /// A tab stands where YAML wants spaces.
    Tab = "P014", Error;
    /// An anchor, an alias or a merge key: what a policy means must stand where it is read.
    AnchorOrAlias = "P015", Error;
    /// A tag: types come from the grammar, not from the file.
    Tag = "P016", Error;
    /// More than one document in a file.
    DocumentMany = "P017", Error;
    /// The same key twice.
    DuplicateKey = "P018", Error;
    /// Maps and lists nested too deep or too long, or a key that is not a word.
    Nesting = "P019", Error;
    /// A key that the grammar does not have.
    UnknownKey = "P022", Error;
    /// A key that must be there.
    MissingKey = "P023", Error;
    /// A list where a text is needed, and the like.
    WrongKind = "P024", Error;
    /// A number out of range.
    OutOfRange = "P025", Error;
    /// A word that is none of those allowed.
    WrongWord = "P026", Error;
    /// A number that readers of YAML understand differently, or no number at all.
    NumberForm = "P027", Error;
    /// A date that is not of the form 2026-01-31, or does not exist.
    DateForm = "P028", Error;
    /// A version of the grammar that this program does not know.
    Version = "P029", Error;
    /// A name with characters that names cannot have.
    Name = "P030", Error;
    /// A transform that does not exist.
    UnknownTransform = "P031", Error;
    /// A method that a transform does not have.
    UnknownMethod = "P032", Error;
    /// A rule that is no rule: none, or several.
    RuleForm = "P033", Error;
    /// A parameter that the transform refuses.
    Refused = "P034", Error;
    /// A column that the policy has no rule for.
    UnknownColumn = "P035", Error;
    /// No column leaves.
    NothingLeaves = "P036", Error;
    /// Two grants for the same partner and the same access.
    GrantOverlap = "P040", Error;
    /// Rows or exact aggregates, and differentially private answers of the same table for the same partner.
    GrantRowsAndDp = "P041", Error;
    /// Two tables of one name: a dataset's, a view's.
    ViewName = "P042", Error;
    /// A release whose parts do not fit together, or that no method can make.
    Release = "P043", Error;
    /// The data has a column without a rule.
    ColumnWithoutRule = "P050", Error;
    /// A rule for a column that the data does not have.
    RuleWithoutColumn = "P051", Error;
    /// A transform that does not fit the type of its column.
    TypeMisfit = "P052", Error;
    /// The data cannot be looked at.
    DataUnreadable = "P053", Error;
    /// A row filter that cannot be used on the data.
    FilterRefused = "P054", Error;
    /// A view whose SQL cannot be asked, or not over this data.
    ViewRefused = "P055", Error;
    /// More problems than are shown.
    More = "P099", Error;
    /// A grant that has expired.
    GrantExpired = "P101", Warning;
    /// Columns that leave and do not say what they are.
    ClassMissing = "P104", Warning;
    /// Quasi-identifiers that leave and that no release covers.
    QuasiUncovered = "P105", Warning;
    /// An identifier that leaves as it is.
    IdentifierClear = "P106", Warning;
    /// Partners can join their pseudonyms.
    LinkageShared = "P107", Warning;
    /// Addresses beside clear ports or volumes, which tell hosts apart.
    AddressBesideTraffic = "P108", Warning;
    /// Nobody may pull.
    GrantMissing = "P109", Warning;
    /// Columns of one domain that are replaced in different ways.
    DomainMixed = "P110", Warning;
    /// Text that is scrubbed without knowing the values of columns of identifiers.
    ScrubUnlearned = "P111", Warning;
    /// A release that protects little, or leaves out much.
    ReleaseWeak = "P112", Warning;
    /// Sensitive columns that leave in a release and that none of its models is about.
    SensitiveUncovered = "P113", Warning;
    /// Columns that leave as they are beside a release and do not say what they are.
    ReleaseBeside = "P114", Warning;
    /// Differentially private grants that promise little.
    PrivacyWeak = "P115", Warning;
    /// Bounds under which differentially private answers are mostly noise.
    PrivacyNoise = "P116", Warning;
    /// A differentially private grant of more than all partners together may spend.
    PrivacyCap = "P117", Warning;
    /// Columns that leave and that differentially private answers cannot speak of.
    PrivacyColumn = "P118", Warning;
    /// Local noise that promises little.
    LocalWeak = "P119", Warning;
    /// Bounds of contributions that leave out much of the data, by the policy's public numbers.
    PrivacyClipped = "P120", Warning;
    /// Differentially private counts or means that are noise to a large part, by the policy's public numbers.
    PrivacyOff = "P121", Warning;
    /// Public tables that are the dataset's own files, or that nobody can join.
    PublicTable = "P122", Warning;
}

/// How many problems of a file are kept: nobody reads more at once.
pub const PROBLEMS_MAX: usize = 200;

/// Problems of one file, as they are found.
///
/// INVARIANT: an error counts even where there are too many problems to keep it.
#[derive(Debug)]
pub struct Problems {
    file: Arc<SourceFile>,
    found: Vec<Diagnostic>,
    count: usize,
    any_error: bool,
}

impl Problems {
    /// None yet.
    pub fn new(file: Arc<SourceFile>) -> Self {
        Self { file, found: Vec::new(), count: 0, any_error: false }
    }

    /// The file.
    pub fn file(&self) -> &Arc<SourceFile> {
        &self.file
    }

    /// Adds one; label and help can still be given to what comes back.
    pub fn add(
        &mut self,
        problem: Problem,
        span: impl Into<Option<Span>>,
        message: impl Into<String>,
    ) -> Pending<'_> {
        let (severity, code) = (problem.severity(), problem.code());
        self.count += 1;
        self.any_error |= severity == Severity::Error;
        let diagnostic = Diagnostic::new(severity, code, &self.file, span.into(), message);
        Pending { found: &mut self.found, diagnostic: Some(diagnostic) }
    }

    /// Whether there is an error among them.
    pub fn any_error(&self) -> bool {
        self.any_error
    }

    /// How many there are.
    pub const fn count(&self) -> usize {
        self.count
    }

    /// Those that were kept, and a word of those that were not.
    pub fn into_list(mut self) -> Vec<Diagnostic> {
        if self.count > self.found.len() {
            let more = self.count - self.found.len();
            let message = format!("there are {more} more problems");
            let (severity, code) = (Problem::More.severity(), Problem::More.code());
            let end = Span::new(self.file.text().len(), self.file.text().len());
            self.found.push(Diagnostic::new(severity, code, &self.file, Some(end), message));
        }
        self.found
    }
}

/// A problem that joins the list when this value goes away.
#[derive(Debug)]
pub struct Pending<'a> {
    found: &'a mut Vec<Diagnostic>,
    diagnostic: Option<Diagnostic>,
}

impl Pending<'_> {
    /// Words under the marked place.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        if let Some(diagnostic) = &mut self.diagnostic {
            diagnostic.label(label);
        }
        self
    }

    /// What to do.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        if let Some(diagnostic) = &mut self.diagnostic {
            diagnostic.help(help);
        }
        self
    }

    /// Another place that has to do with it.
    pub fn other(mut self, span: Span, label: impl Into<String>) -> Self {
        if let Some(diagnostic) = &mut self.diagnostic {
            diagnostic.other(span, label);
        }
        self
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if self.found.len() < PROBLEMS_MAX {
            self.found.extend(self.diagnostic.take());
        }
    }
}

/// Help for an unknown word: the nearest known one, or the list of all.
pub fn suggestion<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    match did_you_mean(word, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "there is none".to_owned(),
        None => format!("known: {}", listed(&known)),
    }
}

/// `a`, `b` and `c`, in backticks.
pub fn listed<S: AsRef<str>>(words: &[S]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{}`", word.as_ref())).collect();
    match quoted.as_slice() {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
