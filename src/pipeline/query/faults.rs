//! What is wrong with the views of a policy: as far as their text tells, and over data of given columns.
//! For `policy check`, and for the server before a policy takes effect. Reads no row.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use chrono::NaiveDate;
use datafusion::config::ConfigOptions;
use datafusion::datasource::MemTable;
use datafusion::execution::context::SessionState;
use datafusion::execution::runtime_env::RuntimeEnv;

use super::expand::{self, Views};
use super::logical::{self, Catalogue, Table, UNIT_COLUMN};
use super::team::STACK_BYTES;
use super::view::as_seen;
use super::{Terms, engine};
use crate::diagnostic::{Diagnostic, Span};
use crate::error::{Code, Context, Error, Result};
use crate::policy::load::{Loaded, Places, leaves};
use crate::policy::plan::{Plan, plan};
use crate::policy::problem::{Problem, Problems};
use crate::policy::{Access, Grant, Limits, Policy};

/// Something wrong with a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The view's place in the policy.
    pub view: usize,
    /// What is wrong, in words for who wrote it.
    pub text: String,
    /// What the engine says of it, where that is more. No row was read.
    pub engine: Option<String>,
}

/// The views that cannot be asked, by their text alone or over data of the columns `raw`, as problems with
/// their places in the file.
pub fn check_views(loaded: &Loaded, data: Option<(&SchemaRef, NaiveDate)>) -> Vec<Diagnostic> {
    let Loaded { policy, places, .. } = loaded;
    let mut problems = Problems::new(Arc::clone(&places.file));
    for fault in faults(policy, data) {
        let Some(view) = policy.views.get(fault.view) else { continue };
        let message = format!("the view `{}` cannot be asked: {}", view.name, fault.text);
        let problem = problems.add(Problem::ViewRefused, place(places, &fault), message);
        if let Some(engine) = &fault.engine {
            problem.help(format!("the engine says: {engine}"));
        }
    }
    problems.into_list()
}

/// Where a fault stands: at the first word that it names, where the view's SQL has it as written.
fn place(places: &Places, fault: &Fault) -> Option<Span> {
    let whole = *places.views.get(fault.view)?;
    let sql = places.file.text().get(whole.start..whole.end)?;
    let word = fault.text.split('`').nth(1).filter(|word| !word.is_empty());
    let part = |c: char| c.is_alphanumeric() || c == '_';
    let alone = |at: usize, word: &str| {
        let before = sql.get(..at).and_then(|text| text.chars().next_back());
        let after = sql.get(at + word.len()..).and_then(|text| text.chars().next());
        !before.is_some_and(part) && !after.is_some_and(part)
    };
    let found = word.and_then(|word| {
        let at = sql.match_indices(word).map(|(at, _)| at).find(|at| alone(*at, word))?;
        Some(Span::new(whole.start + at, whole.start + at + word.len()))
    });
    Some(found.unwrap_or(whole))
}

/// What is wrong with the views of a policy. With `data` they are planned over these columns, as they are on
/// that day; without, only their text is looked at.
pub fn faults(policy: &Policy, data: Option<(&SchemaRef, NaiveDate)>) -> Vec<Fault> {
    if policy.views.is_empty() {
        return Vec::new();
    }
    // Plans are walked by recursion, on a stack of the size that statements are planned on.
    let looked = std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().stack_size(STACK_BYTES);
        let look = builder.spawn_scoped(scope, || look(policy, data));
        look.ok().and_then(|look| look.join().ok())
    });
    let failed = || {
        let text = "the views could not be looked at".to_owned();
        vec![Fault { view: 0, text, engine: None }]
    };
    looked.unwrap_or_else(failed)
}

fn look(policy: &Policy, data: Option<(&SchemaRef, NaiveDate)>) -> Vec<Fault> {
    let mut found = Vec::new();
    let mut broken = BTreeSet::new();
    let world = data.map(|(raw, today)| World::all(policy, raw, today));
    for (at, view) in policy.views.iter().enumerate() {
        let stands = |error: Error| {
            let text = match error.hint() {
                Some(hint) => hint.as_str().to_owned(),
                None => error.chain(),
            };
            // Names that are not found are told in words of ours, with what may be meant.
            let engine = engine_text(&error).filter(|_| !text.starts_with("there is no "));
            Fault { view: at, text: withheld(policy, &text).unwrap_or(text), engine }
        };
        match expand::parsed(policy, at) {
            Err(error) => found.push(stands(error)),
            // What it stands on is told of already.
            Ok(text) if text.tables().iter().any(|name| broken.contains(name.as_str())) => {}
            Ok(_) => {
                let over = world.iter().flatten().find_map(|world| world.refuses(at).err());
                match over {
                    Some(error) => found.push(stands(error)),
                    None => continue,
                }
            }
        }
        broken.insert(view.name.as_str());
    }
    found
}

