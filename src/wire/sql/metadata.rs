//! The tables that describe a partner's catalogue, as clients ask for them: catalogues, schemas, tables
//! with their columns, keys. Made from policies' plans and constants, never from rows.
//!
//! Tables leave through `seal::metadata`, always in the default format: drivers read them themselves, and
//! look for plain texts whatever the session chose for its statements.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
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

mod described;
mod fixed;
mod pattern;

use described::{described, remarked, told_of, told_of_public};
use fixed::{foreign_keys, primary_keys, system_tables};
use pattern::like;

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
        Metadata::DbSchemas(command) => {
            let granted = flights.all_granted(partner);
            let public = granted.iter().filter(|policy| !policy.public_tables.is_empty());
            let datasets: Vec<&str> = public.map(|policy| policy.dataset.as_str()).collect();
            schemas(command, &datasets).context(Code::Internal, unbuilt)
        }
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

/// The schemas: those of every server, and of each dataset with public tables its own.
fn schemas(command: &CommandGetDbSchemas, datasets: &[&str]) -> Result<RecordBatch, FlightError> {
    let mut builder = schemas_builder();
    for name in [INFORMATION_SCHEMA, SCHEMA].iter().chain(datasets) {
        if is_ours(command.catalog.as_deref())
            && fits(command.db_schema_filter_pattern.as_deref(), name)
        {
            builder.append(CATALOG, *name);
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
    for policy in flights.all_granted(partner) {
        let any = policy.public_tables.iter().any(|table| named(&table.name));
        if !any || !wanted(&policy.dataset, TABLE) {
            continue;
        }
        let (engine, of) = (Arc::clone(&flights.engine), Arc::clone(&policy));
        let look = tokio::task::spawn_blocking(move || engine.public_tables(&of));
        for public in look.await.context(Code::Internal, unbuilt)? {
            if !named(&public.name) {
                continue;
            }
            let columns = described(&policy.dataset, &public.name, &public.schema);
            let columns = columns.with_metadata(told_of_public(&public.description));
            builder
                .append(CATALOG, &policy.dataset, &public.name, TABLE, &columns)
                .context(Code::Internal, unbuilt)?;
        }
    }
    listed.sort_by(|(one, ..), (other, ..)| one.cmp(other));
    for (name, kind, columns) in listed {
        builder.append(CATALOG, SCHEMA, name, kind, &columns).context(Code::Internal, unbuilt)?;
    }
    builder.build().context(Code::Internal, unbuilt)
}

/// Whether a filter lets our one catalogue through. An empty name means what has no catalogue.
fn is_ours(catalog: Option<&str>) -> bool {
    catalog.is_none_or(|catalog| catalog == CATALOG)
}

/// Whether a name fits a filter's pattern.
fn fits(pattern: Option<&str>, name: &str) -> bool {
    pattern.is_none_or(|pattern| like(pattern, name))
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

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, Field, FieldRef};

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
    fn an_empty_catalogue_is_none_and_ours_has_two_schemas() {
        let found = |catalog: Option<&str>, pattern: Option<&str>| {
            let command = CommandGetDbSchemas {
                catalog: catalog.map(str::to_owned),
                db_schema_filter_pattern: pattern.map(str::to_owned),
            };
            schemas(&command, &[]).unwrap().num_rows()
        };
        assert_eq!(found(None, None), 2);
        assert_eq!(found(Some("veilflight"), Some("%")), 2);
        assert_eq!(found(Some("veilflight"), Some("pub%")), 1);
        assert_eq!(found(Some(""), None), 0);
        assert_eq!(found(Some("veil%"), None), 0);
    }
}
