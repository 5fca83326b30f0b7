//! Reads a policy file and resolves it into a [`Policy`], or says everything that is wrong with it.
//! The only place that makes a [`Policy`]. Does not look at the data: that is [`super::check`].

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::DataType;

use super::privacy::{self, Accounting, DpPlaces};
use super::problem::{Problem, Problems};
use super::raw::{self, RawAccess, RawGrant, RawPolicy, RawView};
use super::read::Spanned;
use super::release::{Beside, ReleasePlaces};
use super::rule::{self, Scope, unknown_column};
use super::yaml::{self, BYTES_MAX};
use super::{Access, Column, Grant, Linkage, Nulls, Policy, Rule, Source, View};
use super::{digest, lint, public, release};
use crate::diagnostic::{Diagnostic, Report, SourceFile, Span, did_you_mean};

/// A policy that may be used, and what its author should still look at.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The policy.
    pub policy: Policy,
    /// Warnings, from the top of the file; none of them depends on the date or on the data.
    pub warnings: Vec<Diagnostic>,
    /// Where things stand in the file, for checks that come later.
    pub places: Places,
}

/// Where things stand in the file.
#[derive(Debug, Clone)]
pub struct Places {
    /// The file.
    pub file: Arc<SourceFile>,
    /// The word `columns`.
    pub columns: Span,
    /// The source.
    pub source: Span,
    /// The row filter, where there is one.
    pub rows: Option<Span>,
    /// Each column's name, in the order of the policy.
    pub names: Vec<Span>,
    /// Each column's transform, in the order of the policy.
    pub rules: Vec<Span>,
    /// Each view's SQL, in the order of the policy.
    pub views: Vec<Span>,
    /// Each grant, in the order of the policy.
    pub grants: Vec<Span>,
    /// What stands in each grant, in the order of the policy, where it is one of differentially private answers.
    pub dp: Vec<Option<DpPlaces>>,
    /// The key `privacy`, where there is one.
    pub privacy: Option<Span>,
    /// Each public table's file, in the order of the policy.
    pub public_tables: Vec<Span>,
    /// The value of `linkage`, where it is written.
    pub linkage: Option<Span>,
    /// The release, where there is one.
    pub release: Option<ReleasePlaces>,
}

/// Reads the policy at `path`.
///
/// # Errors
/// Every problem that keeps the policy from being used, and the warnings beside them.
pub fn load(path: &Path) -> Result<Loaded, Report> {
    let read = File::open(path).and_then(|file| {
        let mut bytes = Vec::new();
        file.take(BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    });
    match read {
        Ok(bytes) => load_bytes(path, &bytes),
        Err(error) => Err(unusable(path, Problem::FileUnreadable, &unreadable(&error))),
    }
}

/// Reads a policy from bytes; `path` names it and is where its relative paths start from.
///
/// # Errors
/// Every problem that keeps the policy from being used, and the warnings beside them.
pub fn load_bytes(path: &Path, bytes: &[u8]) -> Result<Loaded, Report> {
    if bytes.len() > BYTES_MAX {
        return Err(unusable(path, Problem::FileTooLarge, "the file is larger than 1 MiB"));
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => return Err(not_utf8(path, bytes, error.valid_up_to())),
    };
    let file = SourceFile::new(path.display().to_string(), text);
    let mut problems = Problems::new(Arc::clone(&file));
    let loaded = resolve_text(&mut problems, path, text);
    if loaded.is_none() && !problems.any_error() {
        problems.add(Problem::Syntax, None, "the file holds no policy");
    }
    let any_error = problems.any_error();
    let mut found = problems.into_list();
    crate::diagnostic::sort(&mut found);
    match loaded {
        Some(loaded) if !any_error => Ok(Loaded { warnings: found, ..loaded }),
        _ => Err(Report::new(found)
            .unwrap_or_else(|| unusable(path, Problem::Syntax, "the file holds no policy"))),
    }
}

fn unusable(path: &Path, problem: Problem, message: &str) -> Report {
    let file = SourceFile::new(path.display().to_string(), "");
    Diagnostic::new(problem.severity(), problem.code(), &file, None, message).into()
}

/// What keeps a file from being read, in our words.
fn unreadable(error: &std::io::Error) -> String {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::NotFound => "there is no such file".to_owned(),
        ErrorKind::PermissionDenied => "the file may not be read by this user".to_owned(),
        ErrorKind::IsADirectory => "this is a folder, not a file".to_owned(),
        _ => format!("the file cannot be read: {error}"),
    }
}

