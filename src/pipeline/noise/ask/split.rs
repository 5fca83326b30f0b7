//! A statement is split at its aggregation: keys, values and conditions below it become a question, under the
//! grant's bounds and at its cost. What stands above is kept as it is.

use std::collections::BTreeSet;
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
use super::joins::{self, Combinations};
use super::known::known;
use super::measures::{Layout, told};
use super::metadata::{self as protection, Protection};
use super::patterns;
use super::total::{is_plain, kind, total};
use crate::error::{Code, Error, Result};
use crate::pipeline::noise::question::{Bounding, Key, Question};
use crate::pipeline::query::{Table, joined_name, public_name, refused, short};
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
struct Group {
    text: String,
    expr: Expr,
    public: Option<ArrayRef>,
    /// A column that a join brings for it: of which join, how it is called, a value a row of its table.
    more: Option<(usize, String, ArrayRef)>,
}

/// What a key of the aggregation is.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// The question's key.
    pub(super) at: usize,
    /// Where that numbers combinations of a public table's columns: the column's value of each.
    values: Option<ArrayRef>,
}

impl Place {
    /// The aggregation's column, by that of the question; none where it is not one of its numbers.
    pub(super) fn column(&self, key: &ArrayRef) -> Option<ArrayRef> {
        match &self.values {
            None => Some(Arc::clone(key)),
            Some(values) => take(values, key, Some(TakeOptions { check_bounds: true })).ok(),
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
        let (groups, parts) = self.groups(&each)?;
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
        let place = |(text, values): (String, Option<ArrayRef>)| {
            let at = order.iter().position(|known| known.text == text)?;
            Some(Place { at, values })
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
        let rows = self.rows(&conditions, &order, &layout)?;
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
        let reads = self.reads(&question.rows)?;
        made_alone(&self.table.plan, &reads)?;
        let protection = Protection::new(&question, self.grant, self.table.plan.policy())?;
        let fields = self.fields(schema, &order, &places, (&layout, &calls), &protection)?;
        let said = layout.texts.iter().map(|text| said(text)).collect();
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

    /// The keys of groups; and by key of the aggregation: the text of its group, and its values where that
    /// numbers combinations.
    #[expect(clippy::type_complexity, reason = "two lists")]
    fn groups(&self, keys: &[&Expr]) -> Result<(Vec<Group>, Vec<(String, Option<ArrayRef>)>)> {
        let below = &self.below;
        let mut simple = Vec::new();
        for key in keys {
            if matches!(key, Expr::GroupingSet(_)) {
                return Err(refused(SETS));
            }
            simple.push(below.simple(below.written_out(key)?)?);
        }
        let public: Vec<_> = simple.iter().map(|key| self.public_column(key)).collect();
        let mut groups = Vec::new();
        let mut parts: Vec<Option<(String, Option<ArrayRef>)>> = vec![None; keys.len()];
        for (at, join) in below.joins.iter().enumerate() {
            let own = public.iter().flatten().filter(|(of, _)| *of == at);
            let columns: BTreeSet<String> = own.map(|(_, column)| column.clone()).collect();
            if columns.is_empty() {
                continue;
            }
            let Some(Combinations { numbers, all, values }) = Combinations::of(join, &columns)?
            else {
                continue;
            };
            if all.is_empty() {
                return Err(refused(&format!(
                    "`{}` has no rows, so there are no groups by its columns",
                    short(&join.public.name)
                )));
            }
            let name = joined_name(&join.public.name, "\0group");
            let named = columns.iter().map(|column| quoted(column)).collect::<Vec<_>>().join(" ");
            let text = format!("(public {} {named})", quoted(&join.public.name));
            for (part, key) in parts.iter_mut().zip(&public) {
                let column = key.as_ref().filter(|(of, _)| *of == at).map(|(_, column)| column);
                let place = column.and_then(|column| columns.iter().position(|it| it == column));
                let values = place.and_then(|place| values.get(place)).cloned();
                if values.is_some() {
                    *part = Some((text.clone(), values));
                }
            }
            groups.push(Group {
                text,
                expr: below.column(&name),
                public: Some(all),
                more: Some((at, name, numbers)),
            });
        }
        for (part, expr) in parts.iter_mut().zip(simple) {
            if part.is_none() {
                let group = self.group(expr)?;
                *part = Some((group.text.clone(), None));
                groups.push(group);
            }
        }
        Ok((groups, parts.into_iter().flatten().collect()))
    }

    /// The public table's column that a key is: its own, or one that is equal to it in every row.
    fn public_column(&self, key: &Expr) -> Option<(usize, String)> {
        let Expr::Column(column) = key else { return None };
        let joins = || self.below.joins.iter().enumerate();
        if let Some((table, name)) = public_name(&column.name) {
            let (at, _) = joins().find(|(_, join)| join.public.name == table)?;
            return Some((at, name.to_owned()));
        }
        if self.grant.keys.contains_key(&column.name) {
            return None;
        }
        let own = kind(key, self.below.schema());
        joins().filter(|(_, join)| !join.keeps).find_map(|(at, join)| {
            let equal = |(name, _, _): &&(String, String, DataType)| *name == column.name;
            let (_, public, _) = join.keys.iter().find(equal)?;
            let schema = join.public.schema();
            let theirs = schema.field_with_name(public).ok()?.data_type();
            (*theirs == own).then(|| (at, public.clone()))
        })
    }

    /// A key of groups, and its public values where it has them.
    fn group(&self, expr: Expr) -> Result<Group> {
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
        let public = match &expr {
            Expr::Column(column) => self.grant.keys.get(&column.name),
            _ => None,
        };
        let public = match public {
            Some(values) => Some(public_values(values, &kind)?),
            None => known(&expr, &kind),
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
    fn rows(&self, conditions: &[Expr], keys: &[&Group], layout: &Layout) -> Result<LogicalPlan> {
        let below = &self.below;
        let schema = below.schema();
        let more = keys.iter().filter_map(|key| key.more.clone()).collect();
        let mut plan = LogicalPlanBuilder::from(below.scan_with(more)?);
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
        // PRIVACY: what rows are joined by is read as well, though no expression names it.
        let keys = self.below.joins.iter().flat_map(|join| &join.keys);
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
        let keys = places.iter().map(|place| match &place.values {
            Some(_) => Some(protection::public()),
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
