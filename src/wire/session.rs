//! How a partner wants answers to travel: options from headers, and from a session's cookie. Nothing is
//! remembered on this side: the cookie carries the options sealed and bound to the partner, so any
//! replica understands it. It is no credential and opens nothing; it does not say who calls.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::timezone::Tz;
use arrow_flight::Action;
use bytes::Bytes;
use data_encoding::BASE64URL_NOPAD;
use http::HeaderMap;
use http::header::COOKIE;
use prost::Message as _;
use tonic::metadata::{Ascii, MetadataValue};

use self::message::{Kind, Value};
use super::authenticate::Call;
use crate::error::{Code, Context, Error, Hint, Result};
use crate::keys::KeyRing;
use crate::keys::envelope::Envelope;
use crate::pipeline::format::{Compression, Format, Strings};
use crate::policy::decimal::Decimal;

mod message;

/// Sets options, and gives the cookie that carries them.
pub const SET: &str = "SetSessionOptions";
/// Tells the options in force.
pub const GET: &str = "GetSessionOptions";
/// Forgets them.
pub const CLOSE: &str = "CloseSession";

/// The session's actions with what they do.
pub const ACTIONS: [(&str, &str); 3] = [
    (
        SET,
        "Choose how answers travel: string_type, dictionary, compression, time_zone, epsilon, locations. \
         The answer's cookie carries the choice. Body: SetSessionOptionsRequest.",
    ),
    (GET, "Tell the options in force. Body: GetSessionOptionsRequest."),
    (CLOSE, "Forget the session's options. Body: CloseSessionRequest."),
];

/// What one call's answer shall look like.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// The shape of values.
    pub format: Format,
    /// The session's time zone; UTC where there is none.
    pub time_zone: Option<String>,
    /// What a statement that is answered with noise may cost; what the grant says where there is none.
    pub epsilon: Option<Decimal>,
    /// Whether endpoints say `arrow-flight-reuse-connection://?` instead of nothing.
    pub reuse_connection: bool,
}

/// Makes and opens cookies.
#[derive(Debug, Clone)]
pub struct Sessions {
    envelope: Arc<Envelope>,
}

/// The options of one call: those the session's cookie carries, and what they come to with the headers.
#[derive(Debug, Clone)]
pub struct Session {
    sessions: Sessions,
    /// What the partner set, by the option's name, as written.
    set: BTreeMap<&'static str, String>,
    options: Options,
}

/// The answer to an action of a session.
#[derive(Debug)]
pub struct Answer {
    /// The action's result.
    pub body: Bytes,
    /// For the answer's `set-cookie` header.
    pub cookie: Option<MetadataValue<Ascii>>,
}

/// Carries out an action of [`ACTIONS`].
///
/// # Errors
/// [`Code::Unsupported`] for another one, [`Code::RequestInvalid`] for a body that does not fit.
pub fn act(call: &Call, action: &Action) -> Result<Answer> {
    call.session().act(call.partner().name(), &action.r#type, &action.body)
}

impl Sessions {
    /// Cookies sealed with a key from `ring`; every replica with the same ring can open them.
    ///
    /// # Errors
    /// [`Code::Keys`] when a key cannot be derived.
    pub fn new(ring: &KeyRing) -> Result<Self> {
        Ok(Self { envelope: Arc::new(Envelope::new(ring, "options")?) })
    }

    /// What the headers of a call of `partner` ask for. A header counts for more than the cookie.
    ///
    /// # Errors
    /// [`Code::RequestInvalid`] with a [`Hint`] for a header or a value that does not exist: an option
    /// that is passed over would change an answer's format unseen. [`Code::TicketInvalid`] and
    /// [`Code::TicketForeign`] for a cookie that is not this partner's, for the same reason.
    pub fn of(&self, headers: &HeaderMap, partner: &str) -> Result<Session> {
        let set = match cookie(headers)? {
            Some(cookie) => self.open(cookie, partner)?,
            None => BTreeMap::new(),
        };
        let mut options = Options::default();
        for (name, text) in &set {
            let setting = SETTINGS.iter().find(|setting| setting.option == *name);
            // What an older release sealed may be gone.
            setting.and_then(|setting| (setting.apply)(&mut options, text)).ok_or_else(|| {
                stale(Code::TicketInvalid, format!("a cookie with `{name}` set to `{text}`"))
            })?;
        }
        for name in headers.keys().filter(|name| name.as_str().starts_with(HEADER_PREFIX)) {
            let setting = SETTINGS.iter().find(|setting| setting.header == name.as_str());
            let Some(setting) = setting else {
                let all: Vec<&str> = SETTINGS.iter().map(|setting| setting.header).collect();
                let all: Vec<&str> = all.into_iter().filter(|name| !name.is_empty()).collect();
                return Err(wrong(&format!(
                    "there is no header `{name}`; there are {}",
                    all.join(", ")
                )));
            };
            for value in headers.get_all(name) {
                let text = value.to_str().unwrap_or_default();
                (setting.apply)(&mut options, text)
                    .ok_or_else(|| wrong(&format!("`{name}` takes {}", setting.takes)))?;
            }
        }
        Ok(Session { sessions: self.clone(), set, options })
    }

    fn seal(&self, partner: &str, set: &BTreeMap<&'static str, String>) -> Result<String> {
        let mut plain = format!("{VERSION}\n{partner}");
        for (name, text) in set {
            plain.push('\n');
            plain.push_str(name);
            plain.push('=');
            plain.push_str(text);
        }
        Ok(BASE64URL_NOPAD.encode(&self.envelope.seal(plain.as_bytes())?))
    }

    fn open(&self, cookie: &str, partner: &str) -> Result<BTreeMap<&'static str, String>> {
        let broken = || stale(Code::TicketInvalid, "a cookie that was not made here".to_owned());
        let sealed = BASE64URL_NOPAD.decode(cookie.as_bytes()).map_err(|_| broken())?;
        let plain = self.envelope.open(&sealed).map_err(|_| broken())?;
        let plain = String::from_utf8(plain).map_err(|_| broken())?;
        let mut lines = plain.split('\n');
        if lines.next() != Some(VERSION) {
            return Err(broken());
        }
        let owner = lines.next().ok_or_else(broken)?;
        if owner != partner {
            let text = format!("`{partner}` came with a cookie of `{owner}`");
            return Err(stale(Code::TicketForeign, text));
        }
        lines
            .map(|line| {
                let (name, text) = line.split_once('=')?;
                let setting = SETTINGS.iter().find(|setting| setting.option == name)?;
                Some((setting.option, text.to_owned()))
            })
            .collect::<Option<_>>()
            .ok_or_else(broken)
    }
}

