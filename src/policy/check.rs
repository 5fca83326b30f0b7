//! Holds a policy against the real columns of its data. Pure: the caller brings the schema, as the
//! source reads it.

use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};

use super::load::Loaded;
use super::problem::{Problem, Problems};
use super::release::fit::{Misfit, Part, misfits};
use crate::diagnostic::{Diagnostic, did_you_mean};
use crate::pipeline::transform::column::{canonical, carried};
use crate::pipeline::transform::elements;

/// Every way in which the policy and the raw schema do not fit together.
pub fn check_schema(loaded: &Loaded, raw: &Schema) -> Vec<Diagnostic> {
    let policy = &loaded.policy;
    let places = &loaded.places;
    let mut problems = Problems::new(Arc::clone(&places.file));
    let ruled: Vec<&str> = policy.columns.iter().map(|column| column.name.as_str()).collect();
    let real: Vec<&str> = raw.fields().iter().map(|field| field.name().as_str()).collect();
    for field in raw.fields().iter().filter(|field| !ruled.contains(&field.name().as_str())) {
        let problem = problems.add(
            Problem::ColumnWithoutRule,
            places.columns,
            format!(
                "the data has a column `{}` ({}) without a rule",
                field.name(),
                type_name(field.data_type())
            ),
        );
        match did_you_mean(field.name(), ruled.iter().copied()) {
            Some(near) if !real.contains(&near) => {
                problem.help(format!("there is a rule for `{near}`; are they the same?"))
            }
            _ => problem.help(format!("add `{}: drop`, or what it needs", field.name())),
        };
    }
    let rules = places.names.iter().zip(&places.rules);
    for (column, (name_span, rule_span)) in policy.columns.iter().zip(rules) {
        let Ok(field) = raw.field_with_name(&column.name) else {
            let problem = problems.add(
                Problem::RuleWithoutColumn,
                *name_span,
                format!("there is a rule for `{}`, but the data has no such column", column.name),
            );
            match did_you_mean(&column.name, real.iter().copied()) {
                Some(near) => problem.help(format!("did you mean `{near}`?")),
                None => problem.help("remove the rule"),
            };
            continue;
        };
        let transform = column.rule.transform;
        let input = canonical(field.data_type());
        let fit = elements::fit(transform, &column.rule.args, &input);
        let fits = fit.and_then(|fit| match fit.output {
            Some(output) => carried(field.data_type()).and_then(|()| carried(&output)),
            None => Ok(()),
        });
        if let Err(reason) = fits {
            problems
                .add(
                    Problem::TypeMisfit,
                    *rule_span,
                    format!(
                        "`{}` does not fit column `{}`: {reason}",
                        transform.spec().name(),
                        column.name
                    ),
                )
                .label(format!("the column holds {}", type_name(&input)))
                .help(format!("`{}` takes {}", transform.spec().name(), transform.spec().takes));
        }
        // A column that is not there has its own problem already.
        let reads: Option<Vec<DataType>> = transform
            .reads(&column.rule.args)
            .iter()
            .map(|name| raw.field_with_name(name).ok().map(|field| canonical(field.data_type())))
            .collect();
        let misfit = reads.and_then(|reads| transform.reads_fit(&column.rule.args, &reads).err());
        let learns: Option<Vec<DataType>> = transform
            .learns_from(&column.rule.args)
            .iter()
            .map(|name| raw.field_with_name(name).ok().map(|field| canonical(field.data_type())))
            .collect();
        let unlearnt =
            learns.and_then(|types| transform.learns_fit(&column.rule.args, &types).err());
        if let Some(reason) = misfit.or(unlearnt) {
            problems.add(
                Problem::TypeMisfit,
                *rule_span,
                format!(
                    "`{}` of column `{}` cannot read what it names: {reason}",
                    transform.spec().name(),
                    column.name
                ),
            );
        }
    }
    if let Some(release) = &places.release {
        for Misfit { of, reason } in misfits(policy, raw) {
            let span = match of {
                Part::Quasi(at) => release.quasi_identifiers.get(at).copied(),
                Part::Model(at) => release.models.get(at).copied(),
                Part::Unit => release.unit,
            };
            problems.add(Problem::TypeMisfit, span.unwrap_or(release.whole), reason);
        }
    }
    super::privacy::fit(&mut problems, loaded, raw);
    let mut found = problems.into_list();
    crate::diagnostic::sort(&mut found);
    found
}

/// A type in words that people who write policies use.
pub fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "text".to_owned(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "binary".to_owned(),
        DataType::FixedSizeBinary(length) => format!("binary of {length} bytes"),
        DataType::Boolean => "flags".to_owned(),
        DataType::Date32 | DataType::Date64 => "dates".to_owned(),
        DataType::Timestamp(_, None) => "timestamps".to_owned(),
        DataType::Timestamp(_, Some(zone)) => format!("timestamps in {zone}"),
        DataType::Float16 | DataType::Float32 | DataType::Float64 => "numbers".to_owned(),
        DataType::Decimal128(..) | DataType::Decimal256(..) => "decimals".to_owned(),
        DataType::Dictionary(_, values) => type_name(values),
        DataType::RunEndEncoded(_, values) => type_name(values.data_type()),
        DataType::List(item) | DataType::LargeList(item) => {
            format!("lists of {}", type_name(item.data_type()))
        }
        DataType::Struct(fields) => {
            let parts = fields.iter().map(|field| format!("`{}`", field.name()));
            format!("structures of {}", parts.collect::<Vec<_>>().join(", "))
        }
        other if other.is_integer() => "whole numbers".to_owned(),
        other => other.to_string(),
    }
}
