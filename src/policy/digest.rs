//! The digest of a policy: SHA-256 over its meaning, written in one way. Comments, blanks, quotes and
//! the order of keys leave it as it is; anything that changes what may leave changes it, the order of
//! the columns too, since the stream has that order. The file's own path is no part of it.

use std::path::Path;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::args::{Kind, Value};
use super::load::leaves;
use super::privacy::Privacy;
use super::public::PublicTable;
use super::release::{Distance, Estimator, HierarchyRule, Method, Model, Objective, ReleaseRules};
use super::{Access, Class, FieldType, Grant, Limits, Linkage, Nulls, Policy, Rule, Source, View};

/// The digest in lower-case hexadecimal. Files that rules name are read and hashed along.
pub(super) fn digest(policy: &Policy) -> String {
    let mut writer = Writer(Sha256::new());
    writer.text("veilflight.policy/1");
    writer.text(&policy.dataset);
    writer.text(&policy.description);
    writer.source(&policy.source);
    writer.text(match policy.linkage {
        Linkage::PerPartner => "per_partner",
        Linkage::Shared => "shared",
    });
    writer.option(policy.rows.as_deref());
    writer.option(policy.unit.as_deref());
    writer.text(nulls(policy.nulls));
    writer.option(policy.epoch.map(|epoch| epoch.to_string()).as_deref());
    writer.count(policy.columns.len());
    for column in &policy.columns {
        writer.text(&column.name);
        writer.option(column.class.map(class));
        writer.rule(&column.rule, policy.folder());
    }
    match &policy.release {
        None => writer.option(None),
        Some(release) => {
            writer.option(Some(release.method.name()));
            writer.release(release, policy.folder());
            // No part of what decides a release: to allow another takes none out of service.
            writer.text(if release.dangerous_rerelease { "dangerous" } else { "once" });
        }
    }
    let mut grants: Vec<String> = policy.grants.iter().map(grant).collect();
    grants.sort();
    writer.texts(&grants);
    // Without views nothing is written, so digests of old stay as they were.
    if !policy.views.is_empty() {
        writer.text("views");
        writer.count(policy.views.len());
        for View { name, description, sql } in &policy.views {
            writer.text(name);
            writer.text(description);
            writer.text(sql);
        }
    }
    if let Some(Privacy { accounting, cap }) = policy.privacy {
        writer.text("privacy");
        writer.text(accounting.as_str());
        writer.text(&cap.epsilon.to_string());
        writer.text(&cap.delta.to_string());
    }
    // They leave by themselves: partners are told them.
    if let Some(numbers) = policy.public_numbers {
        writer.text("public_numbers");
        for number in [numbers.units, numbers.rows, numbers.largest] {
            writer.option(number.map(|number| number.to_string()).as_deref());
        }
        if let Some(rows) = numbers.smallest_group {
            writer.text("smallest_group");
            writer.text(&rows.to_string());
        }
    }
    if !policy.key_files.is_empty() {
        writer.text("keys");
        writer.count(policy.key_files.len());
        for path in &policy.key_files {
            writer.text(path);
            writer.option(file(&policy.folder().join(path)).as_deref());
        }
    }
    // The contents as they were loaded, which what is joined must have: see `public::PublicTable`.
    if !policy.public_tables.is_empty() {
        writer.text("public_tables");
        writer.count(policy.public_tables.len());
        for PublicTable { name, path, content } in &policy.public_tables {
            writer.text(name);
            writer.text(path);
            writer.text(content);
        }
    }
    HEXLOWER.encode(&writer.0.finalize())
}

/// What decides a release: see [`Policy::release_digest`].
pub(super) fn release(policy: &Policy) -> Option<String> {
    let rules = policy.release.as_ref()?;
    let mut writer = Writer(Sha256::new());
    writer.text("veilflight.release/1");
    writer.text(&policy.dataset);
    writer.source(&policy.source);
    writer.option(policy.rows.as_deref());
    writer.text(nulls(policy.nulls));
    let sensitive = rules.sensitive();
    for column in &policy.columns {
        let rule = &column.rule;
        let counted = rules.is_quasi(&column.name) || sensitive.contains(&column.name.as_str());
        // What the unit's rule calls equal is one person, whether it leaves or not.
        let unit = rules.unit.as_ref() == Some(&column.name);
        if !counted && !unit && !leaves(rule) {
            continue;
        }
        writer.text(&column.name);
        if counted || unit {
            writer.rule(rule, policy.folder());
        } else {
            // Stored raw, and with it what its rule reads of others: to be served by any rule.
            writer.text("served by row");
            writer.texts(&rule.transform.reads(&rule.args));
            writer.texts(&rule.transform.learns_from(&rule.args));
        }
    }
    writer.release(rules, policy.folder());
    Some(HEXLOWER.encode(&writer.0.finalize()))
}

