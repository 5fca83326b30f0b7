//! A statement's text becomes a [`Statement`]: exactly one query, within bounds, whose tables can only be
//! those of the partner's catalogue. Knows no columns and plans nothing; which functions there are is
//! `functions`' business.

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::sql::sqlparser::ast::{
    self, Expr, Ident, ObjectName, ObjectNamePart, Query, Select, SetExpr, TableFactor, Value,
    ValueWithSpan, VisitMut, VisitorMut,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{
    Location, Token, TokenWithSpan, Tokenizer, TokenizerError,
};

use super::groups::{self, SETS_MAX};
use super::{hint, information};
use crate::error::{Code, Error, Result};

/// The name of the only catalogue.
pub(super) const CATALOGUE: &str = "veilflight";
/// The name of the schema that datasets stand in.
pub(super) const SCHEMA: &str = "public";
/// The name of the schema that describes the catalogue.
pub(super) const INFORMATION_SCHEMA: &str = "information_schema";

/// The longest statement, in bytes.
pub(crate) const SQL_BYTES_MAX: usize = 64 * 1024;
/// How deep expressions and subqueries may nest.
const NESTING_MAX: usize = 50;
/// How many operators and keywords a statement may have: each may make a tree of expressions one deeper.
const OPERATORS_MAX: usize = 500;
/// How many tables are read once every use of a `WITH` table is written out.
const SCANS_MAX: u64 = 64;
/// How many items a list of a fixed length may have: a null one takes the room of them all.
const FIXED_ITEMS_MAX: u64 = 4096;
/// How many parameters a statement may have.
pub(super) const PARAMETERS_MAX: usize = 1_000;

/// A statement that was parsed and may be asked: one query, no more.
///
/// INVARIANT: made by [`Statement::parse`] alone. What it holds is a query: it writes nothing, calls no
/// table function, names no file and no table outside `veilflight.public` and
/// `veilflight.information_schema`.
#[derive(Debug, Clone)]
pub struct Statement {
    sql: String,
    query: Arc<Query>,
    tables: Vec<String>,
    information: bool,
    parameters: usize,
    operators: u64,
}

impl Statement {
    /// Parses a statement.
    ///
    /// # Errors
    /// [`Code::SqlInvalid`], [`Code::SqlRefused`], [`Code::Unsupported`].
    pub fn parse(sql: &str) -> Result<Self> {
        if sql.len() > SQL_BYTES_MAX {
            let text =
                format!("a statement may have {SQL_BYTES_MAX} bytes, this one has {}", sql.len());
            return Err(hint::error(Code::SqlRefused, &text));
        }
        let tokens = tokens(sql)?;
        let parameters = placeholders(&tokens)?;
        first_word(&tokens)?;
        let operators = bounded(&tokens)?;
        let mut query = parse(&tokens)?;
        let mut walk = Walk::default();
        if let ControlFlow::Break(error) = query.visit(&mut walk) {
            return Err(*error);
        }
        few_enough(walk.scans)?;
        Ok(Self {
            sql: sql.to_owned(),
            query: query.into(),
            tables: walk.tables,
            information: walk.information,
            parameters,
            operators,
        })
    }

    /// The text.
    pub fn sql(&self) -> &str {
        &self.sql
    }

    /// The names of datasets and views, without the catalogue's and the schema's, each once.
    pub fn tables(&self) -> &[String] {
        &self.tables
    }

    /// Whether `information_schema` is asked; then the views of all granted datasets are needed.
    pub fn reads_information_schema(&self) -> bool {
        self.information
    }

    /// How many parameters there are.
    pub(super) fn parameters(&self) -> usize {
        self.parameters
    }

    /// How many operators and keywords it has, by the measure that bounds them.
    pub(super) fn operators(&self) -> u64 {
        self.operators
    }

    /// The query. Names of tables are quoted and as the catalogue has them: datasets and views with their
    /// schema, tables of `WITH` without one. Parameters are `$1`, `$2`, ...
    pub(super) fn query(&self) -> &Query {
        &self.query
    }
}

/// The sum of `weight` over all tables that a parsed query reads, each use of a shared table written out.
pub(super) fn weighed(query: &Query, weight: &dyn Fn(&str) -> u64) -> Result<u64> {
    let mut walk = Walk { weight: Some(weight), ..Walk::default() };
    match query.clone().visit(&mut walk) {
        ControlFlow::Continue(()) => Ok(walk.scans),
        ControlFlow::Break(error) => Err(*error),
    }
}

/// Refuses what reads too many tables.
pub(super) fn few_enough(scans: u64) -> Result<()> {
    if scans <= SCANS_MAX {
        return Ok(());
    }
    let text = format!("the statement reads more than {SCANS_MAX} tables");
    Err(hint::error(Code::SqlRefused, &text))
}

/// The tokens of a text, without comments and spaces; `?` is numbered.
fn tokens(sql: &str) -> Result<Vec<TokenWithSpan>> {
    let mut tokens = Vec::new();
    let mut questions = 0_usize;
    let number = |mut token: TokenWithSpan| {
        if token.token == Token::Placeholder("?".to_owned()) {
            questions += 1;
            token.token = Token::Placeholder(format!("${questions}"));
        }
        token
    };
    let read = Tokenizer::new(&GenericDialect {}, sql)
        .tokenize_with_location_into_buf_with_mapper(&mut tokens, number);
    if let Err(TokenizerError { location, .. }) = read {
        let text =
            format!("something that begins at {} does not end, or is not SQL", place(location));
        return Err(hint::error(Code::SqlInvalid, &text));
    }
    let numbered = |token: &TokenWithSpan| matches!(&token.token, Token::Placeholder(_));
    let written =
        sql.contains('$') && tokens.iter().filter(|token| numbered(token)).count() > questions;
    if questions > 0 && written {
        return Err(hint::error(
            Code::SqlInvalid,
            "write parameters as `?` or as `$1`, not as both",
        ));
    }
    tokens.retain(|token| !matches!(token.token, Token::Whitespace(_)));
    Ok(tokens)
}

/// The number of parameters.
fn placeholders(tokens: &[TokenWithSpan]) -> Result<usize> {
    let mut most = 0;
    for token in tokens {
        let Token::Placeholder(name) = &token.token else { continue };
        let number = name.strip_prefix('$').and_then(|digits| {
            digits.chars().all(|c| c.is_ascii_digit()).then(|| digits.parse::<usize>().ok())?
        });
        match number {
            Some(number @ 1..=PARAMETERS_MAX) => most = most.max(number),
            _ => {
                let text = format!(
                    "parameters are `?`, or `$1` to `${PARAMETERS_MAX}`; at {} there is `{}`",
                    place(token.span.start),
                    hint::short(name)
                );
                return Err(hint::error(Code::SqlInvalid, &text));
            }
        }
    }
    Ok(most)
}

/// Looks at the first word: what is no query is refused before it is parsed.
fn first_word(tokens: &[TokenWithSpan]) -> Result<()> {
    let mut words = tokens.iter().skip_while(|token| token.token == Token::LParen);
    let Some(first) = words.next() else {
        return Err(hint::error(Code::SqlInvalid, "the statement is empty"));
    };
    let keyword = match &first.token {
        Token::Word(word) if word.quote_style.is_none() => word.value.to_ascii_uppercase(),
        other => return Err(unexpected(other, first.span.start)),
    };
    let word = keyword.as_str();
    match word {
        "SELECT" | "WITH" | "VALUES" => Ok(()),
        "INSERT" | "UPDATE" | "DELETE" | "MERGE" | "COPY" | "TRUNCATE" | "REPLACE" | "UPSERT"
        | "LOAD" | "UNLOAD" | "EXPORT" | "IMPORT" => Err(hint::error(
            Code::Unsupported,
            &format!("nothing can be written here: `{word}` is not offered"),
        )),
        "EXPLAIN" | "ANALYZE" | "ANALYSE" => Err(hint::error(
            Code::SqlRefused,
            &format!("`{word}` is not offered: plans are not shown"),
        )),
        "SET" | "RESET" | "SHOW" | "PRAGMA" | "USE" | "DISCARD" => Err(hint::error(
            Code::SqlRefused,
            &format!(
                "`{word}` is not offered; a session's options are set through Flight's session actions"
            ),
        )),
        "DESCRIBE" | "DESC" => Err(hint::error(
            Code::SqlRefused,
            &format!("`{word}` is not offered; ask information_schema.columns"),
        )),
        "PREPARE" | "EXECUTE" | "DEALLOCATE" => Err(hint::error(
            Code::SqlRefused,
            &format!("`{word}` is not offered; prepare through Flight SQL"),
        )),
        "BEGIN" | "START" | "COMMIT" | "ROLLBACK" | "SAVEPOINT" | "RELEASE" | "END" | "ABORT" => {
            Err(hint::error(
                Code::SqlRefused,
                &format!("`{word}` is not offered: there are no transactions"),
            ))
        }
        "TABLE" | "FROM" => {
            Err(hint::error(Code::SqlRefused, &format!("begin with `SELECT`, not with `{word}`")))
        }
        _ if OTHERS.contains(&word) => Err(hint::error(
            Code::SqlRefused,
            &format!("`{word}` is not offered: a statement is one `SELECT`"),
        )),
        _ => Err(unexpected(&first.token, first.span.start)),
    }
}

/// The name that the parser took for a call without brackets. Some words are functions to it, and names
/// of columns to everybody else.
fn no_call(name: &ObjectName) -> Option<Expr> {
    let names = name.0.iter().map(|part| match part {
        ObjectNamePart::Identifier(name) => Some(name.clone()),
        ObjectNamePart::Function(_) => None,
    });
    let names = names.collect::<Option<Vec<_>>>()?;
    match names.as_slice() {
        [only] if USERS.iter().any(|word| only.value.eq_ignore_ascii_case(word)) => {
            Some(Expr::Identifier(only.clone()))
        }
        [_] => None,
        _ => Some(Expr::CompoundIdentifier(names)),
    }
}

/// What other servers answer with who asks.
const USERS: &[&str] = &["user", "current_user", "session_user", "current_catalog"];

/// First words of statements that other servers answer.
const OTHERS: &[&str] = &[
    "ALTER",
    "ASSERT",
    "ATTACH",
    "CACHE",
    "CALL",
    "CLOSE",
    "COMMENT",
    "CREATE",
    "DECLARE",
    "DENY",
    "DETACH",
    "DROP",
    "FETCH",
    "FLUSH",
    "GRANT",
    "HANDLER",
    "INSTALL",
    "KILL",
    "LIST",
    "LISTEN",
    "LOCK",
    "MSCK",
    "NOTIFY",
    "OPEN",
    "OPTIMIZE",
    "PRINT",
    "RAISE",
    "RAISERROR",
    "REFRESH",
    "REINDEX",
    "REMOVE",
    "RENAME",
    "REVOKE",
    "SUMMARIZE",
    "THROW",
    "UNCACHE",
    "UNLISTEN",
    "UNLOCK",
    "VACUUM",
    "WAITFOR",
];

/// Refuses what would make trees that are too deep to walk.
///
/// INVARIANT: the parser bounds the nesting of brackets itself, but chains (`a OR b OR c`, `SELECT .. UNION
/// SELECT ..`) become trees as deep as they are long. This bounds them before they are made.
fn bounded(tokens: &[TokenWithSpan]) -> Result<u64> {
    let flat = |token: &Token| match token {
        Token::Word(word) => matches!(
            word.keyword,
            Keyword::NoKeyword | Keyword::AS | Keyword::NULL | Keyword::TRUE | Keyword::FALSE
        ),
        Token::Comma
        | Token::Period
        | Token::LParen
        | Token::RParen
        | Token::Number(..)
        | Token::SingleQuotedString(_)
        | Token::Placeholder(_)
        | Token::EOF => true,
        _ => false,
    };
    let deep = tokens.iter().filter(|token| !flat(&token.token)).count();
    if deep > OPERATORS_MAX {
        let text = format!("the statement has more than {OPERATORS_MAX} operators and keywords");
        return Err(hint::error(Code::SqlRefused, &text));
    }
    Ok(u64::try_from(deep).unwrap_or(u64::MAX))
}

fn parse(tokens: &[TokenWithSpan]) -> Result<Box<Query>> {
    let dialect = GenericDialect {};
    let mut parser = Parser::new(&dialect)
        .with_recursion_limit(NESTING_MAX)
        .with_tokens_with_locations(tokens.to_vec());
    let query = parser.parse_query().map_err(|error| syntax(&error, &parser, tokens))?;
    while parser.consume_token(&Token::SemiColon) {}
    let next = parser.peek_token();
    if next.token == Token::EOF {
        return Ok(query);
    }
    if tokens
        .iter()
        .any(|token| token.token == Token::SemiColon && token.span.start < next.span.start)
    {
        return Err(hint::error(Code::SqlRefused, "one statement at a time"));
    }
    Err(unexpected(&next.token, next.span.start))
}

/// A syntax error in words of ours: the parser's text is dropped, only the place in it is used.
fn syntax(error: &ParserError, parser: &Parser<'_>, tokens: &[TokenWithSpan]) -> Error {
    let location = match error {
        ParserError::RecursionLimitExceeded => {
            let text = format!("brackets or subqueries nest deeper than {NESTING_MAX}");
            return hint::error(Code::SqlRefused, &text);
        }
        ParserError::ParserError(text) | ParserError::TokenizerError(text) => located(text),
    };
    let location = location.unwrap_or_else(|| parser.peek_token().span.start);
    match tokens.iter().find(|token| token.span.start == location) {
        Some(token) => unexpected(&token.token, location),
        None if location.line == 0 => hint::error(Code::SqlInvalid, "the statement ends too early"),
        None => hint::error(Code::SqlInvalid, &format!("not SQL at {}", place(location))),
    }
}

/// The place that the parser names last.
fn located(text: &str) -> Option<Location> {
    let (_, place) = text.rsplit_once("at Line: ")?;
    let (line, column) = place.split_once(", Column: ")?;
    let digits: String = column.chars().take_while(char::is_ascii_digit).collect();
    Some(Location { line: line.parse().ok()?, column: digits.parse().ok()? })
}

fn unexpected(token: &Token, location: Location) -> Error {
    let text = match token {
        Token::EOF => "the statement ends too early".to_owned(),
        token => {
            format!("`{}` is not expected at {}", hint::short(&token.to_string()), place(location))
        }
    };
    hint::error(Code::SqlInvalid, &text)
}

fn place(location: Location) -> String {
    format!("line {}, column {}", location.line, location.column)
}

/// Walks the query: refuses what is no plain query, finds tables, and writes their names as the catalogue
/// has them.
#[derive(Default)]
struct Walk<'a> {
    tables: Vec<String>,
    information: bool,
    /// Tables of `WITH` that can be named here, the nearest last, and what each reads.
    shared: Vec<(Ident, u64)>,
    /// What `WITH` of the queries around here held, to be put back.
    around: Vec<(Option<ast::With>, usize)>,
    /// Tables read so far, with every use of a shared table written out.
    scans: u64,
    /// What one use of a dataset or a view counts for; 1 where it is not said.
    weight: Option<&'a dyn Fn(&str) -> u64>,
}

