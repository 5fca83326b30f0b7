//! The tables that describe a partner's catalogue, as clients ask for them: catalogues, schemas, tables
//! with their columns, keys. Made from policies' plans and constants, never from rows.
//!
//! Tables leave through `seal::metadata`, always in the default format: drivers read them themselves, and
//! look for plain texts whatever the session chose for its statements.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use arrow_flight::error::FlightError;
use arrow_flight::sql::metadata::{GetCatalogsBuilder, GetDbSchemasBuilder, GetTablesBuilder};
use arrow_flight::sql::{
    CommandGetCrossReference, CommandGetDbSchemas, CommandGetExportedKeys, CommandGetImportedKeys,
    CommandGetPrimaryKeys, CommandGetSqlInfo, CommandGetTableTypes, CommandGetTables,
    CommandGetXdbcTypeInfo, ProstMessageExt,
};
use bytes::Bytes;
use prost::Message as _;

use super::super::flights::Flights;
use super::super::session::{CATALOG, SCHEMA};
use super::{info, types};
use crate::error::{Code, Context, Result};
use crate::pipeline::format::Format;
use crate::pipeline::query::View;
use crate::pipeline::seal;
use crate::pipeline::stream::SealedStream;
use crate::policy::Access;
use crate::policy::plan::Plan;

/// A table about the catalogue or the server.
#[derive(Debug, Clone, PartialEq)]
pub enum Metadata {
    /// The catalogues.
    Catalogs,
    /// The schemas.
    DbSchemas(CommandGetDbSchemas),
    /// The tables, with their columns on request.
    Tables(CommandGetTables),
    /// The sorts of tables.
    TableTypes,
    /// What the server can do.
    SqlInfo(CommandGetSqlInfo),
    /// The types of columns.
    XdbcTypeInfo(CommandGetXdbcTypeInfo),
    /// Primary keys.
    PrimaryKeys(CommandGetPrimaryKeys),
    /// Foreign keys that point to a table.
    ExportedKeys(CommandGetExportedKeys),
    /// Foreign keys that a table has.
    ImportedKeys(CommandGetImportedKeys),
    /// Foreign keys between two tables.
    CrossReference(CommandGetCrossReference),
}

impl Metadata {
    /// The command as its message, for a ticket.
    pub fn encode(&self) -> Bytes {
        let any = match self {
            Self::Catalogs => arrow_flight::sql::CommandGetCatalogs {}.as_any(),
            Self::DbSchemas(command) => command.as_any(),
            Self::Tables(command) => command.as_any(),
            Self::TableTypes => CommandGetTableTypes {}.as_any(),
            Self::SqlInfo(command) => command.as_any(),
            Self::XdbcTypeInfo(command) => command.as_any(),
            Self::PrimaryKeys(command) => command.as_any(),
            Self::ExportedKeys(command) => command.as_any(),
            Self::ImportedKeys(command) => command.as_any(),
            Self::CrossReference(command) => command.as_any(),
        };
        any.encode_to_vec().into()
    }
}

/// The exact schema of the table that answers.
pub fn schema(asked: &Metadata) -> SchemaRef {
    match asked {
        Metadata::Catalogs => GetCatalogsBuilder::new().schema(),
        Metadata::DbSchemas(_) => schemas_builder().schema(),
        Metadata::Tables(command) => tables_builder(command.include_schema).schema(),
        Metadata::TableTypes => CommandGetTableTypes {}.into_builder().schema(),
        Metadata::SqlInfo(_) => info::schema(),
        Metadata::XdbcTypeInfo(_) => types::schema(),
        Metadata::PrimaryKeys(_) => primary_keys(),
        Metadata::ExportedKeys(_) | Metadata::ImportedKeys(_) | Metadata::CrossReference(_) => {
            foreign_keys()
        }
    }
}

