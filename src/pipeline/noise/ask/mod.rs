//! From a statement to a question, and from a noisy answer to the statement's columns. Reads no row, spends
//! nothing and adds no noise.
//!
//! A statement is split at its one aggregation. Below it (`below`, `total`, `functions`, `guard`) stand
//! expressions that cannot fail, written out over the dataset's columns; its functions become measures
//! (`calls`, `values`, `measures`); what identifies the question is in `canonical`. The answer is stored as it
//! was measured (`stored`); columns are computed from it (`columns`), and the plan above runs over them (`upper`).

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, StringArray, new_empty_array};
use arrow::compute::CastOptions;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::DFSchemaRef;
use datafusion::execution::context::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};

use super::question::{Answer, Bounding, Key, Noisy, Question};
use crate::error::{Code, Error, Result};
use crate::pipeline::query::{Statement, Table, Terms, hear, refused, short};
use crate::pipeline::transform::column::canonical as plain_type;
use crate::policy::Policy;
use crate::policy::decimal::Decimal;
use crate::policy::privacy::{Accounting, DpGrant, Loss, is_learned};

mod below;
mod calls;
mod canonical;
mod columns;
mod functions;
mod guard;
mod measures;
mod metadata;
mod stored;
mod total;
mod upper;
mod values;

use below::{Below, SETS, broken};
use calls::Reader;
use canonical::{quoted, sorted, text};
use columns::HalfWidth;
use measures::{Formula, Layout, told};
use metadata::Protection;
use total::{is_plain, kind, total};
use upper::{Filled, aggregation};

/// The most groups that are answered where all keys are public.
const GROUPS_MAX: u64 = 100_000;

/// A statement, split: what is measured for it, and what it makes of that.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    /// What is measured.
    pub(super) question: Question,
    /// The exact schema of the statement's answer, in plain types, with half-widths at its end.
    pub(super) schema: SchemaRef,
    /// The types of the parameters, named `$1`, `$2`, ...
    pub(super) parameters: SchemaRef,
    /// Whether parameters have no values: such a statement is described and not answered.
    pub(super) open: bool,
    /// The dataset's columns that are read, by name.
    pub(super) reads: Vec<String>,
    /// Whether the order of the answer's rows was asked for.
    pub(super) ordered: bool,
    /// The statement's plan from its aggregation up.
    plan: LogicalPlan,
    /// By key of the aggregation: the question's key.
    keys: Vec<usize>,
    /// By column of the aggregation behind the keys.
    formulas: Vec<Formula>,
    /// The columns of the aggregation, with metadata.
    fields: Vec<Field>,
}

/// Splits a statement over the one dataset `table`, asked under `grant`. What a statement costs is `epsilon`
/// where it says so, else what the grant says.
///
/// # Errors
/// [`Code::NoisyOnly`] for what is not answered with noise, with what to write instead; [`Code::SqlInvalid`],
/// [`Code::SqlRefused`], [`Code::ParametersInvalid`], [`Code::SchemaDrift`] as for other statements;
/// [`Code::RequestInvalid`] where epsilon is nothing; [`Code::DatasetUnavailable`] where the policy's public
/// keys are none of their column's type.
pub(super) fn question(
    statement: &Statement,
    terms: &Terms,
    table: &Table,
    grant: &DpGrant,
    policy: &Policy,
    epsilon: Option<Decimal>,
    state: &SessionState,
) -> Result<Asked> {
    let heard = hear(statement, terms, table, &grant.unit, state)?;
    let loss = Loss { epsilon: epsilon.unwrap_or(grant.query.epsilon), delta: grant.query.delta };
    if loss.epsilon.is_zero() {
        return Err(Error::new(Code::RequestInvalid, "an epsilon of nothing answers nothing"));
    }
    let accounting = policy.privacy.map_or(Accounting::Pure, |privacy| privacy.accounting);
    let work = || {
        let aggregate = aggregation(&heard.plan)?;
        let below = Below::of(aggregate, &heard.source, state)?;
        let split = Split { table, grant, loss, accounting, below };
        split.asked(&heard.plan, &aggregate.group_expr, &aggregate.aggr_expr, &aggregate.schema)
    };
    let asked = work().map_err(|error| heard.told(error))?;
    Ok(Asked { parameters: Arc::clone(&heard.parameters), open: heard.open, ..asked })
}

/// What a statement is split with.
struct Split<'a> {
    table: &'a Table,
    grant: &'a DpGrant,
    loss: Loss,
    accounting: Accounting,
    below: Below,
}

