//! One policy, one partner, one raw schema: exactly what will be sent. A [`Plan`] is the only thing
//! that the pipeline obeys, and [`plan`] is the only way to make one.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use chrono::NaiveDate;

use super::args::Args;
use super::load::leaves;
use super::release::ReleaseRules;
use super::stored::{self, Role};
use super::{Access, Allowance, Column, Grant, Limits, Linkage, Policy, Rule};
use crate::error::{Code, Error, Result};
use crate::pipeline::transform::column::{canonical, carried};
use crate::pipeline::transform::{self, elements};

/// The key of a field's metadata that says what was done to the column.
const PROTECTION: &str = "veilflight.protection";

/// The key of metadata that names the release.
pub const RELEASE_KEY: &str = "veilflight.release";

/// What will be sent to one partner from one dataset.
///
/// INVARIANT: made by [`plan`] alone; each column of the raw schema has a rule; `schema` is the exact
/// schema of the stream and holds nothing taken from a file but column names and types.
#[derive(Debug, Clone)]
pub struct Plan {
    policy: Arc<Policy>,
    partner: String,
    access: Access,
    limits: Limits,
    columns: Vec<PlannedColumn>,
    schema: SchemaRef,
}

/// A column that leaves.
#[derive(Debug, Clone)]
pub struct PlannedColumn {
    /// Its name in the data and in the stream.
    pub name: String,
    /// The canonical type of the raw column.
    pub input: DataType,
    /// The type that leaves.
    pub output: DataType,
    /// What is done to it.
    pub rule: Rule,
    /// The name of the key and token domain.
    pub domain: String,
    /// Whether it holds lists and the rule is applied to each of their elements.
    pub by_element: bool,
}

impl PlannedColumn {
    /// The type that the rule's kernel is bound to: the column's, or its elements'.
    pub fn bound(&self) -> &DataType {
        elements::bound(&self.input, self.by_element)
    }

    /// The field of the elements that leave, where the rule is applied to each.
    pub fn item(&self) -> Option<&FieldRef> {
        match &self.output {
            DataType::List(item) if self.by_element => Some(item),
            _ => None,
        }
    }
}

impl Plan {
    /// The policy that was planned.
    pub fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// The dataset's name.
    pub fn dataset(&self) -> &str {
        &self.policy.dataset
    }

    /// Who asked.
    pub fn partner(&self) -> &str {
        &self.partner
    }

    /// What the partner may have: rows, or aggregates where no grant gives rows, or answers with noise where none
    /// gives aggregates either.
    pub const fn access(&self) -> &Access {
        &self.access
    }

    /// The column that names the privacy unit: the grant's own where answers come with noise, else the policy's.
    pub fn unit(&self) -> Option<&str> {
        match &self.access {
            Access::Dp(grant) => Some(&grant.unit),
            Access::Rows | Access::Aggregates { .. } => self.policy.unit.as_deref(),
        }
    }

    /// The columns that leave, in the order of the policy.
    pub fn columns(&self) -> &[PlannedColumn] {
        &self.columns
    }

    /// The exact schema of the stream.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// How much of it the grant gives that this was planned under.
    pub fn allowance(&self) -> Allowance {
        self.limits.of(self.dataset())
    }

    /// The name that keys and tokens are derived with: the partner, or nothing where linkage is shared.
    pub fn audience(&self) -> Option<&str> {
        match self.policy.linkage {
            Linkage::PerPartner => Some(&self.partner),
            Linkage::Shared => None,
        }
    }
}

/// Plans what `partner` gets of a dataset whose raw columns are `raw`. Of several grants the one for rows
/// counts, then the one for aggregates.
///
/// # Errors
/// [`Code::DatasetUnknown`] without a grant, [`Code::DatasetUnavailable`] where the policy lacks what its
/// grant needs, [`Code::SchemaDrift`] where columns and rules do not match.
pub fn plan(policy: &Arc<Policy>, partner: &str, raw: &Schema, today: NaiveDate) -> Result<Plan> {
    let grant = grant(policy, partner, today)?;
    if matches!(grant.access, Access::Aggregates { .. }) && policy.unit.is_none() {
        // The loader refuses such a policy; a group whose persons cannot be counted must not be answered.
        return Err(Error::new(
            Code::DatasetUnavailable,
            format!("`{}` grants aggregates and names no `unit`", policy.dataset),
        ));
    }
    // Nothing is paid for answers that could count nobody.
    if let Access::Dp(dp) = &grant.access
        && let Ok(field) = raw.field_with_name(&dp.unit)
        && !transform::unit::fits(&canonical(field.data_type()))
    {
        let what = format!("the unit `{}` is of a type that tells nobody apart", dp.unit);
        return Err(drift(policy, what));
    }
    let (columns, mut schema) = columns(policy, raw)?;
    if matches!(grant.access, Access::Dp(_)) {
        schema = any_may_be_null(&schema);
    }
    Ok(Plan {
        policy: Arc::clone(policy),
        partner: partner.to_owned(),
        access: grant.access.clone(),
        limits: grant.limits,
        columns,
        schema,
    })
}