/// The table that answers `partner`, sealed.
///
/// PRIVACY: the one caller of [`seal::metadata`], which no policy stands before; [`table`] makes tables
/// of plans and constants alone.
///
/// # Errors
/// Those of [`table`].
pub async fn stream(
    flights: &Flights,
    partner: &str,
    asked: &Metadata,
    format: Format,
) -> Result<SealedStream> {
    seal::metadata(table(flights, partner, asked).await?, format)
}

/// The table that answers `partner`. It may look at files, so the call's record is to be open.
///
/// # Errors
/// [`Code::Internal`] when the table cannot be built.
pub async fn table(flights: &Flights, partner: &str, asked: &Metadata) -> Result<RecordBatch> {
    let unbuilt = || "a table of metadata cannot be built".to_owned();
    match asked {
        Metadata::Catalogs => {
            let mut builder = GetCatalogsBuilder::new();
            builder.append(CATALOG);
            builder.build().context(Code::Internal, unbuilt)
        }
        Metadata::DbSchemas(command) => schemas(command).context(Code::Internal, unbuilt),
        Metadata::Tables(command) => tables(flights, partner, command).await,
        Metadata::TableTypes => {
            let mut builder = CommandGetTableTypes {}.into_builder();
            builder.append(SYSTEM_TABLE);
            builder.append(TABLE);
            builder.append(VIEW);
            builder.build().context(Code::Internal, unbuilt)
        }
        Metadata::SqlInfo(command) => info::table(&command.info),
        Metadata::XdbcTypeInfo(command) => types::table(command.data_type),
        // No policy knows of keys; a pseudonym that is unique is so by chance.
        Metadata::PrimaryKeys(_)
        | Metadata::ExportedKeys(_)
        | Metadata::ImportedKeys(_)
        | Metadata::CrossReference(_) => Ok(RecordBatch::new_empty(schema(asked))),
    }
}

fn schemas_builder() -> GetDbSchemasBuilder {
    GetDbSchemasBuilder::new(None::<String>, None::<String>)
}

fn tables_builder(include_schema: bool) -> GetTablesBuilder {
    let none: [String; 0] = [];
    GetTablesBuilder::new(None::<String>, None::<String>, None::<String>, none, include_schema)
}

fn schemas(command: &CommandGetDbSchemas) -> Result<RecordBatch, FlightError> {
    let mut builder = schemas_builder();
    for name in [INFORMATION_SCHEMA, SCHEMA] {
        if is_ours(command.catalog.as_deref())
            && fits(command.db_schema_filter_pattern.as_deref(), name)
        {
            builder.append(CATALOG, name);
        }
    }
    builder.build()
}

