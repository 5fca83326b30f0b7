//! A statement's text as tokens, and what is refused by looking at these alone: other words than those of a
//! query at its beginning, parameters that are none, and more operators than a tree may be deep. Parses nothing.

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer, TokenizerError};

use super::PARAMETERS_MAX;
use super::syntax::{place, unexpected};
use crate::error::{Code, Result};
use crate::pipeline::query::hint;

/// How many operators and keywords a statement may have: each may make a tree of expressions one deeper.
const OPERATORS_MAX: usize = 500;

/// The tokens of a text, without comments and spaces; `?` is numbered.
pub(super) fn tokens(sql: &str) -> Result<Vec<TokenWithSpan>> {
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
pub(super) fn placeholders(tokens: &[TokenWithSpan]) -> Result<usize> {
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
pub(super) fn first_word(tokens: &[TokenWithSpan]) -> Result<()> {
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
            &format!(
                "`{word}` is not offered: plans are not shown. What an answer with noise costs is told by the \
                 action `veilflight.privacy_cost`, and by the statement's schema"
            ),
        )),
        "SHOW" => Err(hint::error(
            Code::SqlRefused,
            "`SHOW` is not offered; ask information_schema.tables and information_schema.columns",
        )),
        "SET" | "RESET" | "PRAGMA" | "USE" | "DISCARD" => Err(hint::error(
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
pub(super) fn bounded(tokens: &[TokenWithSpan]) -> Result<u64> {
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