fn file(path: &Path) -> Option<String> {
    std::fs::read(path).ok().map(|bytes| HEXLOWER.encode(&Sha256::digest(bytes)))
}

fn grant(grant: &Grant) -> String {
    let mut writer = Writer(Sha256::new());
    writer.text(&grant.partner);
    writer.option(grant.until.map(|until| until.to_string()).as_deref());
    match &grant.access {
        Access::Rows => writer.text("rows"),
        Access::Aggregates { group_min } => {
            writer.text("aggregates");
            writer.text(&group_min.to_string());
        }
        Access::Dp(dp) => {
            writer.text("dp");
            writer.text(&dp.total.epsilon.to_string());
            writer.text(&dp.total.delta.to_string());
            writer.text(&dp.unit);
            writer.text(&dp.groups_max.to_string());
            writer.text(&dp.rows_max.to_string());
            writer.count(dp.bounds.len());
            for (column, bounds) in &dp.bounds {
                writer.text(column);
                writer.number(bounds.low);
                writer.number(bounds.high);
                writer.number(bounds.step);
            }
            writer.text(&dp.query.epsilon.to_string());
            writer.text(&dp.query.delta.to_string());
            writer.count(dp.keys.len());
            for (column, values) in &dp.keys {
                writer.text(column);
                writer.texts(values);
            }
            if !dp.null_as.is_empty() {
                writer.text("null_as");
                writer.count(dp.null_as.len());
                for (column, value) in &dp.null_as {
                    writer.text(column);
                    writer.number(*value);
                }
            }
        }
    }
    // How much may leave is a part of what may leave: an auditor who compares digests sees it, and tickets
    // of the old limits are stale. Without limits nothing is written, so digests of old stay as they were.
    let Limits { rows_day, bytes_day, queries, seconds } = grant.limits;
    if grant.limits != Limits::default() {
        writer.text("limits");
        let queries = queries.map(|queries| queries as u64);
        for limit in [rows_day, bytes_day, queries, seconds] {
            writer.option(limit.map(|limit| limit.to_string()).as_deref());
        }
    }
    HEXLOWER.encode(&writer.0.finalize())
}

const fn nulls(nulls: Nulls) -> &'static str {
    match nulls {
        Nulls::Keep => "keep",
        Nulls::Token => "token",
        Nulls::SuppressRow => "suppress_row",
    }
}

const fn class(class: Class) -> &'static str {
    match class {
        Class::Identifier => "identifier",
        Class::Quasi => "quasi",
        Class::Sensitive => "sensitive",
        Class::Measure => "measure",
        Class::Text => "text",
    }
}

const fn field_type(field_type: FieldType) -> &'static str {
    match field_type {
        FieldType::Text => "text",
        FieldType::Integer => "integer",
        FieldType::Number => "number",
        FieldType::Flag => "flag",
        FieldType::Date => "date",
        FieldType::Timestamp => "timestamp",
    }
}

/// Writes values so that no two lists of values give the same bytes: each with its length in front.
struct Writer(Sha256);

impl Writer {
    fn count(&mut self, count: usize) {
        self.0.update((count as u64).to_be_bytes());
    }

    fn text(&mut self, text: &str) {
        self.count(text.len());
        self.0.update(text.as_bytes());
    }

    fn option(&mut self, text: Option<&str>) {
        match text {
            None => self.0.update([0]),
            Some(text) => {
                self.0.update([1]);
                self.text(text);
            }
        }
    }

    fn texts(&mut self, texts: &[String]) {
        self.count(texts.len());
        for text in texts {
            self.text(text);
        }
    }

