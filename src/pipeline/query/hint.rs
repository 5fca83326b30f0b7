//! What a partner may hear about a statement: planning errors become a code and a hint in words of ours.
//! No text of a library is forwarded, and nothing here has seen a row.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use datafusion::common::{DataFusionError, SchemaError};
use datafusion::sql::sqlparser::ast::{self, Query, Visit, Visitor};

use super::names;
use crate::diagnostic::did_you_mean;
use crate::error::{Code, Error, Hint};

/// An error whose words the partner may hear.
pub(in crate::pipeline) fn error(code: Code, text: &str) -> Error {
    Error::new(code, text).hinting(Hint::new(text))
}

/// A piece of the partner's own text, cut to what fits into a sentence.
pub(in crate::pipeline) fn short(text: &str) -> String {
    const CHARS_MAX: usize = 60;
    let mut cut: String = text.chars().take(CHARS_MAX).collect();
    if cut.len() < text.len() {
        cut.push_str("...");
    }
    cut
}

/// There is no such table. What the partner may not know looks the same.
pub(super) fn no_table<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Error {
    let mut text = format!("there is no table `{}`", short(name));
    if let Some(near) = did_you_mean(name, known) {
        text.push_str(&format!("; did you mean `{near}`?"));
    }
    error(Code::SqlInvalid, &text)
}

/// What a hint may be made of: the statement's own words and the columns of its tables.
///
/// PRIVACY: the columns are those of the plans. A column that the policy drops is not among them, so that
/// it is neither suggested nor told apart from one that never was.
#[derive(Debug)]
pub(super) struct Words {
    tables: Vec<String>,
    columns: Vec<String>,
    given: Vec<String>,
    functions: BTreeSet<String>,
}

impl Words {
    /// The words of a query over these tables.
    pub(super) fn new(query: &Query, tables: &[(&str, SchemaRef)]) -> Self {
        let mut calls = Calls(BTreeSet::new());
        let ControlFlow::Continue(()) = query.visit(&mut calls);
        let columns = tables
            .iter()
            .flat_map(|(_, schema)| schema.fields().iter().map(|field| field.name().clone()));
        Self {
            tables: tables.iter().map(|(name, _)| (*name).to_owned()).collect(),
            columns: columns.collect(),
            given: names::given(query),
            functions: calls.0,
        }
    }

    /// An error of ours, with a general hint where its own repeats what the partner did not write: a word
    /// in backticks that is no column that leaves, no function of the statement and no word of SQL.
    ///
    /// PRIVACY: the text of a view is the custodian's, and may say what its columns do not.
    pub(super) fn own(&self, error: Error, with_views: bool) -> Error {
        let Some(hint) = error.hint().filter(|_| with_views) else { return error };
        let told = hint.as_str().split('`').skip(1).step_by(2);
        let own = |word: &str| {
            let sql = word.chars().all(|c| c.is_ascii_uppercase() || " <=/,()".contains(c));
            let lower = word.to_lowercase();
            sql || self.tables.iter().any(|known| known == word)
                || self.columns.iter().any(|known| known == word)
                || self.functions.contains(&lower)
        };
        if told.clone().all(own) {
            return error;
        }
        let code = error.code();
        let general = "a view that the statement names does not allow this over aggregates";
        Error::new(code, error.chain()).hinting(Hint::new(general))
    }

    /// The function of the statement that a library's text is about, by its name in that text.
    fn function(&self, text: &str) -> Option<&str> {
        let text = text.to_lowercase();
        let about = |name: &&String| {
            [format!("'{name}'"), format!("{name}("), format!("{name} function")]
                .iter()
                .any(|sign| text.contains(sign.as_str()))
        };
        let longest = self.functions.iter().filter(about).max_by_key(|name| name.len());
        longest.map(String::as_str)
    }
}

struct Calls(BTreeSet<String>);

impl Visitor for Calls {
    type Break = std::convert::Infallible;

    fn pre_visit_expr(&mut self, expr: &ast::Expr) -> ControlFlow<Self::Break> {
        if let ast::Expr::Function(function) = expr {
            self.0.insert(function.name.to_string().to_lowercase());
        }
        ControlFlow::Continue(())
    }
}

/// An error of planning: a code, and what the partner may hear of it. The library's text is the cause, for
/// the operator alone.
pub(super) fn planning(cause: DataFusionError, words: &Words) -> Error {
    let (code, text) = explained(cause.find_root(), words);
    let context = "the statement cannot be planned";
    let error = match text {
        Some(text) => Error::new(code, context).hinting(Hint::new(&text)),
        None => Error::new(code, context),
    };
    error.because(cause)
}

/// A literal or a parameter that is no number, no regular expression, and the like.
const OWN_VALUE: &str =
    "a value that the statement itself writes does not fit what is done with it";

