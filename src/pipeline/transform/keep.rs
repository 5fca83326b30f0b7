//! `keep`: the value leaves as it is. Says nothing of whether that is wise; `policy check` does.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;

use super::params::optional;
use super::{Bind, Exposure, Kernel, Spec, Transform};
use crate::error::Result;
use crate::policy::args::{Args, Kind};

/// The value as it is.
///
/// - What it does: sends the value unchanged. A column with fields inside leaves with all of them, and
///   only where `fields` lists each: a field that a later file adds has no rule, and stops the dataset.
/// - What it hides: nothing.
/// - What still leaks: the value.
/// - Parameters: `fields`.
#[derive(Debug)]
pub(super) struct Keep;

static SPEC: Spec = Spec {
    verb: "keep",
    method: None,
    primary: None,
    params: &[optional(
        "fields",
        Kind::Texts,
        "The fields inside the column, all of them, as paths such as `job.id`. Only for columns that \
         have some, and then needed.",
    )],
    does: "Sends the value as it is.",
    hides: "Nothing.",
    leaks: "The value itself, and with it every link to other tables that hold it.",
    takes: "every type",
    example: "keep",
    references: &[],
};

impl Transform for Keep {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn output(&self, args: &Args, input: &DataType) -> Result<Option<DataType>, String> {
        let mut inside = BTreeSet::new();
        fields_inside(input, "", &mut inside);
        let listed = args.texts("fields");
        if let Some(field) = inside.iter().find(|field| !listed.contains(field)) {
            return Err(format!(
                "its field `{field}` has no rule; `keep: {{fields: [...]}}` lists those that may leave"
            ));
        }
        match listed.iter().find(|field| !inside.contains(*field)) {
            Some(field) => Err(format!("it has no field `{field}` inside")),
            None => Ok(Some(input.clone())),
        }
    }

    fn exposure(&self, _args: &Args) -> Exposure {
        Exposure::Clear
    }

    fn explain(&self, _args: &Args) -> String {
        "Leaves as it is.".to_owned()
    }

    fn kernel(&self, _args: &Args, _bind: &Bind<'_>) -> Result<Box<dyn Kernel>> {
        Ok(Box::new(Same))
    }
}

/// The paths of the fields that hold values, at any depth; the parts of lists and maps have no name of
/// their own.
fn fields_inside(kind: &DataType, path: &str, found: &mut BTreeSet<String>) {
    match kind {
        DataType::Struct(children) => {
            for child in children {
                let path = if path.is_empty() {
                    child.name().clone()
                } else {
                    format!("{path}.{}", child.name())
                };
                let before = found.len();
                fields_inside(child.data_type(), &path, found);
                if found.len() == before {
                    found.insert(path);
                }
            }
        }
        DataType::List(item) | DataType::FixedSizeList(item, _) => {
            fields_inside(item.data_type(), path, found);
        }
        DataType::Map(entries, _) => {
            if let DataType::Struct(parts) = entries.data_type() {
                for part in parts {
                    fields_inside(part.data_type(), path, found);
                }
            }
        }
        _ => {}
    }
}

struct Same;

impl Kernel for Same {
    // The seal copies every value into fresh buffers, so handing the array on is safe here.
    fn apply(&mut self, values: &ArrayRef, _reads: &[ArrayRef]) -> Result<ArrayRef> {
        Ok(Arc::clone(values))
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::Field;

    use super::super::testing::{args, words};
    use super::*;

    fn nested(names: &[&str]) -> DataType {
        let children: Vec<_> =
            names.iter().map(|name| Field::new(*name, DataType::Utf8, true)).collect();
        let job = Field::new("job", DataType::Struct(children.into()), true);
        let whole = DataType::Struct(vec![job, Field::new("n", DataType::Int32, true)].into());
        DataType::List(Arc::new(Field::new("item", whole, true)))
    }

    fn refused(listed: &[&str], kind: &DataType) -> String {
        Keep.output(&args(&Keep, &[("fields", words(listed))]), kind).unwrap_err()
    }

    #[test]
    fn a_field_inside_a_column_has_no_rule_until_it_is_listed() {
        let listed = args(&Keep, &[("fields", words(&["job.id", "n"]))]);
        let kind = nested(&["id"]);
        assert_eq!(Keep.output(&listed, &kind), Ok(Some(kind.clone())));
        assert!(Keep.output(&Args::new(), &kind).unwrap_err().contains("`job.id` has no rule"));
        // A later file brings one more.
        let grown = nested(&["id", "user"]);
        assert!(refused(&["job.id", "n"], &grown).contains("`job.user` has no rule"));
        assert!(refused(&["job.id", "n", "m"], &kind).contains("no field `m`"));
        assert!(refused(&["n"], &DataType::Int32).contains("no field `n`"));
    }

    #[test]
    fn lists_and_maps_of_plain_values_have_no_fields() {
        let item = |kind| Arc::new(Field::new("item", kind, true));
        let list = DataType::List(item(DataType::Utf8));
        let entries = vec![
            Field::new("keys", DataType::Utf8, false),
            Field::new("values", DataType::Int32, true),
        ];
        let map = DataType::Map(item(DataType::Struct(entries.into())), false);
        for kind in [list, map] {
            assert_eq!(Keep.output(&Args::new(), &kind), Ok(Some(kind.clone())));
        }
    }
}