/// The tables that `partner` may ask, ordered by schema and name.
///
/// PRIVACY: a table is listed, and described, by the plan that a statement of this partner would get:
/// what they may not read and columns that do not leave are in no plan.
async fn tables(
    flights: &Flights,
    partner: &str,
    command: &CommandGetTables,
) -> Result<RecordBatch> {
    let unbuilt = || "the table of tables cannot be built".to_owned();
    let mut builder = tables_builder(command.include_schema);
    let wanted = |schema: &str, kind: &str| {
        is_ours(command.catalog.as_deref())
            && fits(command.db_schema_filter_pattern.as_deref(), schema)
            && (command.table_types.is_empty()
                || command.table_types.iter().any(|wanted| wanted == kind))
    };
    let named = |name: &str| fits(command.table_name_filter_pattern.as_deref(), name);
    if wanted(INFORMATION_SCHEMA, SYSTEM_TABLE) {
        for (name, columns) in system_tables().into_iter().filter(|(name, _)| named(name)) {
            let columns = described(INFORMATION_SCHEMA, name, &columns);
            builder
                .append(CATALOG, INFORMATION_SCHEMA, name, SYSTEM_TABLE, &columns)
                .context(Code::Internal, unbuilt)?;
        }
    }
    let mut listed: Vec<(String, &str, Schema)> = Vec::new();
    let (datasets, views) = (wanted(SCHEMA, TABLE), wanted(SCHEMA, VIEW));
    for policy in flights.all_granted(partner) {
        let itself = datasets && named(&policy.dataset);
        let any_view = views && policy.views.iter().any(|view| named(&view.name));
        if !itself && !any_view {
            continue;
        }
        let (plan, snapshot) = match flights.planned(partner, &policy).await {
            Ok(planned) => planned,
            // One dataset out of order must not hide the others; asked for by name, it says why.
            Err(error) => {
                tracing::error!(
                    dataset = policy.dataset,
                    code = %error.code(),
                    story = error.chain(),
                    "a dataset cannot be listed"
                );
                continue;
            }
        };
        if itself {
            let columns = described(SCHEMA, plan.dataset(), plan.schema());
            let told = told_of(&plan, &policy.description, None);
            let columns = remarked(columns.with_metadata(told), &plan);
            listed.push((policy.dataset.clone(), TABLE, columns));
        }
        if any_view {
            let view = View { plan: plan.clone(), snapshot };
            let all = flights.engine.describe(view).await?;
            for view in all.into_iter().filter(|view| named(&view.name)) {
                let columns = described(SCHEMA, &view.name, &view.schema);
                let told = told_of(&plan, &view.description, Some(plan.dataset()));
                listed.push((view.name, VIEW, columns.with_metadata(told)));
            }
        }
    }
    listed.sort_by(|(one, ..), (other, ..)| one.cmp(other));
    for (name, kind, columns) in listed {
        builder.append(CATALOG, SCHEMA, name, kind, &columns).context(Code::Internal, unbuilt)?;
    }
    builder.build().context(Code::Internal, unbuilt)
}

/// What is told of a dataset or a view as a whole: what it is, and what this partner may ask of it.
fn told_of(plan: &Plan, description: &str, view_of: Option<&str>) -> HashMap<String, String> {
    let (access, group_min) = match plan.access() {
        Access::Rows => ("rows", None),
        Access::Aggregates { group_min } => ("aggregates", Some(group_min.to_string())),
        Access::Dp(_) => ("dp", None),
    };
    let description = Some(description.to_owned()).filter(|words| !words.is_empty());
    [
        ("veilflight.access", Some(access.to_owned())),
        ("veilflight.group_min", group_min),
        ("veilflight.description", description),
        ("veilflight.view_of", view_of.map(str::to_owned)),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name.to_owned(), value?)))
    .collect()
}

/// Each column with what was done to it in words, where clients look for a comment.
fn remarked(columns: Schema, plan: &Plan) -> Schema {
    let fields: Vec<FieldRef> = columns
        .fields()
        .iter()
        .zip(plan.columns())
        .map(|(field, column)| {
            let mut metadata = field.metadata().clone();
            let does = column.rule.transform.spec().does.to_owned();
            metadata.insert("ARROW:FLIGHT:SQL:REMARKS".to_owned(), does);
            Arc::new(field.as_ref().clone().with_metadata(metadata))
        })
        .collect();
    Schema::new_with_metadata(fields, columns.metadata)
}

/// A table's columns with what Flight SQL's clients look for beside our own metadata.
fn described(schema: &str, table: &str, columns: &Schema) -> Schema {
    let fields: Vec<FieldRef> = columns
        .fields()
        .iter()
        .map(|field| {
            let mut metadata = field.metadata().clone();
            metadata.extend(flight_sql(schema, table, field));
            Arc::new(field.as_ref().clone().with_metadata(metadata))
        })
        .collect();
    Schema::new_with_metadata(fields, columns.metadata().clone())
}

