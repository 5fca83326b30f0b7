//! Tokens become one query, or an error in words of ours: of the parser's own text only the place in the
//! statement is used. Says nothing of what the query asks.

use datafusion::sql::sqlparser::ast::Query;
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan};

use crate::error::{Code, Error, Result};
use crate::pipeline::query::hint;

/// How deep expressions and subqueries may nest.
const NESTING_MAX: usize = 50;

pub(super) fn parse(tokens: &[TokenWithSpan]) -> Result<Box<Query>> {
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

pub(super) fn unexpected(token: &Token, location: Location) -> Error {
    let text = match token {
        Token::EOF => "the statement ends too early".to_owned(),
        token => {
            format!("`{}` is not expected at {}", hint::short(&token.to_string()), place(location))
        }
    };
    hint::error(Code::SqlInvalid, &text)
}

pub(super) fn place(location: Location) -> String {
    format!("line {}, column {}", location.line, location.column)
}