/// A key of groups.
struct Group {
    text: String,
    expr: Expr,
    public: Option<ArrayRef>,
}

impl Split<'_> {
    fn asked(
        &self,
        plan: &LogicalPlan,
        keys: &[Expr],
        calls: &[Expr],
        schema: &DFSchemaRef,
    ) -> Result<Asked> {
        let below = &self.below;
        let mut conditions = Vec::new();
        for condition in &below.conditions {
            conditions.push(below.simple(condition.clone())?);
        }
        let groups = keys.iter().map(|key| self.group(key)).collect::<Result<Vec<_>>>()?;
        if calls.is_empty() {
            return Err(refused(
                "a `GROUP BY` without an aggregate shows who is there: ask for `COUNT(*)` beside the groups",
            ));
        }
        let reader = Reader { below, grant: self.grant };
        let calls = calls.iter().map(|call| reader.call(call)).collect::<Result<Vec<_>>>()?;

        // The question has its keys in an order of its own; the statement's are found in it.
        let mut order: Vec<&Group> = groups.iter().collect();
        order.sort_by(|one, other| one.text.cmp(&other.text));
        order.dedup_by(|one, other| one.text == other.text);
        let place = |group: &Group| order.iter().position(|known| known.text == group.text);
        let places: Option<Vec<usize>> = groups.iter().map(place).collect();
        let places = places.ok_or_else(|| Error::new(Code::Internal, "a key has no place"))?;

        let public = order.iter().all(|group| group.public.is_some());
        let layout = Layout::of(&calls, !public)?;
        let texts: Vec<String> = conditions.iter().map(text).collect();
        let told = |measure| told(measure, &layout.texts);
        let canonical = format!(
            "dataset {}\nwhere {}\nkeys {}\nmeasures {}",
            quoted(self.table.plan.dataset()),
            sorted("and", texts),
            order.iter().map(|group| group.text.as_str()).collect::<Vec<_>>().join(" "),
            layout.measures.iter().map(told).collect::<Vec<_>>().join(" "),
        );
        let question = Question {
            dataset: self.table.plan.dataset().to_owned(),
            canonical,
            rows: self.rows(&conditions, &order, &layout)?,
            keys: order
                .iter()
                .enumerate()
                .map(|(at, group)| Key { name: key_name(at), public: group.public.clone() })
                .collect(),
            values: layout.values.clone(),
            measures: layout.measures.clone(),
            bounding: self.bounding(&order)?,
            loss: self.cost(public)?,
            accounting: self.accounting,
        };
        let reads = self.reads(&question.rows)?;
        self.by_own_rows(&reads)?;
        let protection = Protection::new(&question, self.grant);
        let fields = self.fields(schema, &order, &places, &layout, &protection);
        let mut asked = Asked {
            question,
            schema: Arc::new(Schema::empty()),
            parameters: Arc::new(Schema::empty()),
            open: false,
            reads,
            ordered: is_ordered(plan),
            plan: plan.clone(),
            keys: places,
            formulas: layout.formulas,
            fields,
        };
        asked.schema = asked.described(&protection)?;
        Ok(asked)
    }

    /// A key of groups, and its public values where it has them.
    fn group(&self, key: &Expr) -> Result<Group> {
        if matches!(key, Expr::GroupingSet(_)) {
            return Err(refused(SETS));
        }
        let below = &self.below;
        let schema = below.schema();
        let expr = below.simple(below.written_out(key)?)?;
        let text = text(&expr);
        let guarded = total(&expr, schema)?;
        let kind = kind(&expr, schema);
        if !is_plain(&kind) || kind.is_null() || expr.column_refs().is_empty() {
            return Err(refused("groups are made by columns and by what is computed from them"));
        }
        let public = match &expr {
            Expr::Column(column) => self.grant.keys.get(&column.name),
            _ => None,
        };
        let public = public.map(|values| public_values(values, &kind)).transpose()?;
        if public.is_none() && self.grant.query.delta.is_zero() {
            return Err(refused(&format!(
                "groups that are not public need a delta, which the grant does not have: group by columns with `keys` ({})",
                self.grant
                    .keys
                    .keys()
                    .map(|name| format!("`{}`", short(name)))
                    .collect::<Vec<_>>()
                    .join(", ")
            )));
        }
        Ok(Group { text, expr: guarded, public })
    }

    /// The plan that gives unit, keys and values of the rows that are asked of.
    fn rows(&self, conditions: &[Expr], keys: &[&Group], layout: &Layout) -> Result<LogicalPlan> {
        let below = &self.below;
        let schema = below.schema();
        let mut plan = LogicalPlanBuilder::from(below.scan.clone());
        let total = |condition| total(condition, schema);
        let conditions = conditions.iter().map(total).collect::<Result<Vec<_>>>()?;
        if let Some(condition) = conditions.into_iter().reduce(Expr::and) {
            plan = plan.filter(condition).map_err(broken)?;
        }
        let unit = below.unit().alias("unit");
        let keys = keys.iter().enumerate();
        let keys = keys.map(|(at, group)| group.expr.clone().alias(key_name(at)));
        let values = layout.exprs.iter().zip(&layout.values).map(|(expr, value)| {
            let whole = match kind(expr, schema) {
                DataType::UInt64 => DataType::Float64,
                kind if kind.is_integer() => DataType::Int64,
                _ => DataType::Float64,
            };
            let number = match kind(expr, schema) == whole {
                true => expr.clone(),
                false => datafusion::logical_expr::cast(expr.clone(), whole),
            };
            number.alias(&value.name)
        });
        let columns: Vec<Expr> = std::iter::once(unit).chain(keys).chain(values).collect();
        plan.project(columns).and_then(LogicalPlanBuilder::build).map_err(broken)
    }

    /// How much one unit contributes: to no more groups than there are.
    fn bounding(&self, keys: &[&Group]) -> Result<Bounding> {
        let mut groups = self.grant.groups_max.max(1);
        let sizes: Option<Vec<u64>> = keys
            .iter()
            .map(|key| key.public.as_ref().and_then(|all| u64::try_from(all.len()).ok()))
            .collect();
        if let Some(sizes) = sizes {
            let all = sizes.into_iter().fold(1, u64::saturating_mul);
            if all > GROUPS_MAX {
                return Err(refused(&format!(
                    "the public keys make {all} groups, and at most {GROUPS_MAX} are answered: group by fewer columns"
                )));
            }
            groups = groups.min(all.max(1));
        }
        Ok(Bounding {
            groups,
            rows: self.grant.rows_max.max(1),
            #[cfg(test)]
            off: false,
        })
    }

    /// What the statement costs: a delta only where groups must pass a threshold.
    fn cost(&self, public: bool) -> Result<Loss> {
        let delta = if public { Decimal::ZERO } else { self.loss.delta };
        Ok(Loss { epsilon: self.loss.epsilon, delta })
    }

    /// PRIVACY: a value that depends on other people's rows, such as a token's number or whether it is rare,
    /// changes with them: then one unit moves more than its own rows, and no bound of contributions holds.
    fn by_own_rows(&self, reads: &[String]) -> Result<()> {
        let columns = &self.table.plan.policy().columns;
        let learned = columns.iter().filter(|column| is_learned(column));
        match learned.map(|column| &column.name).find(|name| reads.contains(name)) {
            None => Ok(()),
            Some(name) => Err(refused(&format!(
                "`{}` depends on other people's rows, which noise does not cover: leave it out",
                short(name)
            ))),
        }
    }

    fn reads(&self, rows: &LogicalPlan) -> Result<Vec<String>> {
        use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
        let mut names = BTreeSet::new();
        rows.apply(|node| {
            node.apply_expressions(|expr| {
                names.extend(expr.column_refs().into_iter().map(|column| column.name.clone()));
                Ok(TreeNodeRecursion::Continue)
            })
        })
        .map_err(broken)?;
        let columns = self.table.plan.columns().iter().map(|column| &column.name);
        Ok(columns.filter(|name| names.contains(*name)).cloned().collect())
    }

    /// The columns of the aggregation: keys as the dataset has them, aggregates with what was done to them.
    fn fields(
        &self,
        schema: &DFSchemaRef,
        keys: &[&Group],
        places: &[usize],
        layout: &Layout,
        protection: &Protection,
    ) -> Vec<Field> {
        let own = |expr: &Expr| match expr {
            Expr::Column(column) => {
                let field = self.table.plan.schema().field_with_name(&column.name).ok()?;
                Some(field.metadata().clone())
            }
            _ => None,
        };
        let keys = places.iter().map(|at| keys.get(*at).and_then(|group| own(&group.expr)));
        let keys = keys.map(|own| own.unwrap_or_else(|| protection.general()));
        let aggregates = layout.formulas.iter().map(|formula| protection.of(formula));
        let metadata = keys.chain(aggregates);
        let field = |(field, metadata): (&Arc<Field>, _)| {
            Field::new(field.name(), field.data_type().clone(), true).with_metadata(metadata)
        };
        schema.fields().iter().zip(metadata).map(field).collect()
    }
}