/// The schema with nulls in every column.
///
/// PRIVACY: some writers of parquet call a column `REQUIRED` where it happens to hold no null. Then one person's row
/// decides it, and neither what partners are shown without noise nor what is made of a statement may depend on that.
fn any_may_be_null(schema: &SchemaRef) -> SchemaRef {
    let fields = schema.fields().iter();
    let fields = fields.map(|field| field.as_ref().clone().with_nullable(true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// What [`Plan::allowance`] will be, before the data are looked at.
///
/// # Errors
/// [`Code::DatasetUnknown`] without a grant.
pub fn allowance(policy: &Policy, partner: &str, today: NaiveDate) -> Result<Allowance> {
    Ok(grant(policy, partner, today)?.limits.of(&policy.dataset))
}

/// What a partner may have of a dataset as this version serves it, or nothing.
pub fn access<'a>(policy: &'a Policy, partner: &str, today: NaiveDate) -> Option<&'a Access> {
    grant(policy, partner, today).ok().map(|grant| &grant.access)
}

/// The grant that is planned under: rows before aggregates, of aggregates the largest groups, and noise last: it
/// protects nobody from who has more.
fn grant<'a>(policy: &'a Policy, partner: &str, today: NaiveDate) -> Result<&'a Grant> {
    let valid = policy
        .grants
        .iter()
        .filter(|grant| grant.partner == partner && grant.until.is_none_or(|until| today <= until));
    let rank = |grant: &&Grant| match &grant.access {
        Access::Rows => (2, 0),
        Access::Aggregates { group_min } => (1, *group_min),
        Access::Dp(_) => (0, 0),
    };
    valid.max_by_key(rank).ok_or_else(|| {
        let what = format!("`{partner}` has no grant for `{}`", policy.dataset);
        Error::new(Code::DatasetUnknown, what)
    })
}

/// Whether a policy can be served over data with these columns.
///
/// # Errors
/// As [`plan`], but for the grant.
pub fn fits(policy: &Policy, raw: &Schema) -> Result<()> {
    columns(policy, raw).map(|_| ())
}

/// The columns that leave, and the schema of the stream.
fn columns(policy: &Policy, raw: &Schema) -> Result<(Vec<PlannedColumn>, SchemaRef)> {
    let (columns, fields) = match &policy.release {
        Some(rules) => of_release(policy, rules, raw)?,
        None => of_data(policy, raw)?,
    };
    if columns.is_empty() {
        return Err(Error::new(
            Code::DatasetUnavailable,
            format!("the policy of `{}` lets no column out", policy.dataset),
        ));
    }
    Ok((columns, Arc::new(Schema::new(fields))))
}

fn of_data(policy: &Policy, raw: &Schema) -> Result<(Vec<PlannedColumn>, Vec<Field>)> {
    for field in raw.fields() {
        if !policy.columns.iter().any(|column| column.name == *field.name()) {
            return Err(drift(
                policy,
                format!("the data has a column `{}` without a rule", field.name()),
            ));
        }
    }
    let planned =
        policy.columns.iter().filter_map(|column| by_rule(policy, column, raw).transpose());
    Ok(planned.collect::<Result<Vec<_>>>()?.into_iter().unzip())
}