    fn number(&mut self, number: f64) {
        // Minus zero is zero.
        self.0.update((number + 0.0).to_bits().to_be_bytes());
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Flag(flag) => self.text(if *flag { "true" } else { "false" }),
            Value::Integer(integer) => {
                self.text("integer");
                self.text(&integer.to_string());
            }
            Value::Number(number) => {
                self.text("number");
                self.number(*number);
            }
            Value::Text(text) => {
                self.text("text");
                self.text(text);
            }
            Value::Date(date) => {
                self.text("date");
                self.text(&date.to_string());
            }
            Value::Numbers(numbers) => {
                self.text("numbers");
                self.count(numbers.len());
                for number in numbers {
                    self.number(*number);
                }
            }
            Value::Texts(texts) => {
                self.text("texts");
                self.texts(texts);
            }
        }
    }

    /// A column's rule, with the content of files that it names.
    fn rule(&mut self, rule: &Rule, folder: &Path) {
        let spec = rule.transform.spec();
        self.text(&spec.name());
        self.count(rule.args.iter().count());
        for (name, value) in rule.args.iter() {
            self.text(name);
            self.value(value);
            let path =
                spec.params.iter().any(|param| param.name == name && param.kind == Kind::Path);
            if path && let Value::Text(path) = value {
                self.option(file(&folder.join(path)).as_deref());
            }
        }
    }

    fn release(&mut self, rules: &ReleaseRules, folder: &Path) {
        self.count(rules.quasi_identifiers.len());
        for quasi in &rules.quasi_identifiers {
            self.text(&quasi.column);
            self.hierarchy(&quasi.hierarchy, folder);
            self.number(quasi.weight);
        }
        self.count(rules.models.len());
        rules.models.iter().for_each(|model| self.model(model, folder));
        self.method(&rules.method);
        self.number(rules.suppress_max);
        self.option(rules.unit.as_deref());
        match &rules.population {
            None => self.option(None),
            Some(source) => {
                self.option(Some("population"));
                self.source(source);
            }
        }
    }

    fn hierarchy(&mut self, rule: &HierarchyRule, folder: &Path) {
        match rule {
            HierarchyRule::File { path, separator } => {
                self.text("file");
                self.text(path);
                self.text(&separator.to_string());
                self.option(file(&folder.join(path)).as_deref());
            }
            HierarchyRule::Intervals { from, widths } => {
                self.text("intervals");
                self.number(*from);
                self.count(widths.len());
                widths.iter().for_each(|width| self.number(*width));
            }
            HierarchyRule::Time(units) => {
                self.text("time");
                self.texts(units);
            }
            HierarchyRule::Mask(counts) => {
                self.text("mask");
                self.count(counts.len());
                counts.iter().for_each(|count| self.count(*count));
            }
            HierarchyRule::Top => self.text("top"),
        }
    }

    fn model(&mut self, model: &Model, folder: &Path) {
        self.text(model.key());
        self.option(model.column());
        match model {
            Model::KAnonymity { k } | Model::KMap { k } => self.text(&k.to_string()),
            Model::DistinctL { l, .. } => {
                self.text("distinct");
                self.text(&l.to_string());
            }
            Model::EntropyL { l, estimator, .. } => {
                self.text(match estimator {
                    Estimator::Shannon => "shannon",
                    Estimator::Grassberger => "grassberger",
                });
                self.number(*l);
            }
            Model::RecursiveCl { c, l, .. } => {
                self.text("recursive");
                self.number(*c);
                self.text(&l.to_string());
            }
            Model::TCloseness { t, distance, .. } => {
                self.number(*t);
                match distance {
                    Distance::Equal => self.text("equal"),
                    Distance::Ordered => self.text("ordered"),
                    Distance::Hierarchical(rule) => self.hierarchy(rule, folder),
                }
            }
            Model::DeltaPresence { min, max } => {
                self.number(*min);
                self.number(*max);
            }
            Model::BetaLikeness { beta, enhanced, .. } => {
                self.number(*beta);
                self.text(if *enhanced { "enhanced" } else { "basic" });
            }
        }
    }

    fn method(&mut self, method: &Method) {
        self.text(method.name());
        match method {
            Method::Lattice { objective } => self.objective(objective),
            Method::Fixed { levels } => {
                self.count(levels.len());
                for (column, level) in levels {
                    self.text(column);
                    self.text(&level.to_string());
                }
            }
            Method::Mondrian { strict } => self.text(if *strict { "strict" } else { "relaxed" }),
            Method::Microaggregation | Method::LocalSuppression => {}
        }
    }

    fn objective(&mut self, objective: &Objective) {
        self.text(objective.name());
        let flag = |flag: bool| if flag { "monotonic" } else { "plain" };
        match objective {
            Objective::Loss { aggregate, gs_factor } => {
                self.text(aggregate.name());
                self.number(*gs_factor);
            }
            Objective::Entropy { monotonic, gs_factor } => {
                self.text(flag(*monotonic));
                self.number(*gs_factor);
            }
            Objective::Discernibility { monotonic } | Objective::Precision { monotonic } => {
                self.text(flag(*monotonic));
            }
            Objective::ClassSize | Objective::Height => {}
        }
    }

    fn source(&mut self, source: &Source) {
        match source {
            Source::Parquet { paths } => {
                self.text("parquet");
                self.texts(paths);
            }
            Source::Delimited { paths, delimiter, header, quote, nulls, columns } => {
                self.text("delimited");
                self.texts(paths);
                self.text(&delimiter.to_string());
                self.text(&header.to_string());
                self.option(quote.map(|quote| quote.to_string()).as_deref());
                self.texts(nulls);
                self.count(columns.len());
                for (name, kind) in columns {
                    self.text(name);
                    self.text(field_type(*kind));
                }
            }
        }
    }
}