impl Asked {
    /// The answer in the form that is stored: the same for whoever asks the same question.
    ///
    /// # Errors
    /// [`Code::Internal`].
    pub(super) fn answer(&self, noisy: &Noisy) -> Result<Answer> {
        let fits = noisy.keys.len() == self.question.keys.len()
            && noisy.measured.len() == self.question.measures.len();
        if !fits {
            return Err(Error::new(Code::Internal, "a noisy answer is none of its question's"));
        }
        stored::packed(noisy)
    }

    /// What the statement makes of a stored answer, as a plan over that alone, to be optimized and run.
    ///
    /// # Errors
    /// [`Code::State`] where it is no answer to the question.
    pub(super) fn upper(&self, answer: &Answer, half_width: HalfWidth<'_>) -> Result<LogicalPlan> {
        let (keys, measures) = (self.question.keys.len(), self.question.measures.len());
        let answer = stored::unpacked(answer, keys, measures)?;
        let misfit = || Error::new(Code::State, "a stored answer is none of the statement's");
        let mut columns = Vec::new();
        let mut widths = Vec::new();
        for place in &self.keys {
            columns.push(Arc::clone(answer.keys.get(*place).ok_or_else(misfit)?));
            widths.push(None);
        }
        let kinds = self.fields.iter().skip(self.keys.len()).map(Field::data_type);
        for (formula, kind) in self.formulas.iter().zip(kinds) {
            let (column, width) = columns::column(formula, kind, &answer, half_width)?;
            columns.push(column);
            widths.push(Some(width));
        }
        let fits = columns.len() == self.fields.len()
            && columns.iter().zip(&self.fields).all(|(column, field)| {
                column.data_type() == field.data_type() && column.len() == answer.groups
            });
        if !fits {
            return Err(misfit());
        }
        let fields = self.fields.clone();
        upper::over(&self.plan, &Filled { columns, fields, widths, groups: answer.groups })
    }