/// The columns of a release: those that it decided about as they stand there, the others by their rules.
///
/// INVARIANT: what the schema says of quasi-identifiers comes from the policy and the release's name, never
/// from the rows, so that it tells nothing of them.
fn of_release(
    policy: &Policy,
    rules: &ReleaseRules,
    stored: &Schema,
) -> Result<(Vec<PlannedColumn>, Vec<Field>)> {
    if let Some(reason) = stored::misread(policy, rules) {
        return Err(drift(policy, reason));
    }
    let layout = stored::layout(policy, rules);
    for field in stored.fields() {
        if !layout.iter().any(|(column, _)| column.name == *field.name()) {
            return Err(drift(
                policy,
                format!("the release has a column `{}` without a rule", field.name()),
            ));
        }
    }
    let id = stored.metadata().get(RELEASE_KEY).map(String::as_str).unwrap_or_default();
    let mut planned = Vec::new();
    for (column, role) in layout {
        if role == Role::Raw {
            planned.extend(by_rule(policy, column, stored)?);
            continue;
        }
        let field = stored
            .field_with_name(&column.name)
            .map_err(|_| drift(policy, format!("the release has no column `{}`", column.name)))?;
        if role == Role::Quasi
            && !stored::quasi_types(rules).contains(&canonical(field.data_type()))
        {
            return Err(drift(policy, format!("column `{}` is no label", column.name)));
        }
        if leaves(&column.rule) {
            planned.push(as_it_stands(policy, column, field, role, rules, id)?);
        }
    }
    Ok(planned.into_iter().unzip())
}

/// A column that stands in the release as it leaves.
fn as_it_stands(
    policy: &Policy,
    column: &Column,
    field: &Field,
    role: Role,
    rules: &ReleaseRules,
    id: &str,
) -> Result<(PlannedColumn, Field)> {
    let missing = || Error::new(Code::Internal, "there is no way to keep a column");
    let keep = transform::find("keep", None).ok_or_else(missing)?;
    let rule = Rule { transform: keep, args: Args::defaults(keep.spec().params) };
    let output = canonical(field.data_type());
    carried(&output)
        .map_err(|reason| drift(policy, format!("column `{}`: {reason}", column.name)))?;
    let mut metadata = HashMap::from([(RELEASE_KEY.to_owned(), id.to_owned())]);
    if role == Role::Quasi {
        metadata.insert(PROTECTION.to_owned(), "release".to_owned());
        metadata.insert("veilflight.release.method".to_owned(), rules.method.name().to_owned());
        if let Some(k) = rules.k() {
            metadata.insert("veilflight.release.k".to_owned(), k.to_string());
        }
    } else {
        metadata.insert(PROTECTION.to_owned(), column.rule.transform.spec().name());
    }
    let planned = PlannedColumn {
        name: column.name.clone(),
        input: output.clone(),
        output: output.clone(),
        rule,
        domain: domain(policy, column),
        by_element: false,
    };
    Ok((planned, Field::new(&column.name, output, true).with_metadata(metadata)))
}

/// A column under its rule; nothing where it does not leave.
fn by_rule(
    policy: &Policy,
    column: &Column,
    raw: &Schema,
) -> Result<Option<(PlannedColumn, Field)>> {
    let field = raw
        .field_with_name(&column.name)
        .map_err(|_| drift(policy, format!("the data has no column `{}`", column.name)))?;
    let input = canonical(field.data_type());
    let transform = column.rule.transform;
    let types = |names: Vec<String>| {
        let kind = |name: &String| {
            let field = raw.field_with_name(name);
            let field =
                field.map_err(|_| drift(policy, format!("the data has no column `{name}`")))?;
            Ok(canonical(field.data_type()))
        };
        names.iter().map(kind).collect::<Result<Vec<_>>>()
    };
    let misfit = |reason| drift(policy, format!("column `{}`: {reason}", column.name));
    let reads = types(transform.reads(&column.rule.args))?;
    transform.reads_fit(&column.rule.args, &reads).map_err(misfit)?;
    let learns = types(transform.learns_from(&column.rule.args))?;
    transform.learns_fit(&column.rule.args, &learns).map_err(misfit)?;
    let fit = elements::fit(transform, &column.rule.args, &input).map_err(misfit)?;
    let Some(output) = fit.output else { return Ok(None) };
    carried(field.data_type()).and_then(|()| carried(&output)).map_err(misfit)?;
    // What a kernel makes null of a list are elements, not the list.
    let nullable =
        field.is_nullable() || (transform.adds_nulls(&column.rule.args) && !fit.by_element);
    let leaving =
        Field::new(&column.name, output.clone(), nullable).with_metadata(told(&column.rule));
    let planned = PlannedColumn {
        name: column.name.clone(),
        input,
        output,
        rule: column.rule.clone(),
        domain: domain(policy, column),
        by_element: fit.by_element,
    };
    Ok(Some((planned, leaving)))
}