/// The bytes up to the fault are text, so the place can be shown.
fn not_utf8(path: &Path, bytes: &[u8], valid: usize) -> Report {
    let file =
        SourceFile::new(path.display().to_string(), String::from_utf8_lossy(bytes).into_owned());
    let problem = Problem::NotUtf8;
    let span = Some(Span::new(valid, valid + '\u{fffd}'.len_utf8()));
    let mut diagnostic = Diagnostic::new(
        problem.severity(),
        problem.code(),
        &file,
        span,
        format!("byte {} is not UTF-8", valid + 1),
    );
    diagnostic.help("save the file as UTF-8");
    diagnostic.into()
}

fn resolve_text(problems: &mut Problems, path: &Path, text: &str) -> Option<Loaded> {
    let root = yaml::parse(text, problems)?;
    let raw = raw::read(problems, &root)?;
    let loaded = resolve(problems, path, raw)?;
    if !problems.any_error() {
        lint::lint(problems, &loaded);
    }
    Some(loaded)
}

/// Resolves names and rules; reports what does not fit together.
fn resolve(problems: &mut Problems, path: &Path, raw: RawPolicy) -> Option<Loaded> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let names: Vec<&str> = raw.columns.iter().map(|column| column.name.value.as_str()).collect();
    let scope = Scope { columns: &names, folder };
    if let Some(unit) = &raw.unit {
        known_column(problems, unit, &names);
    }
    let mut columns = Vec::new();
    let mut rule_spans = Vec::new();
    for written in &raw.columns {
        if let Some(rule) = rule::resolve(problems, written, &scope) {
            rule_spans.push(written.verb.as_ref().map_or(written.name.span, |verb| verb.span));
            columns.push(Column {
                name: written.name.value.clone(),
                class: written.class.as_ref().map(|class| class.value),
                rule,
            });
        }
    }
    if columns.len() == raw.columns.len() {
        check_beside(problems, &columns, &rule_spans);
    }
    let beside = Beside { names: &names, columns: &columns, unit: raw.unit.as_ref(), folder };
    let release =
        raw.release.as_ref().and_then(|written| release::resolve(problems, written, &beside));
    let (release, release_places) = release.unzip();
    if columns.len() == raw.columns.len()
        && !columns.is_empty()
        && !columns.iter().any(|column| leaves(&column.rule))
    {
        problems
            .add(Problem::NothingLeaves, raw.columns_span, "no column leaves")
            .help("give at least one column a rule other than `drop`");
    }
    if let Some(source) = &raw.source {
        delimited_columns(problems, source, &raw);
    }
    let views = views(problems, raw.dataset.as_ref(), &raw.views);
    let (dataset, written) = (raw.dataset.as_ref(), &raw.public_tables);
    let public_tables = public::resolve(problems, written, dataset, &views, folder);
    let privacy = raw.privacy.as_ref().and_then(|written| privacy::privacy(problems, written));
    let public_numbers = raw.numbers.as_ref().map(|written| privacy::numbers(problems, written));
    let beside = privacy::Beside {
        names: &names,
        columns: &columns,
        unit: raw.unit.as_ref(),
        release: raw.release.is_some(),
        accounting: raw.privacy.as_ref().map_or(Accounting::Pure, |written| written.accounting),
        folder,
    };
    let (mut grants, mut dp_places, mut key_files) = (Vec::new(), Vec::new(), Vec::new());
    for written in &raw.grants {
        let Some((grant, places, files)) = grant(problems, written, &beside) else { continue };
        grants.push(grant);
        dp_places.push(places);
        key_files.extend(files);
    }
    key_files.sort();
    key_files.dedup();
    grants_together(problems, &raw.grants);
    if let Some(written) = &raw.numbers {
        let noisy = grants.iter().filter_map(|grant| match &grant.access {
            Access::Dp(dp) => Some(dp),
            Access::Rows | Access::Aggregates { .. } => None,
        });
        privacy::of_one_unit(problems, written, noisy);
    }
    if problems.any_error() {
        return None;
    }
    let places = Places {
        file: Arc::clone(problems.file()),
        columns: raw.columns_span,
        source: raw.source.as_ref().map_or(raw.columns_span, |source| source.span),
        rows: raw.rows.as_ref().map(|rows| rows.span),
        names: raw.columns.iter().map(|column| column.name.span).collect(),
        rules: rule_spans,
        views: raw.views.iter().filter_map(|view| Some(view.sql.as_ref()?.span)).collect(),
        grants: raw.grants.iter().map(|grant| grant.span).collect(),
        dp: dp_places,
        privacy: raw.privacy.as_ref().map(|privacy| privacy.span),
        public_tables: public::places(&raw.public_tables),
        linkage: raw.linkage.as_ref().map(|linkage| linkage.span),
        release: release_places,
    };
    let mut policy = Policy {
        dataset: raw.dataset?.value,
        description: raw.description.map(|text| text.value).unwrap_or_default(),
        source: raw.source?.source,
        linkage: raw.linkage.map_or(Linkage::PerPartner, |linkage| linkage.value),
        rows: raw.rows.map(|rows| rows.value),
        unit: raw.unit.map(|unit| unit.value),
        nulls: raw.nulls.map_or(Nulls::Keep, |nulls| nulls.value),
        epoch: raw.epoch.and_then(|epoch| u32::try_from(epoch.value).ok()),
        columns,
        release,
        views,
        privacy,
        public_tables,
        public_numbers,
        grants,
        key_files,
        digest: String::new(),
        path: path.to_owned(),
    };
    policy.digest = digest::digest(&policy);
    Some(Loaded { policy, warnings: Vec::new(), places })
}