/// What the engine said, in one line.
fn engine_text(error: &Error) -> Option<String> {
    let said = std::error::Error::source(error)?.to_string();
    let lines = said
        .trim_start_matches("Error during planning: ")
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty());
    Some(lines.collect::<Vec<_>>().join(" ").chars().take(400).collect())
}

/// Of a column that is not found, that the policy withholds it: its author may know.
fn withheld(policy: &Policy, text: &str) -> Option<String> {
    let word = text.strip_prefix("there is no column `")?.split('`').next()?;
    let column = policy.columns.iter().find(|column| column.name.eq_ignore_ascii_case(word))?;
    let stays = !leaves(&column.rule);
    stays.then(|| format!("there is no column `{word}`: it does not leave"))
}

/// A dataset without rows, as one partner's statements see it.
struct World {
    policy: Arc<Policy>,
    tables: Vec<Table>,
    state: SessionState,
}

impl World {
    /// One for each kind of access that is granted, and rows in any case: all partners see the same columns.
    /// None where the columns and the policy do not go together, which others tell.
    fn all(policy: &Policy, raw: &SchemaRef, today: NaiveDate) -> Vec<Self> {
        let mut kinds = vec![Access::Rows];
        for grant in policy.grants.iter().filter(|grant| grant.until.is_none_or(|end| today <= end))
        {
            if matches!(grant.access, Access::Aggregates { .. }) && !kinds.contains(&grant.access) {
                kinds.push(grant.access.clone());
            }
        }
        let world = |access| Self::new(policy, access, raw, today).ok();
        kinds.into_iter().filter_map(world).collect()
    }

    fn new(policy: &Policy, access: Access, raw: &SchemaRef, today: NaiveDate) -> Result<Self> {
        const SOMEBODY: &str = "somebody";
        let grant =
            Grant { partner: SOMEBODY.to_owned(), access, until: None, limits: Limits::default() };
        let policy = Arc::new(Policy { grants: vec![grant], ..policy.clone() });
        let plan = plan(&policy, SOMEBODY, raw, today)?;
        let provider = Arc::new(without_rows(&plan)?);
        let tables = vec![Table { plan, provider, publics: Vec::new() }];
        let mut options = ConfigOptions::new();
        options.sql_parser.enable_ident_normalization = false;
        let state = engine::session(options, Arc::new(RuntimeEnv::default()));
        Ok(Self { policy, tables, state })
    }

    /// Why a view cannot be planned.
    fn refuses(&self, at: usize) -> Result<()> {
        let Some(view) = self.policy.views.get(at) else { return Ok(()) };
        let statement = logical::whole(&view.name)?;
        let catalogue = Catalogue::new(&statement, &self.tables, &[], &self.state)?;
        Views::alone(&self.policy, at, &catalogue)?;
        let terms = Terms::default();
        let planned = logical::plan(&statement, &terms, &self.tables, &[], &self.state);
        let logical = match planned {
            Ok(logical) => logical,
            // Others may have its rows; and who has aggregates can still ask for aggregates of them.
            Err(error) if error.code() == Code::AggregatesOnly => return Ok(()),
            Err(error) => return Err(error),
        };
        #[expect(
            clippy::disallowed_methods,
            reason = "a thread of its own, which no runtime works on"
        )]
        let plan = futures::executor::block_on(engine::physical(&logical, &self.state));
        plan.map(drop)
    }
}

/// The table of a plan, as the engine sees its columns.
fn without_rows(plan: &Plan) -> Result<MemTable> {
    let mut fields: Vec<Field> =
        plan.schema().fields().iter().map(|field| as_seen(field)).collect();
    if *plan.access() != Access::Rows {
        fields.push(Field::new(UNIT_COLUMN, DataType::UInt64, true));
    }
    MemTable::try_new(Arc::new(Schema::new(fields)), vec![Vec::new()])
        .context(Code::Internal, || "a table without rows cannot be made".to_owned())
}

#[cfg(test)]
mod tests;
