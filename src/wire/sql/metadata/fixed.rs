//! Schemas that are the same for every partner: keys, and the tables of `information_schema`. Holds no row.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

fn utf8(name: &str, nullable: bool) -> Field {
    Field::new(name, DataType::Utf8, nullable)
}

pub(super) fn primary_keys() -> SchemaRef {
    Arc::new(Schema::new(vec![
        utf8("catalog_name", true),
        utf8("db_schema_name", true),
        utf8("table_name", false),
        utf8("column_name", false),
        utf8("key_name", true),
        Field::new("key_sequence", DataType::Int32, false),
    ]))
}

pub(super) fn foreign_keys() -> SchemaRef {
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

/// The tables of `information_schema`, by name, as statements see them.
pub(super) fn system_tables() -> Vec<(&'static str, Schema)> {
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