/// What rules say of each other.
fn check_beside(problems: &mut Problems, columns: &[Column], rule_spans: &[Span]) {
    for (column, span) in columns.iter().zip(rule_spans) {
        let Rule { transform, args } = &column.rule;
        for refusal in transform.check_beside(args, &column.name, columns) {
            let problem = problems.add(Problem::Refused, *span, refusal.message);
            if let Some(help) = refusal.help {
                problem.help(help);
            }
        }
    }
}

/// Whether a column under this rule leaves at all. A rule that leaves a column out does so for every
/// type, so any type may be asked.
pub fn leaves(rule: &Rule) -> bool {
    !matches!(rule.transform.output(&rule.args, &DataType::Utf8), Ok(None))
}

fn known_column(problems: &mut Problems, name: &Spanned<String>, names: &[&str]) -> bool {
    let known = names.contains(&name.value.as_str());
    if !known {
        unknown_column(problems, name, names);
    }
    known
}

/// Delimited text is typed by the policy, so its columns and the rules can be compared at once.
fn delimited_columns(problems: &mut Problems, source: &raw::RawSource, raw: &RawPolicy) {
    let Source::Delimited { .. } = &source.source else { return };
    let ruled: Vec<&str> = raw.columns.iter().map(|column| column.name.value.as_str()).collect();
    let typed: Vec<&str> = source.columns.iter().map(|name| name.value.as_str()).collect();
    for name in source.columns.iter().filter(|name| !ruled.contains(&name.value.as_str())) {
        let problem = problems.add(
            Problem::ColumnWithoutRule,
            name.span,
            format!("column `{}` has no rule", name.value),
        );
        match did_you_mean(&name.value, ruled.iter().copied()) {
            Some(near) if !typed.contains(&near) => {
                problem.help(format!("there is a rule for `{near}`; are they the same?"))
            }
            _ => problem.help("add it under `columns`, even if the rule is `drop`"),
        };
    }
    for column in raw.columns.iter().filter(|c| !typed.contains(&c.name.value.as_str())) {
        let problem = problems.add(
            Problem::RuleWithoutColumn,
            column.name.span,
            format!(
                "there is a rule for `{}`, but the source has no such column",
                column.name.value
            ),
        );
        match did_you_mean(&column.name.value, typed.iter().copied()) {
            Some(near) => problem.help(format!("did you mean `{near}`?")),
            None => problem.help("remove the rule, or add the column to `delimited`"),
        };
    }
}