fn flight_sql(schema: &str, table: &str, field: &Field) -> HashMap<String, String> {
    let kind = field.data_type();
    let text = matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    let (precision, scale) = types::precision_and_scale(kind);
    let flag = |flag: bool| Some(if flag { "1" } else { "0" }.to_owned());
    [
        ("CATALOG_NAME", Some(CATALOG.to_owned())),
        ("DB_SCHEMA_NAME", Some(schema.to_owned())),
        ("TABLE_NAME", Some(table.to_owned())),
        ("TYPE_NAME", Some(types::name(kind).to_owned())),
        ("PRECISION", precision.map(|precision| precision.to_string())),
        ("SCALE", scale.map(|scale| scale.to_string())),
        ("IS_AUTO_INCREMENT", flag(false)),
        ("IS_CASE_SENSITIVE", flag(text)),
        ("IS_READ_ONLY", flag(true)),
        ("IS_SEARCHABLE", flag(true)),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((format!("ARROW:FLIGHT:SQL:{name}"), value?)))
    .collect()
}

/// Whether a filter lets our one catalogue through. An empty name means what has no catalogue.
fn is_ours(catalog: Option<&str>) -> bool {
    catalog.is_none_or(|catalog| catalog == CATALOG)
}

/// Whether a name fits a filter's pattern.
fn fits(pattern: Option<&str>, name: &str) -> bool {
    pattern.is_none_or(|pattern| like(pattern, name))
}

/// SQL's `LIKE`: `%` for any characters, `_` for one, and a backslash before a character that stands for
/// itself. Takes no more steps than the pattern's length times the name's.
fn like(pattern: &str, name: &str) -> bool {
    enum Part {
        Any,
        One,
        Same(char),
    }
    let mut parts = Vec::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        parts.push(match c {
            '%' => Part::Any,
            '_' => Part::One,
            '\\' => Part::Same(chars.next().unwrap_or('\\')),
            c => Part::Same(c),
        });
    }
    // What the parts so far leave of the name: `reached[n]` when they can end after n characters.
    let name: Vec<char> = name.chars().collect();
    let mut reached = vec![false; name.len() + 1];
    if let Some(first) = reached.first_mut() {
        *first = true;
    }
    for part in parts {
        reached = match part {
            Part::Any => reached
                .into_iter()
                .scan(false, |before, here| {
                    *before |= here;
                    Some(*before)
                })
                .collect(),
            Part::One | Part::Same(_) => {
                let fits = |c: &char| !matches!(part, Part::Same(same) if same != *c);
                let moved = reached.iter().zip(&name).map(|(here, c)| *here && fits(c));
                std::iter::once(false).chain(moved).collect()
            }
        };
    }
    reached.last().copied().unwrap_or(false)
}

fn utf8(name: &str, nullable: bool) -> Field {
    Field::new(name, DataType::Utf8, nullable)
}

fn primary_keys() -> SchemaRef {
    Arc::new(Schema::new(vec![
        utf8("catalog_name", true),
        utf8("db_schema_name", true),
        utf8("table_name", false),
        utf8("column_name", false),
        utf8("key_name", true),
        Field::new("key_sequence", DataType::Int32, false),
    ]))
}

fn foreign_keys() -> SchemaRef {
    Arc::new(Schema::new(vec![
        utf8("pk_catalog_name", true),
        utf8("pk_db_schema_name", true),
        utf8("pk_table_name", false),
        utf8("pk_column_name", false),
        utf8("fk_catalog_name", true),
        utf8("fk_db_schema_name", true),
        utf8("fk_table_name", false),
        utf8("fk_column_name", false),
        Field::new("key_sequence", DataType::Int32, false),
        utf8("fk_key_name", true),
        utf8("pk_key_name", true),
        Field::new("update_rule", DataType::UInt8, false),
        Field::new("delete_rule", DataType::UInt8, false),
    ]))
}

/// The schema whose tables describe the catalogue.
pub const INFORMATION_SCHEMA: &str = "information_schema";
/// What a dataset is to a client. It is a view of its policy's output, but there is no table behind it that
/// anyone could ask, and clients exist that list tables and no views (Spark's JDBC catalogue, for one).
pub const TABLE: &str = "TABLE";
/// What a view of a policy is.
pub const VIEW: &str = "VIEW";
/// What a table of `information_schema` is: not among those that clients show by default.
pub const SYSTEM_TABLE: &str = "SYSTEM TABLE";

