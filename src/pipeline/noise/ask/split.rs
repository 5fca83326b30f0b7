//! A statement is split at its aggregation: keys, values and conditions below it become a question, under the
//! grant's bounds and at its cost. What stands above is kept as it is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, StringArray};
use arrow::compute::{CastOptions, TakeOptions, take};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::DFSchemaRef;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};

use super::Asked;
use super::alone::made_alone;
use super::below::{Below, SETS, broken};
use super::calls::{Call, Reader};
use super::canonical::{quoted, sorted, text};
use super::joins;
use super::known::known;
use super::measures::{Layout, told};
use super::metadata::{self as protection, Protection};
use super::patterns;
use super::public::{self, KeyPart, Known};
use super::total::{is_plain, kind, total};
use crate::error::{Code, Error, Result};
use crate::pipeline::noise::question::{Bounding, Key, Question};
use crate::pipeline::query::{Beside, Lookup, Table, refused, short};
use crate::policy::decimal::Decimal;
use crate::policy::privacy::{Accounting, DpGrant, Loss};

/// The most groups that are answered where all keys are public.
const GROUPS_MAX: u64 = 100_000;

/// What a statement is split with.
pub(super) struct Split<'a> {
    /// The dataset.
    pub(super) table: &'a Table,
    /// What it is asked under.
    pub(super) grant: &'a DpGrant,
    /// What the statement may cost.
    pub(super) loss: Loss,
    /// How losses add up.
    pub(super) accounting: Accounting,
    /// What stands below the aggregation.
    pub(super) below: Below,
}

/// A key of groups.
pub(super) struct Group {
    /// By which questions are compared.
    pub(super) text: String,
    /// What it is over the scan.
    pub(super) expr: Expr,
    /// All of its values, where they are public.
    pub(super) public: Option<ArrayRef>,
    /// The column of numbers that it is.
    pub(super) more: Option<Beside>,
}

/// The keys of a statement.
struct Keys {
    groups: Vec<Group>,
    /// By key of the aggregation: the text of its group, and what it is of that where it numbers public values.
    parts: Vec<(String, Option<KeyPart>)>,
    /// What rows are matched with beside the public tables of the statement.
    lookups: Vec<Arc<Lookup>>,
}

/// What a key of the aggregation is.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// The question's key.
    pub(super) at: usize,
    /// Where that numbers groups of public values: what it is of them.
    of: Option<KeyPart>,
}

impl Place {
    /// The aggregation's column, by that of the question; none where it is not one of its numbers.
    pub(super) fn column(&self, key: &ArrayRef) -> Option<ArrayRef> {
        match &self.of {
            None => Some(Arc::clone(key)),
            Some(KeyPart { values, .. }) => {
                take(values, key, Some(TakeOptions { check_bounds: true })).ok()
            }
        }
    }
}