/// What a field's metadata say of the rule of its column: its name, and of local differential privacy what
/// it costs and how to read it.
fn told(rule: &Rule) -> HashMap<String, String> {
    let name = rule.transform.spec().name();
    let mut told = HashMap::from([(PROTECTION.to_owned(), name.clone())]);
    if let Some(epsilon) = rule.transform.epsilon(&rule.args) {
        told.insert("veilflight.local.mechanism".to_owned(), name);
        told.insert("veilflight.local.epsilon".to_owned(), transform::rounded_up(epsilon));
    }
    let more = rule.transform.told(&rule.args);
    told.extend(more.into_iter().map(|(key, value)| (key.to_owned(), value)));
    told
}

/// The domain a rule names, or one that only this column of this dataset has.
pub fn domain(policy: &Policy, column: &Column) -> String {
    match column.rule.args.text("domain") {
        Some(named) => format!("domain:{named}"),
        None => format!("column:{}/{}", policy.dataset, column.name),
    }
}

fn drift(policy: &Policy, reason: String) -> Error {
    Error::new(Code::SchemaDrift, format!("dataset `{}`: {reason}", policy.dataset))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::load::load_bytes;
    use super::*;

    fn planned(unit: &str, grants: &str) -> Result<Plan> {
        planned_of(DataType::Utf8, unit, grants)
    }

    fn planned_of(kind: DataType, unit: &str, grants: &str) -> Result<Plan> {
        let text = format!(
            "version: 1\ndataset: jobs\nsource: {{parquet: data}}\n{unit}\ncolumns: {{a: keep}}\ngrants: [{grants}]\n"
        );
        let loaded = load_bytes(Path::new("jobs.yaml"), text.as_bytes())
            .map_err(|report| Error::new(Code::Policy, format!("{report:?}")))?;
        let raw = Schema::new(vec![Field::new("a", kind, true)]);
        let today = NaiveDate::from_ymd_opt(2026, 1, 1).unwrap();
        plan(&Arc::new(loaded.policy), "cern", &raw, today)
    }

    const ROWS: &str = "{partner: cern, access: rows}";
    const AGGREGATES: &str = "{partner: cern, access: aggregates, group_min: 5}";

    #[test]
    fn of_two_grants_the_one_for_rows_counts() {
        let aggregates = Access::Aggregates { group_min: 5 };
        assert_eq!(*planned("unit: a", AGGREGATES).unwrap().access(), aggregates);
        for both in [format!("{ROWS}, {AGGREGATES}"), format!("{AGGREGATES}, {ROWS}")] {
            assert_eq!(*planned("unit: a", &both).unwrap().access(), Access::Rows);
        }
        // A grant that ended gives nothing.
        let ended = format!("{{partner: cern, access: rows, until: 2025-12-31}}, {AGGREGATES}");
        assert_eq!(*planned("unit: a", &ended).unwrap().access(), aggregates);
        let others = "{partner: desy, access: rows}";
        assert_eq!(planned("unit: a", others).unwrap_err().code(), Code::DatasetUnknown);
        let noise = "{partner: cern, access: dp, epsilon: 1.0, groups_max: 1, rows_max: 1, \
                     dangerous_rows_and_dp: true}";
        let alone = planned("unit: a", noise).unwrap();
        assert!(matches!(alone.access(), Access::Dp(grant) if grant.rows_max == 1));
        let own = noise.replace("groups_max", "unit: a, groups_max");
        assert_eq!(planned("", &own).unwrap().unit(), Some("a"));
        assert_eq!(planned("", ROWS).unwrap().unit(), None);
        let noise = noise.replace("groups_max", "dangerous_aggregates_and_dp: true, groups_max");
        for both in [format!("{noise}, {AGGREGATES}"), format!("{AGGREGATES}, {noise}")] {
            assert_eq!(*planned("unit: a", &both).unwrap().access(), aggregates);
        }
    }

    #[test]
    fn a_unit_that_tells_nobody_apart_is_refused_before_anything_is_paid() {
        let noise = "{partner: cern, access: dp, epsilon: 1.0, groups_max: 1, rows_max: 1}";
        let of = |kind| planned_of(kind, "unit: a", noise).map(drop).map_err(|error| error.code());
        assert_eq!(of(DataType::Int64), Ok(()));
        for kind in [DataType::Float64, DataType::Boolean, DataType::Decimal128(9, 2)] {
            assert_eq!(of(kind), Err(Code::SchemaDrift));
        }
    }

    #[test]
    fn aggregates_without_a_unit_are_refused_when_the_policy_is_read() {
        assert_eq!(planned("", AGGREGATES).unwrap_err().code(), Code::Policy);
        assert_eq!(*planned("", ROWS).unwrap().access(), Access::Rows);
    }
}