    /// The schema of the statement's answer.
    fn described(&self, protection: &Protection) -> Result<SchemaRef> {
        let kinds: Vec<DataType> =
            self.fields.iter().map(|field| field.data_type().clone()).collect();
        let widths = (0..kinds.len())
            .map(|at| (at >= self.keys.len()).then(|| new_empty_array(&DataType::Float64)));
        let filled = Filled {
            columns: kinds.iter().map(new_empty_array).collect(),
            fields: self.fields.clone(),
            widths: widths.collect(),
            groups: 0,
        };
        let plan = upper::over(&self.plan, &filled)?;
        let field = |field: &Arc<Field>| protection.told(field, plain_type(field.data_type()));
        let fields: Vec<Field> = plan.schema().fields().iter().map(field).collect();
        Ok(Arc::new(Schema::new(fields)))
    }
}

fn key_name(at: usize) -> String {
    format!("key{at}")
}

/// Public values in the type of their column.
fn public_values(values: &[String], kind: &DataType) -> Result<ArrayRef> {
    let texts = StringArray::from_iter_values(values);
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    let cast = arrow::compute::cast_with_options(&texts, kind, &strict);
    cast.ok().filter(|values| values.null_count() == 0).ok_or_else(|| {
        Error::new(
            Code::DatasetUnavailable,
            "the policy's public keys are no values of their column's type",
        )
    })
}

/// Whether the order of the answer's rows was asked for.
fn is_ordered(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Sort(_) => true,
        LogicalPlan::Projection(projection) => is_ordered(&projection.input),
        LogicalPlan::Limit(limit) => is_ordered(&limit.input),
        LogicalPlan::SubqueryAlias(alias) => is_ordered(&alias.input),
        LogicalPlan::Filter(filter) => is_ordered(&filter.input),
        _ => false,
    }
}

impl Question {
    /// What identifies the question, of one version of the data under one policy, for one partner's stored
    /// answers: a SHA-256 in hexadecimal.
    pub(super) fn digest(&self, version: &str, policy: &str) -> String {
        use sha2::{Digest as _, Sha256};
        let Loss { epsilon, delta } = self.loss;
        let accounting = match self.accounting {
            Accounting::Pure => "pure",
            Accounting::Zcdp => "zcdp",
        };
        let mut hash = Sha256::new();
        // Lengths before parts, so that no two lists of parts are one text.
        for part in [
            "veilflight question 1",
            &self.canonical,
            &epsilon.to_string(),
            &delta.to_string(),
            accounting,
            version,
            policy,
        ] {
            hash.update(part.len().to_be_bytes());
            hash.update(part.as_bytes());
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests;