impl Split<'_> {
    /// The statement of this plan, with an aggregation of these keys, calls and columns.
    ///
    /// # Errors
    /// As [`super::question`].
    pub(super) fn asked(
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
        // A key that stands twice is one column of the aggregation.
        let mut each: Vec<&Expr> = Vec::new();
        for key in keys {
            if !each.contains(&key) {
                each.push(key);
            }
        }
        let Keys { groups, parts, lookups } = self.groups(&each, &conditions)?;
        if each.len() + calls.len() != schema.fields().len() {
            return Err(Error::new(
                Code::Internal,
                "an aggregation has other columns than it says",
            ));
        }
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
        let place = |(text, of): (String, Option<KeyPart>)| {
            let at = order.iter().position(|known| known.text == text)?;
            Some(Place { at, of })
        };
        let places: Option<Vec<Place>> = parts.into_iter().map(place).collect();
        let places = places.ok_or_else(|| Error::new(Code::Internal, "a key has no place"))?;

        let public = order.iter().all(|group| group.public.is_some());
        let layout = Layout::of(&calls, !public)?;
        let texts: Vec<String> = conditions.iter().map(text).collect();
        let told = |measure| told(measure, &layout.texts);
        let joins: String =
            below.joins.iter().map(|join| format!("\n{}", joins::told(join))).collect();
        let canonical = format!(
            "dataset {}{joins}\nwhere {}\nkeys {}\nmeasures {}",
            quoted(self.table.plan.dataset()),
            sorted("and", texts),
            order.iter().map(|group| group.text.as_str()).collect::<Vec<_>>().join(" "),
            layout.measures.iter().map(told).collect::<Vec<_>>().join(" "),
        );
        let rows = self.rows(&conditions, &lookups, &order, &layout)?;
        patterns::few(&rows)?;
        let question = Question {
            dataset: self.table.plan.dataset().to_owned(),
            canonical,
            rows,
            keys: order.iter().map(|group| Key { public: group.public.clone() }).collect(),
            values: layout.values.clone(),
            measures: layout.measures.clone(),
            bounding: self.bounding(&order)?,
            loss: self.cost(public)?,
            accounting: self.accounting,
        };
        let reads = self.reads(&question.rows, &lookups)?;
        made_alone(&self.table.plan, &reads)?;
        let protection = Protection::new(&question, self.grant, self.table.plan.policy())?;
        let fields = self.fields(schema, &order, &places, (&layout, &calls), &protection)?;
        let words = layout.said.iter().zip(&layout.texts);
        let said = words.map(|(own, text)| own.clone().unwrap_or_else(|| said(text))).collect();
        let mut asked = Asked {
            question,
            schema: Arc::new(Schema::empty()),
            parameters: Arc::new(Schema::empty()),
            open: false,
            reads,
            null_as: calls.iter().filter_map(Call::filled).flatten().map(owned).collect(),
            ordered: is_ordered(plan),
            plan: plan.clone(),
            keys: places,
            formulas: layout.formulas,
            fields,
            said,
        };
        asked.schema = asked.described(&protection)?;
        Ok(asked)
    }

    fn groups(&self, keys: &[&Expr], conditions: &[Expr]) -> Result<Keys> {
        let below = &self.below;
        let mut simple = Vec::new();
        for key in keys {
            if matches!(key, Expr::GroupingSet(_)) {
                return Err(refused(SETS));
            }
            simple.push(below.simple(below.written_out(key)?)?);
        }
        let Known { mut groups, parts: known, lists, lookups } =
            public::found(below, self.grant, &simple, conditions)?;
        let mut parts = Vec::new();
        for (part, expr) in known.into_iter().zip(simple) {
            if let Some(part) = part {
                parts.push((part.text.clone(), Some(part)));
            } else {
                let group = self.group(expr, &lists)?;
                parts.push((group.text.clone(), None));
                groups.push(group);
            }
        }
        Ok(Keys { groups, parts, lookups })
    }

    /// A key of groups, and its public values where it has them.
    fn group(&self, expr: Expr, lists: &BTreeMap<String, ArrayRef>) -> Result<Group> {
        let schema = self.below.schema();
        let text = text(&expr);
        let guarded = total(&expr, schema)?;
        let kind = kind(&expr, schema);
        if !is_plain(&kind) || kind.is_null() || expr.column_refs().is_empty() {
            return Err(refused("groups are made by columns and by what is computed from them"));
        }
        // PRIVACY: such a group is one unit: all that noise could leave of it is whether that unit is there.
        if expr.column_refs().iter().any(|column| column.name == self.grant.unit) {
            return Err(refused(&format!(
                "groups by `{0}` would be single units: count them, with `COUNT(DISTINCT {0})`",
                short(&self.grant.unit)
            )));
        }
        let (list, values) = match &expr {
            Expr::Column(column) => (lists.get(&column.name), self.grant.keys.get(&column.name)),
            _ => (None, None),
        };
        let public = match (list, values) {
            (Some(list), _) => Some(Arc::clone(list)),
            (None, Some(values)) => Some(public_values(values, &kind)?),
            (None, None) => known(&expr, &kind),
        };
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
        Ok(Group { text, expr: guarded, public, more: None })
    }

    /// The plan that gives unit, keys and values of the rows that are asked of.
    fn rows(
        &self,
        conditions: &[Expr],
        lookups: &[Arc<Lookup>],
        keys: &[&Group],
        layout: &Layout,
    ) -> Result<LogicalPlan> {
        let below = &self.below;
        let schema = below.schema();
        let beside = keys.iter().filter_map(|key| key.more.clone()).collect();
        let mut plan = LogicalPlanBuilder::from(below.scan_with(lookups, beside)?);
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

    fn reads(&self, rows: &LogicalPlan, lookups: &[Arc<Lookup>]) -> Result<Vec<String>> {
        use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
        let mut names = BTreeSet::new();
        rows.apply(|node| {
            node.apply_expressions(|expr| {
                names.extend(expr.column_refs().into_iter().map(|column| column.name.clone()));
                Ok(TreeNodeRecursion::Continue)
            })
        })
        .map_err(broken)?;
        // PRIVACY: what rows are joined by is read as well, though no expression names it.
        let keys = self.below.joins.iter().chain(lookups).flat_map(|join| &join.keys);
        names.extend(keys.map(|(own, ..)| own.clone()));
        let columns = self.table.plan.columns().iter().map(|column| &column.name);
        Ok(columns.filter(|name| names.contains(*name)).cloned().collect())
    }

    /// The columns of the aggregation: keys as the dataset has them, aggregates with what was done to them.
    fn fields(
        &self,
        schema: &DFSchemaRef,
        keys: &[&Group],
        places: &[Place],
        (layout, calls): (&Layout, &[Call]),
        protection: &Protection,
    ) -> Result<Vec<Field>> {
        let own = |expr: &Expr| match expr {
            Expr::Column(column) => {
                let field = self.table.plan.schema().field_with_name(&column.name).ok()?;
                Some(field.metadata().clone())
            }
            _ => None,
        };
        let keys = places.iter().map(|place| match &place.of {
            Some(KeyPart { column: Some(column), .. }) => own(column),
            Some(KeyPart { column: None, .. }) => Some(protection::public()),
            None => keys.get(place.at).and_then(|group| own(&group.expr)),
        });
        let keys = keys.map(|own| own.unwrap_or_else(|| protection.general()));
        let aggregates = layout.formulas.iter().zip(calls);
        let aggregates = aggregates.map(|(formula, call)| protection.of(formula, call.filled()));
        let aggregates = aggregates.collect::<Result<Vec<_>>>()?;
        let metadata = keys.chain(aggregates);
        let field = |(field, metadata): (&Arc<Field>, _)| {
            Field::new(field.name(), field.data_type().clone(), true).with_metadata(metadata)
        };
        Ok(schema.fields().iter().zip(metadata).map(field).collect())
    }
}

fn owned((column, value): (&String, &f64)) -> (String, f64) {
    (column.clone(), *value)
}

/// A value in the words of the cost: a column's name as it is, anything else as the question tells it.
fn said(text: &str) -> String {
    let column = text.strip_prefix("column \"").and_then(|rest| rest.strip_suffix('"'));
    column.filter(|name| !name.contains(['"', '\\'])).unwrap_or(text).to_owned()
}

fn key_name(at: usize) -> String {
    format!("key{at}")
}

/// Public values in the type of their column.
pub(super) fn public_values(values: &[String], kind: &DataType) -> Result<ArrayRef> {
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