/// The tables of `information_schema`, by name, as statements see them.
fn system_tables() -> Vec<(&'static str, Schema)> {
    vec![
        (
            "columns",
            Schema::new(vec![
                utf8("table_catalog", false),
                utf8("table_schema", false),
                utf8("table_name", false),
                utf8("column_name", false),
                Field::new("ordinal_position", DataType::Int32, false),
                utf8("column_default", true),
                utf8("is_nullable", false),
                utf8("data_type", false),
                utf8("veilflight.protection", true),
            ]),
        ),
        (
            "schemata",
            Schema::new(vec![
                utf8("catalog_name", false),
                utf8("schema_name", false),
                utf8("schema_owner", true),
            ]),
        ),
        (
            "tables",
            Schema::new(vec![
                utf8("table_catalog", false),
                utf8("table_schema", false),
                utf8("table_name", false),
                utf8("table_type", false),
                utf8("table_comment", true),
            ]),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `name type` of each field, with `not null` where nulls are not allowed.
    fn fields(schema: &Schema) -> Vec<String> {
        let field = |field: &FieldRef| {
            let null = if field.is_nullable() { "" } else { " not null" };
            format!("{} {}{null}", field.name(), field.data_type())
        };
        schema.fields().iter().map(field).collect()
    }

    #[test]
    fn schemas_are_those_of_the_specification() {
        assert_eq!(fields(&schema(&Metadata::Catalogs)), ["catalog_name Utf8 not null"]);
        assert_eq!(
            fields(&schema(&Metadata::DbSchemas(CommandGetDbSchemas::default()))),
            ["catalog_name Utf8", "db_schema_name Utf8 not null"]
        );
        let mut command = CommandGetTables::default();
        let mut expected = vec![
            "catalog_name Utf8",
            "db_schema_name Utf8",
            "table_name Utf8 not null",
            "table_type Utf8 not null",
        ];
        assert_eq!(fields(&schema(&Metadata::Tables(command.clone()))), expected);
        command.include_schema = true;
        expected.push("table_schema Binary not null");
        assert_eq!(fields(&schema(&Metadata::Tables(command))), expected);
        assert_eq!(fields(&schema(&Metadata::TableTypes)), ["table_type Utf8 not null"]);
        assert_eq!(
            fields(&schema(&Metadata::PrimaryKeys(CommandGetPrimaryKeys::default()))),
            [
                "catalog_name Utf8",
                "db_schema_name Utf8",
                "table_name Utf8 not null",
                "column_name Utf8 not null",
                "key_name Utf8",
                "key_sequence Int32 not null",
            ]
        );
        let expected = [
            "pk_catalog_name Utf8",
            "pk_db_schema_name Utf8",
            "pk_table_name Utf8 not null",
            "pk_column_name Utf8 not null",
            "fk_catalog_name Utf8",
            "fk_db_schema_name Utf8",
            "fk_table_name Utf8 not null",
            "fk_column_name Utf8 not null",
            "key_sequence Int32 not null",
            "fk_key_name Utf8",
            "pk_key_name Utf8",
            "update_rule UInt8 not null",
            "delete_rule UInt8 not null",
        ];
        for asked in [
            Metadata::ExportedKeys(CommandGetExportedKeys::default()),
            Metadata::ImportedKeys(CommandGetImportedKeys::default()),
            Metadata::CrossReference(CommandGetCrossReference::default()),
        ] {
            assert_eq!(fields(&schema(&asked)), expected);
        }
        let infos = schema(&Metadata::SqlInfo(CommandGetSqlInfo::default()));
        assert_eq!(infos.field(0), &Field::new("info_name", DataType::UInt32, false));
        let DataType::Union(values, arrow::datatypes::UnionMode::Dense) =
            infos.field(1).data_type()
        else {
            panic!("{infos:?}")
        };
        let names: Vec<&str> = values.iter().map(|(_, field)| field.name().as_str()).collect();
        assert_eq!(
            names,
            [
                "string_value",
                "bool_value",
                "bigint_value",
                "int32_bitmask",
                "string_list",
                "int32_to_int32_list_map",
            ]
        );
        assert!(!infos.field(1).is_nullable());
    }

    #[test]
    fn types_have_the_columns_of_the_specification() {
        let asked = Metadata::XdbcTypeInfo(CommandGetXdbcTypeInfo::default());
        assert_eq!(
            fields(&schema(&asked)),
            [
                "type_name Utf8 not null",
                "data_type Int32 not null",
                "column_size Int32",
                "literal_prefix Utf8",
                "literal_suffix Utf8",
                "create_params List(non-null Utf8)",
                "nullable Int32 not null",
                "case_sensitive Boolean not null",
                "searchable Int32 not null",
                "unsigned_attribute Boolean",
                "fixed_prec_scale Boolean not null",
                "auto_increment Boolean",
                "local_type_name Utf8",
                "minimum_scale Int32",
                "maximum_scale Int32",
                "sql_data_type Int32 not null",
                "datetime_subcode Int32",
                "num_prec_radix Int32",
                "interval_precision Int32",
            ]
        );
    }

    #[test]
    fn patterns_are_those_of_sql() {
        for (pattern, name, expected) in [
            ("", "", true),
            ("", "jobs", false),
            ("%", "", true),
            ("%", "jobs", true),
            ("jobs", "jobs", true),
            ("Jobs", "jobs", false),
            ("j%", "jobs", true),
            ("%b%", "jobs", true),
            ("%o_s", "jobs", true),
            ("____", "jobs", true),
            ("___", "jobs", false),
            ("%s_", "jobs", false),
            ("a_b", "a_b", true),
            ("a_b", "axb", true),
            ("a\\_b", "axb", false),
            ("a\\_b", "a_b", true),
            ("100\\%", "100%", true),
            ("100\\%", "1000", false),
            ("a\\", "a\\", true),
            ("%%_%%", "é", true),
        ] {
            assert_eq!(like(pattern, name), expected, "{pattern} {name}");
        }
        // What makes backtracking matchers slow.
        assert!(!like(&"%a".repeat(2_000), &"a".repeat(128)));
    }

    #[test]
    fn an_empty_catalogue_is_none_and_ours_has_two_schemas() {
        let found = |catalog: Option<&str>, pattern: Option<&str>| {
            let command = CommandGetDbSchemas {
                catalog: catalog.map(str::to_owned),
                db_schema_filter_pattern: pattern.map(str::to_owned),
            };
            schemas(&command).unwrap().num_rows()
        };
        assert_eq!(found(None, None), 2);
        assert_eq!(found(Some("veilflight"), Some("%")), 2);
        assert_eq!(found(Some("veilflight"), Some("pub%")), 1);
        assert_eq!(found(Some(""), None), 0);
        assert_eq!(found(Some("veil%"), None), 0);
    }

    /// What [`like`] says, from the definition.
    fn plainly(pattern: &[char], name: &[char]) -> bool {
        match (pattern, name) {
            ([], name) => name.is_empty(),
            (['%', rest @ ..], name) => (0..=name.len()).any(|skip| plainly(rest, &name[skip..])),
            (['_', rest @ ..], [_, tail @ ..]) => plainly(rest, tail),
            (['\\', same, rest @ ..], [c, tail @ ..]) | ([same, rest @ ..], [c, tail @ ..]) => {
                same == c && plainly(rest, tail)
            }
            (_, []) => false,
        }
    }

    proptest! {
        #[test]
        fn a_pattern_fits_as_its_definition_says(
            pattern in "[ab%_\\\\]{0,8}", name in "[ab%_\\\\]{0,8}",
        ) {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(like(&pattern, &name), plainly(&chars(&pattern), &chars(&name)));
        }
    }
}