impl Session {
    /// What the call's answer shall look like.
    pub const fn options(&self) -> &Options {
        &self.options
    }

    fn act(&self, partner: &str, name: &str, body: &Bytes) -> Result<Answer> {
        let unreadable = || format!("the body of `{name}` cannot be read");
        match name {
            SET => {
                let request = message::SetRequest::decode(body.clone())
                    .context(Code::RequestInvalid, unreadable)?;
                self.set(partner, request)
            }
            GET => {
                message::GetRequest::decode(body.clone())
                    .context(Code::RequestInvalid, unreadable)?;
                let session_options = SETTINGS
                    .iter()
                    .map(|setting| (setting.option.to_owned(), (setting.show)(&self.options)))
                    .collect();
                let result = message::GetResult { session_options };
                Ok(Answer { body: result.encode_to_vec().into(), cookie: None })
            }
            CLOSE => {
                message::CloseRequest::decode(body.clone())
                    .context(Code::RequestInvalid, unreadable)?;
                let result = message::CloseResult { status: message::CLOSED };
                let cookie = set_cookie("", "; Max-Age=0")?;
                Ok(Answer { body: result.encode_to_vec().into(), cookie: Some(cookie) })
            }
            _ => Err(Error::new(Code::Unsupported, "not an action of a session")),
        }
    }

    /// Takes the options that are good and says of the others what is wrong with them.
    fn set(&self, partner: &str, request: message::SetRequest) -> Result<Answer> {
        let mut set = self.set.clone();
        let mut errors = BTreeMap::new();
        for (name, value) in request.session_options {
            let Some(setting) = SETTINGS.iter().find(|setting| setting.option == name) else {
                errors.insert(name, message::Refusal { value: message::INVALID_NAME });
                continue;
            };
            let text = match value.kind {
                // No value at all takes the option back.
                None => {
                    set.remove(setting.option);
                    continue;
                }
                Some(Kind::Text(text)) => Some(text),
                Some(Kind::Flag(flag)) => Some(flag.to_string()),
                Some(Kind::Integer(_) | Kind::Real(_) | Kind::Texts(_)) => None,
            };
            let text = text.filter(|text| (setting.apply)(&mut Options::default(), text).is_some());
            match text {
                Some(text) => {
                    set.insert(setting.option, text.trim().to_owned());
                }
                None => {
                    errors.insert(name, message::Refusal { value: message::INVALID_VALUE });
                }
            }
        }
        let cookie = set_cookie(&self.sessions.seal(partner, &set)?, "")?;
        let body = message::SetResult { errors }.encode_to_vec().into();
        Ok(Answer { body, cookie: Some(cookie) })
    }
}

/// One option, by the name it has in a session and as a header.
struct Setting {
    option: &'static str,
    /// Empty where there is none.
    header: &'static str,
    /// What it takes, in words.
    takes: &'static str,
    /// Puts a value in force; `None` where it is not one.
    apply: fn(&mut Options, &str) -> Option<()>,
    /// The value in force.
    show: fn(&Options) -> Value,
}