/// The code and the words for one error of planning.
///
/// INVARIANT: no arm gives a library's text away, and there is no arm for what is not named.
fn explained(root: &DataFusionError, words: &Words) -> (Code, Option<String>) {
    let said = |text: &str| Some(text.to_owned());
    match root {
        DataFusionError::SchemaError(error, _) => (Code::SqlInvalid, Some(schema(error, words))),
        DataFusionError::Plan(text) | DataFusionError::Configuration(text) => {
            (Code::SqlInvalid, Some(planner(text, words)))
        }
        DataFusionError::SQL(..) => (Code::SqlInvalid, said("the statement is not SQL")),
        DataFusionError::NotImplemented(text) => (Code::SqlRefused, Some(missing(text, words))),
        DataFusionError::ArrowError(error, _) => arrow(error),
        // What the planner computes are the statement's own literals and parameters: no row is read.
        DataFusionError::Execution(_) => (Code::SqlInvalid, said(OWN_VALUE)),
        DataFusionError::ResourcesExhausted(_) => (Code::QueryMemory, None),
        DataFusionError::Internal(text) => (Code::SqlRefused, Some(missing(text, words))),
        DataFusionError::Substrait(_) => (Code::Unsupported, None),
        DataFusionError::Collection(errors) => match errors.first() {
            Some(first) => explained(first.find_root(), words),
            None => (Code::Internal, None),
        },
        // The root of an error is never one that only wraps another.
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => {
            explained(inner, words)
        }
        DataFusionError::Shared(inner) => explained(inner, words),
        // Errors of ours come through the engine as such. What else does is a regular expression that is
        // none: planning asks nothing outside.
        DataFusionError::External(error) => match error.downcast_ref::<Error>() {
            Some(ours) => (ours.code(), None),
            None => (Code::SqlInvalid, said(OWN_VALUE)),
        },
        DataFusionError::IoError(_)
        | DataFusionError::ObjectStore(_)
        | DataFusionError::ExecutionJoin(_)
        | DataFusionError::Ffi(_) => (Code::Internal, None),
    }
}

fn schema(error: &SchemaError, words: &Words) -> String {
    match error {
        SchemaError::FieldNotFound { field, valid_fields: _ } => {
            let name = field.name.as_str();
            let mut text = match &field.relation {
                Some(table) => {
                    format!("there is no column `{}` in `{}`", short(name), short(table.table()))
                }
                None => format!("there is no column `{}`", short(name)),
            };
            let known = words.columns.iter().chain(&words.given).map(String::as_str);
            if let Some(near) = did_you_mean(name, known) {
                text.push_str(&format!("; did you mean `{}`?", short(near)));
            }
            text
        }
        SchemaError::AmbiguousReference { field } => {
            format!("`{}` stands in several tables: write `table.{0}`", short(&field.name))
        }
        SchemaError::DuplicateQualifiedField { name, .. }
        | SchemaError::DuplicateUnqualifiedField { name } => {
            if words.columns.contains(name) || words.given.contains(name) {
                format!("two columns are called `{}`: give one another name with `AS`", short(name))
            } else {
                SAME_NAME.to_owned()
            }
        }
    }
}

const SAME_NAME: &str = "two columns have the same name: give one another name with `AS`";

/// What the planner means, by signs in its text. The text itself stays here.
fn planner(text: &str, words: &Words) -> String {
    let has = |sign: &str| text.contains(sign);
    if has("Projections require unique expression names") {
        return "two columns of the answer have the same name: give one another name with `AS`"
            .to_owned();
    }
    if has("GROUP BY") || has("could not be resolved from available columns") {
        return "what stands outside of aggregate functions must stand in `GROUP BY`".to_owned();
    }
    if has("placeholder") || has("Placeholder") {
        return "a parameter stands where its type cannot be told: write `CAST($1 AS ...)`"
            .to_owned();
    }
    if has("UNION") || has("INTERSECT") || has("EXCEPT") {
        return "the sides of a set operation differ in their columns or types".to_owned();
    }
    let function = words.function(text);
    let about = has("argument") || has("signature") || has("function") || has("Function");
    if let (true, Some(function)) = (about, function) {
        return format!("the arguments of `{function}` do not fit in number or type");
    }
    if has("coerce") || has("comparison") || has("cast") || has("type") {
        return "two values of types that do not go together: write `CAST(... AS ...)`".to_owned();
    }
    if has("window") {
        return "a window is not defined, or not as its function needs it".to_owned();
    }
    if has("ubquery") {
        return "a subquery does not fit where it stands".to_owned();
    }
    "names, types and clauses do not go together".to_owned()
}

/// What the engine lacks.
fn missing(text: &str, words: &Words) -> String {
    match words.function(text) {
        Some(function) => format!("`{function}` is not offered in this form"),
        None => "something in the statement is SQL that is not offered here".to_owned(),
    }
}

fn arrow(error: &ArrowError) -> (Code, Option<String>) {
    match error {
        ArrowError::NotYetImplemented(_) => (Code::SqlRefused, None),
        ArrowError::CastError(_)
        | ArrowError::ParseError(_)
        | ArrowError::ComputeError(_)
        | ArrowError::DivideByZero
        | ArrowError::ArithmeticOverflow(_)
        | ArrowError::InvalidArgumentError(_)
        | ArrowError::SchemaError(_)
        // A pattern that is none, for one: planning reads nothing that could fail from outside.
        | ArrowError::ExternalError(_) => (Code::SqlInvalid, Some(OWN_VALUE.to_owned())),
        ArrowError::MemoryError(_) => (Code::QueryMemory, None),
        ArrowError::CsvError(_)
        | ArrowError::JsonError(_)
        | ArrowError::AvroError(_)
        | ArrowError::IoError(..)
        | ArrowError::IpcError(_)
        | ArrowError::ParquetError(_)
        | ArrowError::CDataInterface(_)
        | ArrowError::DictionaryKeyOverflowError
        | ArrowError::RunEndIndexOverflowError
        | ArrowError::OffsetOverflowError(_) => (Code::Internal, None),
    }
}