/// A grant, where things of a differentially private one stand, and the files that it names.
fn grant(
    problems: &mut Problems,
    raw: &RawGrant,
    beside: &privacy::Beside<'_>,
) -> Option<(Grant, Option<DpPlaces>, Vec<String>)> {
    let (mut places, mut files) = (None, Vec::new());
    let access = match raw.access.as_ref()? {
        RawAccess::Rows => Access::Rows,
        RawAccess::Aggregates { group_min } => {
            if beside.unit.is_none() {
                problems
                    .add(
                        Problem::MissingKey,
                        raw.span,
                        "a grant with `access: aggregates` needs the policy's key `unit`",
                    )
                    .help("write `unit: column` at the top: the column that tells people apart");
                return None;
            }
            Access::Aggregates { group_min: u64::try_from((*group_min)?).ok()? }
        }
        RawAccess::Dp(dp) => {
            let (grant, at, named) = privacy::grant(problems, dp, raw.span, beside)?;
            (places, files) = (Some(at), named);
            Access::Dp(grant)
        }
    };
    let grant = Grant {
        partner: raw.partner.as_ref()?.value.clone(),
        access,
        until: raw.until.as_ref().map(|until| until.value),
        limits: raw.limits,
    };
    Some((grant, places, files))
}

/// The views. A statement can name each, and the dataset, so each needs a name of its own.
fn views(problems: &mut Problems, dataset: Option<&Spanned<String>>, raw: &[RawView]) -> Vec<View> {
    let mut taken: Vec<&Spanned<String>> = dataset.into_iter().collect();
    let mut views = Vec::new();
    for written in raw {
        let (Some(name), Some(sql)) = (&written.name, &written.sql) else { continue };
        if let Some(first) = taken.iter().find(|other| other.value == name.value) {
            let message = format!("two tables of this policy are called `{}`", name.value);
            problems
                .add(Problem::ViewName, name.span, message)
                .label("again here")
                .other(first.span, "first here")
                .help("the dataset and each view need names of their own");
        }
        taken.push(name);
        views.push(View {
            name: name.value.clone(),
            description: written.description.as_ref().map_or("", |text| &text.value).to_owned(),
            sql: sql.value.clone(),
        });
    }
    views
}

/// Grants begin at once and end on a day, so two of the same kind for one partner always overlap.
fn grants_together(problems: &mut Problems, grants: &[RawGrant]) {
    for (at, later) in grants.iter().enumerate() {
        let (Some(partner), Some(access)) = (&later.partner, &later.access) else { continue };
        for earlier in grants.iter().take(at) {
            let (Some(other), Some(other_access)) = (&earlier.partner, &earlier.access) else {
                continue;
            };
            if other.value != partner.value {
                continue;
            }
            if std::mem::discriminant(access) == std::mem::discriminant(other_access) {
                problems
                    .add(
                        Problem::GrantOverlap,
                        partner.span,
                        format!("`{}` has two grants of the same access", partner.value),
                    )
                    .label("again here")
                    .other(other.span, "first here")
                    .help("keep one of them, with the later `until`");
                continue;
            }
            let allowed = |of: fn(&RawGrant) -> bool| of(later) || of(earlier);
            let (what, word) = match (access, other_access) {
                (RawAccess::Rows, RawAccess::Dp(_)) | (RawAccess::Dp(_), RawAccess::Rows)
                    if !allowed(|grant| grant.dangerous_rows_and_dp) =>
                {
                    ("rows", "dangerous_rows_and_dp")
                }
                (RawAccess::Aggregates { .. }, RawAccess::Dp(_))
                | (RawAccess::Dp(_), RawAccess::Aggregates { .. })
                    if !allowed(|grant| grant.dangerous_aggregates_and_dp) =>
                {
                    ("exact aggregates", "dangerous_aggregates_and_dp")
                }
                _ => continue,
            };
            problems
                .add(
                    Problem::GrantRowsAndDp,
                    partner.span,
                    format!(
                        "`{}` has {what} and differentially private answers of the same table",
                        partner.value
                    ),
                )
                .label("the second grant")
                .other(other.span, "the first grant")
                .help(format!(
                    "noise protects nobody from a partner who has the {what}; remove one, or write \
                     `{word}: true`"
                ));
        }
    }
}