/// All options.
const SETTINGS: &[Setting] = &[
    Setting {
        option: "string_type",
        header: "veilflight-strings",
        takes: "utf8, large_utf8 or utf8_view",
        apply: |options, text| {
            options.format.strings = match word(text).as_str() {
                "utf8" => Strings::Plain,
                "large_utf8" => Strings::Large,
                "utf8_view" => Strings::View,
                _ => return None,
            };
            Some(())
        },
        show: |options| {
            Value::text(match options.format.strings {
                Strings::Plain => "utf8",
                Strings::Large => "large_utf8",
                Strings::View => "utf8_view",
            })
        },
    },
    Setting {
        option: "dictionary",
        header: "veilflight-dictionaries",
        takes: "true or false",
        apply: |options, text| {
            options.format.dictionaries = match word(text).as_str() {
                "true" => true,
                "false" => false,
                _ => return None,
            };
            Some(())
        },
        show: |options| Value { kind: Some(Kind::Flag(options.format.dictionaries)) },
    },
    Setting {
        option: "compression",
        header: "veilflight-compression",
        takes: "none, lz4 or zstd",
        apply: |options, text| {
            options.format.compression = match word(text).as_str() {
                "none" => Compression::None,
                "lz4" => Compression::Lz4,
                "zstd" => Compression::Zstd,
                _ => return None,
            };
            Some(())
        },
        show: |options| {
            Value::text(match options.format.compression {
                Compression::None => "none",
                Compression::Lz4 => "lz4",
                Compression::Zstd => "zstd",
            })
        },
    },
    Setting {
        option: "time_zone",
        header: "veilflight-time-zone",
        takes: "a name of the time zone database such as Europe/Zurich, or an offset such as +02:00",
        apply: |options, text| {
            let zone = text.trim();
            zone.parse::<Tz>().ok()?;
            options.time_zone = Some(zone.to_owned());
            Some(())
        },
        show: |options| Value::text(options.time_zone.as_deref().unwrap_or("UTC")),
    },
    Setting {
        option: "epsilon",
        header: "veilflight-epsilon",
        takes: "a decimal above 0 such as 0.1 or 1e-3, without a sign",
        apply: |options, text| {
            let epsilon: Decimal = text.trim().parse().ok()?;
            options.epsilon = Some(epsilon).filter(|epsilon| !epsilon.is_zero());
            options.epsilon.map(|_| ())
        },
        show: |options| {
            Value::text(&options.epsilon.map_or(String::new(), |epsilon| epsilon.to_string()))
        },
    },
    Setting {
        option: "locations",
        header: "veilflight-locations",
        takes: "none or reuse",
        apply: |options, text| {
            options.reuse_connection = match word(text).as_str() {
                "none" => false,
                "reuse" => true,
                _ => return None,
            };
            Some(())
        },
        show: |options| Value::text(if options.reuse_connection { "reuse" } else { "none" }),
    },
    // Clients set and ask for the current catalogue and schema by these names; there is one of each.
    Setting {
        option: "catalog",
        header: "",
        takes: CATALOG,
        apply: |_, text| (text == CATALOG).then_some(()),
        show: |_| Value::text(CATALOG),
    },
    Setting {
        option: "schema",
        header: "",
        takes: SCHEMA,
        apply: |_, text| (text == SCHEMA).then_some(()),
        show: |_| Value::text(SCHEMA),
    },
];

/// The catalogue of every partner.
pub const CATALOG: &str = "veilflight";
/// The schema that holds the datasets.
pub const SCHEMA: &str = "public";

/// The cookie's name, as the protocol suggests it.
const COOKIE_NAME: &str = "arrow_flight_session_id";
/// How headers of ours begin.
const HEADER_PREFIX: &str = "veilflight-";
/// The layout of the sealed text.
const VERSION: &str = "1";

/// The headers that [`Sessions::of`] looks at.
pub(super) fn headers(all: &HeaderMap) -> HeaderMap {
    all.iter()
        .filter(|(name, _)| **name == COOKIE || name.as_str().starts_with(HEADER_PREFIX))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// A word as it is compared.
fn word(text: &str) -> String {
    text.trim().to_ascii_lowercase()
}

/// The session's cookie among all cookies of a call.
fn cookie(headers: &HeaderMap) -> Result<Option<&str>> {
    let mut found = None;
    for value in headers.get_all(COOKIE) {
        // Cookies of others may hold anything.
        for pair in value.to_str().unwrap_or_default().split(';') {
            let Some((COOKIE_NAME, text)) = pair.trim().split_once('=') else { continue };
            if found.replace(text).is_some_and(|before| before != text) {
                return Err(wrong("there are several session cookies"));
            }
        }
    }
    // An emptied cookie is one that was taken back.
    Ok(found.map(|text| text.trim_matches('"')).filter(|text| !text.is_empty()))
}

fn set_cookie(value: &str, attributes: &str) -> Result<MetadataValue<Ascii>> {
    format!("{COOKIE_NAME}={value}; Path=/{attributes}")
        .parse()
        .map_err(|_| Error::new(Code::Internal, "a cookie that is no header"))
}

/// PRIVACY: the words are ours and the names of headers the partner's own.
fn wrong(hint: &str) -> Error {
    Error::new(Code::RequestInvalid, hint).hinting(Hint::new(hint))
}

fn stale(code: Code, text: String) -> Error {
    let hint = "it is the session's cookie that is not good here: connect anew, without it";
    Error::new(code, text).hinting(Hint::new(hint))
}

#[cfg(test)]
mod tests;