type Flow = ControlFlow<Box<Error>>;

fn refuse(text: &str) -> Flow {
    ControlFlow::Break(Box::new(hint::error(Code::SqlRefused, text)))
}

impl VisitorMut for Walk<'_> {
    type Break = Box<Error>;

    fn pre_visit_query(&mut self, query: &mut Query) -> Flow {
        self.around.push((None, self.shared.len()));
        if let Some(mut with) = query.with.take() {
            if with.recursive {
                return refuse("`WITH RECURSIVE` is not offered: nothing bounds it");
            }
            // Each shared table may name those before it and not itself. They are walked here, once, and
            // kept from the walk that follows.
            for shared in &mut with.cte_tables {
                if shared.from.is_some() {
                    return refuse("`WITH ... FROM` is not offered");
                }
                // INVARIANT: no statement gives a name that begins like those which views are written out with.
                if shared.alias.name.value.contains('\0') {
                    return refuse("a table of `WITH` has a name of letters, digits and signs");
                }
                let before = std::mem::take(&mut self.scans);
                shared.query.visit(self)?;
                let reads = std::mem::replace(&mut self.scans, before);
                self.shared.push((shared.alias.name.clone(), reads));
            }
            if let Some(kept) = self.around.last_mut() {
                kept.0 = Some(with);
            }
        }
        plain_query(query)
    }

    fn post_visit_query(&mut self, query: &mut Query) -> Flow {
        if let Some((with, shared)) = self.around.pop() {
            query.with = with;
            self.shared.truncate(shared);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> Flow {
        plain_select(select)
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> Flow {
        plain_table(factor)
    }

    fn pre_visit_relation(&mut self, name: &mut ObjectName) -> Flow {
        match self.table(name) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(Box::new(error)),
        }
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> Flow {
        match expr {
            Expr::Identifier(name) if name.quote_style.is_none() && name.value.starts_with('@') => {
                refuse("there are no variables")
            }
            Expr::CompoundIdentifier(names)
                if names.first().is_some_and(|name| {
                    name.quote_style.is_none() && name.value.starts_with('@')
                }) =>
            {
                refuse("there are no variables")
            }
            Expr::Function(function) if matches!(function.args, ast::FunctionArguments::None) => {
                if let Some(name) = no_call(&function.name) {
                    *expr = name;
                }
                ControlFlow::Continue(())
            }
            Expr::Cast { data_type, .. } if fixed_items(data_type) > FIXED_ITEMS_MAX => {
                refuse(&format!("a list of a fixed length has at most {FIXED_ITEMS_MAX} items"))
            }
            Expr::MatchAgainst { .. } => refuse("`MATCH ... AGAINST` is not offered"),
            Expr::JsonAccess { .. } => refuse("JSON paths are not offered"),
            Expr::OuterJoin(_) => refuse("`(+)` is not offered; write `LEFT JOIN`"),
            Expr::Prior(_) => refuse("`PRIOR` is not offered"),
            _ => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_value(&mut self, value: &mut ValueWithSpan) -> Flow {
        match &value.value {
            // Numbered when the tokens were read; a name with a colon is made by the parser.
            Value::Placeholder(name) if !name.starts_with('$') => ControlFlow::Break(Box::new(
                hint::error(Code::SqlInvalid, "parameters are `?` or `$1`, `$2`, ..."),
            )),
            _ => ControlFlow::Continue(()),
        }
    }
}

impl Walk<'_> {
    /// Finds what a table's name stands for, and writes it so that no other reading is left.
    fn table(&mut self, name: &mut ObjectName) -> Result<()> {
        let mut parts = Vec::new();
        for part in &name.0 {
            match part {
                ObjectNamePart::Identifier(ident) => parts.push(ident.clone()),
                ObjectNamePart::Function(_) => {
                    return Err(hint::error(Code::SqlRefused, "table functions are not offered"));
                }
            }
        }
        if let [only] = parts.as_slice()
            && let Some((shared, reads)) = self.shared(only)
        {
            self.scans = self.scans.saturating_add(reads);
            *name = quoted(&[&shared]);
            return Ok(());
        }
        let folded: Vec<String> = parts.iter().map(fold).collect();
        let names: Vec<&str> = folded.iter().map(String::as_str).collect();
        let (schema, table) = match names.as_slice() {
            [table] => (SCHEMA, *table),
            [schema, table] | [CATALOGUE, schema, table] => (*schema, *table),
            _ => return Err(unknown_table(name)),
        };
        let weight = self.weight.filter(|_| schema == SCHEMA).map_or(1, |weight| weight(table));
        self.scans = self.scans.saturating_add(weight);
        match schema {
            SCHEMA => {
                if !self.tables.iter().any(|known| known == table) {
                    self.tables.push(table.to_owned());
                }
                *name = quoted(&[SCHEMA, table]);
            }
            INFORMATION_SCHEMA if information::TABLES.contains(&table) => {
                self.information = true;
                *name = quoted(&[INFORMATION_SCHEMA, table]);
            }
            _ => return Err(unknown_table(name)),
        }
        Ok(())
    }

    /// The table of `WITH` that a name stands for: of the nearest query that has it, exactly written first.
    fn shared(&self, name: &Ident) -> Option<(String, u64)> {
        let exact = self.shared.iter().rev().find(|(shared, _)| shared.value == name.value);
        let near = |shared: &Ident| {
            name.quote_style.is_none() && shared.value.eq_ignore_ascii_case(&name.value)
        };
        let found = exact.or_else(|| self.shared.iter().rev().find(|(shared, _)| near(shared)));
        found.map(|(shared, reads)| (shared.value.clone(), *reads))
    }
}

/// How many items one value of a type has at least.
fn fixed_items(kind: &ast::DataType) -> u64 {
    match kind {
        ast::DataType::Array(
            ast::ArrayElemTypeDef::AngleBracket(inner) | ast::ArrayElemTypeDef::Parenthesis(inner),
        ) => fixed_items(inner),
        ast::DataType::Array(ast::ArrayElemTypeDef::SquareBracket(inner, items)) => {
            items.unwrap_or(1).saturating_mul(fixed_items(inner))
        }
        ast::DataType::Struct(fields, _) => {
            fields.iter().map(|f| fixed_items(&f.field_type)).fold(0, u64::saturating_add)
        }
        _ => 1,
    }
}

/// Names of datasets are lower-case, so a name without quotes is too.
fn fold(name: &Ident) -> String {
    match name.quote_style {
        Some(_) => name.value.clone(),
        None => name.value.to_ascii_lowercase(),
    }
}

/// A name in quotes, part by part.
pub(super) fn quoted(names: &[&str]) -> ObjectName {
    ObjectName::from(names.iter().map(|name| Ident::with_quote('"', *name)).collect::<Vec<_>>())
}

/// There is no such table, in the words for a table that the partner may not know.
fn unknown_table(name: &ObjectName) -> Error {
    hint::error(
        Code::SqlInvalid,
        &format!("there is no table `{}`", hint::short(&name.to_string())),
    )
}

/// Refuses clauses around a query that are not answered, or that the planner would pass over in silence.
fn plain_query(query: &Query) -> Flow {
    if query.fetch.is_some() {
        return refuse("`FETCH` is not offered; write `LIMIT`");
    }
    if !query.locks.is_empty() {
        return refuse("`FOR UPDATE` and `FOR SHARE` are not offered: nothing can be locked");
    }
    if query.for_clause.is_some() || query.settings.is_some() || query.format_clause.is_some() {
        return refuse("`FOR`, `SETTINGS` and `FORMAT` are not offered");
    }
    if !query.pipe_operators.is_empty() {
        return refuse("pipe operators are not offered");
    }
    if let Some(ast::LimitClause::LimitOffset { limit_by, .. }) = &query.limit_clause
        && !limit_by.is_empty()
    {
        return refuse("`LIMIT ... BY` is not offered");
    }
    let mut bodies = vec![query.body.as_ref()];
    while let Some(body) = bodies.pop() {
        match body {
            SetExpr::Select(_) | SetExpr::Query(_) | SetExpr::Values(_) => {}
            SetExpr::SetOperation { left, right, .. } => {
                bodies.push(left);
                bodies.push(right);
            }
            SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
                return ControlFlow::Break(Box::new(hint::error(
                    Code::Unsupported,
                    "nothing can be written here",
                )));
            }
            SetExpr::Table(_) => return refuse("write `SELECT * FROM` instead of `TABLE`"),
        }
    }
    ControlFlow::Continue(())
}

fn plain_select(select: &Select) -> Flow {
    if select.into.is_some() {
        return ControlFlow::Break(Box::new(hint::error(
            Code::Unsupported,
            "nothing can be written here: `INTO` is not offered",
        )));
    }
    let odd = select.top.is_some()
        || select.select_modifiers.is_some()
        || select.exclude.is_some()
        || !select.lateral_views.is_empty()
        || select.prewhere.is_some()
        || !select.connect_by.is_empty()
        || !select.cluster_by.is_empty()
        || !select.distribute_by.is_empty()
        || !select.sort_by.is_empty()
        || select.value_table_mode.is_some()
        || !select.optimizer_hints.is_empty();
    if odd {
        return refuse(
            "of `SELECT` are offered: DISTINCT, FROM, WHERE, GROUP BY, HAVING, WINDOW, QUALIFY, ORDER BY, \
             LIMIT and OFFSET",
        );
    }
    if let ast::GroupByExpr::All(modifiers) | ast::GroupByExpr::Expressions(_, modifiers) =
        &select.group_by
        && !modifiers.is_empty()
    {
        return refuse("write `GROUP BY ROLLUP(...)`, `CUBE(...)` or `GROUPING SETS (...)`");
    }
    if groups::sets(&select.group_by) > SETS_MAX {
        return refuse(&format!("a `GROUP BY` may stand for {SETS_MAX} sets of groups"));
    }
    ControlFlow::Continue(())
}

fn plain_table(factor: &TableFactor) -> Flow {
    match factor {
        TableFactor::Table {
            name: _,
            alias: _,
            args,
            with_hints,
            version,
            with_ordinality,
            partitions,
            json_path,
            sample,
            index_hints,
        } => {
            if args.is_some() {
                return refuse("table functions are not offered");
            }
            if sample.is_some() {
                return refuse("`TABLESAMPLE` is not offered");
            }
            let odd = !with_hints.is_empty()
                || version.is_some()
                || *with_ordinality
                || !partitions.is_empty()
                || json_path.is_some()
                || !index_hints.is_empty();
            if odd {
                return refuse("a table is its name and an alias, no more");
            }
            ControlFlow::Continue(())
        }
        TableFactor::Derived { sample: None, .. } | TableFactor::NestedJoin { .. } => {
            ControlFlow::Continue(())
        }
        TableFactor::UNNEST { with_offset: false, with_ordinality: false, .. } => {
            ControlFlow::Continue(())
        }
        TableFactor::Derived { .. } => refuse("`TABLESAMPLE` is not offered"),
        TableFactor::UNNEST { .. } => refuse("`UNNEST` has no offset or ordinality here"),
        TableFactor::TableFunction { .. } | TableFactor::Function { .. } => {
            refuse("table functions are not offered")
        }
        TableFactor::Pivot { .. } => {
            refuse("`PIVOT` is not offered; write aggregates with `FILTER`")
        }
        TableFactor::Unpivot { .. } => refuse("`UNPIVOT` is not offered"),
        TableFactor::MatchRecognize { .. } => refuse("`MATCH_RECOGNIZE` is not offered"),
        TableFactor::JsonTable { .. }
        | TableFactor::OpenJsonTable { .. }
        | TableFactor::XmlTable { .. }
        | TableFactor::SemanticView { .. } => refuse("table functions are not offered"),
    }
}

#[cfg(test)]
mod tests;
