//! Server settings: file < environment < flag. One table says each setting's name, meaning and default;
//! from it come the flags, the help, the file's keys and the log line that says where a value came
//! from. The one place, beside `keys/`, that reads the environment.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};

use crate::budget::Quotas;
use crate::diagnostic::render;
use crate::error::{Code, Context, Error, Result};
use crate::keys::provider::Source;
use crate::pipeline::query::QueryLimits;
use crate::pipeline::stream::Limits;
use crate::policy::flat;
use crate::server::tls::TlsFiles;
use crate::telemetry::LogFormat;

/// One setting, as it is written: `streams_max` in a file, `--streams-max`, `VEILFLIGHT_STREAMS_MAX`.
#[derive(Debug)]
pub struct Setting {
    /// Its name.
    pub name: &'static str,
    /// The flag without dashes before it.
    flag: &'static str,
    /// The environment variable.
    variable: &'static str,
    /// What stands for the value in help.
    value: &'static str,
    /// The value where none is given; empty for none.
    default: &'static str,
    /// The heading it stands under in help.
    heading: &'static str,
    /// What it means.
    help: &'static str,
}

const PLACES: &str = "Where things are";
const TLS: &str = "TLS";
const BOUNDS: &str = "Limits";
const QUERIES: &str = "Queries";
const OTHER: &str = "Other";

macro_rules! settings {
    ($($heading:ident $name:literal $flag:literal $variable:literal $value:literal $default:literal $help:literal;)+) => {
        &[$(Setting {
            name: $name, flag: $flag, variable: concat!("VEILFLIGHT_", $variable), value: $value,
            default: $default, heading: $heading, help: $help,
        },)+]
    };
}

/// Every setting.
pub static SETTINGS: &[Setting] = settings! {
    PLACES "listen" "listen" "LISTEN" "ADDRESS:PORT" "127.0.0.1:8815"
        "Where to listen; port 0 takes a free one";
    PLACES "policies" "policies" "POLICIES" "FOLDER" "policies"
        "The folder of policies; every *.yaml in it is served";
    PLACES "state" "state" "STATE" "FOLDER" "state"
        "The folder of partners, tokens and the audit log";
    PLACES "key" "key" "KEY" "SOURCE" ""
        "The master key: file:PATH, env:NAME or command:COMMAND [default: file:<state>/master.key]";
    PLACES "advertise" "advertise" "ADVERTISE" "LOCATIONS" ""
        "Other addresses of this data, as grpc+tls://HOST:PORT, comma-separated; clients may pull there";
    PLACES "ready_file" "ready-file" "READY_FILE" "FILE" ""
        "Write the address to this file once connections are taken";
    TLS "tls_certificate" "tls-certificate" "TLS_CERTIFICATE" "FILE" ""
        "The server's certificate chain, PEM; read again when it changes";
    TLS "tls_key" "tls-key" "TLS_KEY" "FILE" ""
        "The certificate's private key, PEM";
    TLS "tls_client_authority" "tls-client-authority" "TLS_CLIENT_AUTHORITY" "FILE" ""
        "Authorities whose client certificates are taken, PEM; registered ones always are";
    TLS "dangerous_plaintext" "dangerous-plaintext" "DANGEROUS_PLAINTEXT" "BOOL" "false"
        "Serve without TLS on an address that others can reach: tokens and data travel in clear";
    BOUNDS "streams_max" "streams-max" "STREAMS_MAX" "N" "256"
        "Streams open at a time";
    BOUNDS "streams_partner_max" "streams-partner-max" "STREAMS_PARTNER_MAX" "N" "64"
        "Streams open at a time for one partner";
    BOUNDS "connections_max" "connections-max" "CONNECTIONS_MAX" "N" "1024"
        "Connections open at a time";
    BOUNDS "shards_max" "shards-max" "SHARDS_MAX" "N" "16"
        "Endpoints that a dataset is split into, for parallel pulls";
    BOUNDS "message_bytes" "message-bytes" "MESSAGE_BYTES" "BYTES" "1572864"
        "The size that messages aim at";
    BOUNDS "message_bytes_max" "message-bytes-max" "MESSAGE_BYTES_MAX" "BYTES" "3670016"
        "The size that no message passes; most clients take 4 MiB";
    BOUNDS "idle_seconds" "idle-seconds" "IDLE_SECONDS" "SECONDS" "60"
        "How long a partner may stop reading before a stream is closed";
    BOUNDS "keep_alive_seconds" "keep-alive-seconds" "KEEP_ALIVE_SECONDS" "SECONDS" "10"
        "How long a stream may have nothing to send before an empty message goes out";
    BOUNDS "ticket_minutes" "ticket-minutes" "TICKET_MINUTES" "MINUTES" "60"
        "How long a ticket is good for";
    BOUNDS "handshake_seconds" "handshake-seconds" "HANDSHAKE_SECONDS" "SECONDS" "10"
        "How long a TLS handshake may take";
    BOUNDS "rows_day" "rows-day" "ROWS_DAY" "ROWS" ""
        "Rows that a partner may take a day (UTC), of all datasets; 0 or nothing for no limit";
    BOUNDS "bytes_day" "bytes-day" "BYTES_DAY" "BYTES" ""
        "Bytes that a partner may take a day (UTC), of all datasets; 0 or nothing for no limit";
    QUERIES "queries_max" "queries-max" "QUERIES_MAX" "N" "4"
        "Statements worked at at a time";
    QUERIES "queries_partner_max" "queries-partner-max" "QUERIES_PARTNER_MAX" "N" "2"
        "Statements worked at at a time for one partner";
    QUERIES "queries_waiting_partner_max" "queries-waiting-partner-max" "QUERIES_WAITING_PARTNER_MAX" "N" "256"
        "Statements of one partner that may wait for their turn";
    QUERIES "queue_seconds" "queue-seconds" "QUEUE_SECONDS" "SECONDS" "60"
        "How long a statement may wait for its turn";
    QUERIES "query_seconds" "query-seconds" "QUERY_SECONDS" "SECONDS" "300"
        "How long a statement may be worked at";
    QUERIES "query_memory_bytes" "query-memory-bytes" "QUERY_MEMORY_BYTES" "BYTES" "1073741824"
        "Memory for what all statements together hold: sorts, groups, joins";
    QUERIES "query_spill" "query-spill" "QUERY_SPILL" "FOLDER" ""
        "Where statements put what memory does not hold [default: <state>/spill]";
    QUERIES "query_spill_bytes" "query-spill-bytes" "QUERY_SPILL_BYTES" "BYTES" "17179869184"
        "The size that it does not pass";
    QUERIES "query_threads" "query-threads" "QUERY_THREADS" "N" "0"
        "Threads that work at statements; 0 for as many as processors";
    QUERIES "sql_bytes_max" "sql-bytes-max" "SQL_BYTES_MAX" "BYTES" "65536"
        "The size that the text of a statement does not pass";
    QUERIES "noise_tick_ms" "noise-tick-ms" "NOISE_TICK_MS" "MILLISECONDS" "250"
        "Answers of `access: dp` leave after this time, or twice or four times it, so that the rows do not show in it";
    OTHER "reload_seconds" "reload-seconds" "RELOAD_SECONDS" "SECONDS" "2"
        "How often policies and certificates are looked at for changes; SIGHUP does so at once";
    OTHER "grace_seconds" "grace-seconds" "GRACE_SECONDS" "SECONDS" "30"
        "How long streams may go on after a request to stop";
    OTHER "log_format" "log-format" "LOG_FORMAT" "text|json" "text"
        "How log lines look";
    OTHER "log" "log" "LOG" "FILTER" "info"
        "What is logged, as in `info,veilflight=debug`";
};

/// Where a value came from; later ones win.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody gave one.
    Default,
    /// The settings file, at this line.
    File(PathBuf, usize),
    /// The environment.
    Environment(&'static str),
    /// The command line.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::Flag(name) => write!(f, "flag --{name}"),
        }
    }
}

/// Settings as written, by name, with their origin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RawSettings {
    /// The settings file.
    pub config: Option<PathBuf>,
    /// Those from flags and the environment.
    given: BTreeMap<&'static str, (String, Origin)>,
}

impl clap::Args for RawSettings {
    fn augment_args(command: Command) -> Command {
        let config = Arg::new("config")
            .long("config")
            .env("VEILFLIGHT_CONFIG")
            .value_name("FILE")
            .value_parser(clap::value_parser!(PathBuf))
            .help("A settings file: YAML, one `name: value` a line, with the names below and `_` for `-`")
            .help_heading(PLACES);
        SETTINGS.iter().fold(command.arg(config), |command, setting| {
            let help = match setting.default {
                "" => setting.help.to_owned(),
                default => format!("{} [default: {default}]", setting.help),
            };
            let mut arg = Arg::new(setting.name)
                .long(setting.flag)
                .env(setting.variable)
                .hide_env(true)
                .value_name(setting.value)
                .help(help)
                .help_heading(setting.heading);
            if setting.value == "BOOL" {
                arg = arg.num_args(0..=1).require_equals(true).default_missing_value("true");
            }
            command.arg(arg)
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for RawSettings {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut given = BTreeMap::new();
        for setting in SETTINGS {
            let Some(text) = matches.get_one::<String>(setting.name) else { continue };
            let origin = match matches.value_source(setting.name) {
                Some(ValueSource::EnvVariable) => Origin::Environment(setting.variable),
                _ => Origin::Flag(setting.flag),
            };
            given.insert(setting.name, (text.clone(), origin));
        }
        Ok(Self { config: matches.get_one::<PathBuf>("config").cloned(), given })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// What the server obeys.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where to listen.
    pub listen: SocketAddr,
    /// The folder of policies.
    pub policies: PathBuf,
    /// The folder of state.
    pub state: PathBuf,
    /// Where the master keys are.
    pub key: Source,
    /// The file that says that the server is ready, and where.
    pub ready_file: Option<PathBuf>,
    /// Certificates; `None` for plain text, which was checked to be allowed.
    pub tls: Option<TlsFiles>,
    /// Other addresses that clients may pull from, as locations of Flight.
    pub advertise: Vec<String>,
    /// Streams and statements at a time, rows and bytes a day.
    pub quotas: Quotas,
    /// What statements may use of the machine.
    pub query: QueryLimits,
    /// After which time answers with noise leave, or twice that, or four times.
    pub noise_tick: Duration,
    /// Connections in all.
    pub connections_max: usize,
    /// Endpoints of a dataset.
    pub shards_max: u32,
    /// Bounds of one stream.
    pub limits: Limits,
    /// How long a ticket is good for.
    pub ticket: Duration,
    /// How long a handshake may take.
    pub handshake: Duration,
    /// How often files are looked at.
    pub reload: Duration,
    /// How long streams may go on after a request to stop.
    pub grace: Duration,
    /// How log lines look.
    pub log_format: LogFormat,
    /// What is logged.
    pub log: String,
    /// Each setting's value and origin, in the order of the table; none is a secret.
    pub origins: Vec<(&'static str, String, Origin)>,
}

impl RawSettings {
    /// One setting given by hand, for tests and programs that embed the server.
    ///
    /// # Errors
    /// [`Code::Config`] when there is no such setting.
    pub fn set(mut self, name: &str, value: impl Into<String>) -> Result<Self> {
        let setting = SETTINGS
            .iter()
            .find(|setting| setting.name == name)
            .ok_or_else(|| Error::new(Code::Config, format!("there is no setting `{name}`")))?;
        self.given.insert(setting.name, (value.into(), Origin::Flag(setting.flag)));
        Ok(self)
    }

    /// The settings with the file read and every value checked. Relative paths in a file start from the
    /// file's folder, others from the working folder.
    ///
    /// # Errors
    /// [`Code::Config`] at the first value that cannot be used, with its origin.
    pub fn resolve(&self) -> Result<Settings> {
        let mut written = match &self.config {
            Some(path) => read_file(path)?,
            None => BTreeMap::new(),
        };
        written.extend(self.given.iter().map(|(name, value)| (*name, value.clone())));
        Written { values: written }.resolve()
    }
}

/// All values as written, the winning one of each.
struct Written {
    values: BTreeMap<&'static str, (String, Origin)>,
}

impl Written {
    fn resolve(&self) -> Result<Settings> {
        let listen: SocketAddr = self.parse("listen", "is not an address and a port")?;
        let message_bytes = self.count("message_bytes", 64 << 10, 16 << 20)?;
        let message_bytes_max = self.count("message_bytes_max", message_bytes, 64 << 20)?;
        let state = self.path("state")?.unwrap_or_default();
        let key = self.key(&state)?;
        Ok(Settings {
            listen,
            policies: self.path("policies")?.unwrap_or_default(),
            key,
            ready_file: self.path("ready_file")?,
            tls: self.tls(listen)?,
            advertise: self.advertise()?,
            quotas: self.quotas()?,
            query: self.query(&state)?,
            noise_tick: self.milliseconds("noise_tick_ms", 60_000)?,
            state,
            connections_max: self.count("connections_max", 1, 1_000_000)?,
            shards_max: u32::try_from(self.count("shards_max", 1, 4_096)?).unwrap_or(1),
            limits: Limits {
                message_bytes,
                message_bytes_max,
                idle: self.seconds("idle_seconds", 1)?,
                keep_alive: self.seconds("keep_alive_seconds", 1)?,
            },
            ticket: self.seconds("ticket_minutes", 60)?,
            handshake: self.seconds("handshake_seconds", 1)?,
            reload: self.seconds("reload_seconds", 1)?,
            grace: self.seconds("grace_seconds", 1)?,
            log_format: {
                let text = self.text("log_format")?;
                text.parse().map_err(|reason| self.wrong("log_format", text, reason))?
            },
            log: self.text("log")?.to_owned(),
            origins: self.origins(),
        })
    }

    fn quotas(&self) -> Result<Quotas> {
        Ok(Quotas {
            streams_max: self.count("streams_max", 1, 100_000)?,
            streams_partner_max: self.count("streams_partner_max", 1, 100_000)?,
            queries_max: self.count("queries_max", 1, 1_000)?,
            queries_partner_max: self.count("queries_partner_max", 1, 1_000)?,
            queries_waiting_partner_max: self.count("queries_waiting_partner_max", 0, 10_000)?,
            queue: self.seconds("queue_seconds", 1)?,
            query: self.seconds("query_seconds", 1)?,
            rows_day: self.a_day("rows_day")?,
            bytes_day: self.a_day("bytes_day")?,
        })
    }

    fn query(&self, state: &Path) -> Result<QueryLimits> {
        let threads = match self.count("query_threads", 0, 1_024)? {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        let spill_bytes = self.count("query_spill_bytes", 0, usize::MAX)?;
        Ok(QueryLimits {
            threads,
            memory_bytes: self.count("query_memory_bytes", 16 << 20, usize::MAX)?,
            spill: self.path("query_spill")?.unwrap_or_else(|| state.join("spill")),
            spill_bytes: u64::try_from(spill_bytes).unwrap_or(u64::MAX),
            // A statement travels in a request and in tickets.
            sql_bytes_max: self.count("sql_bytes_max", 1, 256 << 10)?,
        })
    }

    /// An amount a day; nothing and 0 are no limit.
    fn a_day(&self, name: &'static str) -> Result<Option<u64>> {
        if self.text(name)?.is_empty() {
            return Ok(None);
        }
        let amount: u64 = self.parse(name, "is not a whole number")?;
        Ok(Some(amount).filter(|amount| *amount > 0))
    }

    /// The locations, each a scheme, a host and a port.
    fn advertise(&self) -> Result<Vec<String>> {
        let text = self.text("advertise")?;
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        parts
            .map(|part| {
                let rest = ["grpc+tls://", "grpc+tcp://", "grpc://"]
                    .iter()
                    .find_map(|scheme| part.strip_prefix(scheme));
                let port = rest.and_then(|rest| rest.rsplit_once(':')).filter(|(host, _)| {
                    !host.is_empty() && !host.contains(['/', '@', '?', '#', ' '])
                });
                let good =
                    port.is_some_and(|(_, port)| port.parse::<u16>().is_ok_and(|port| port > 0));
                if good {
                    Ok(part.to_owned())
                } else {
                    let reason =
                        "is not a list of locations such as grpc+tls://data.example.org:8815";
                    Err(self.wrong("advertise", text, reason))
                }
            })
            .collect()
    }

    /// The value and its origin; the default where nobody gave one.
    fn written(&self, name: &'static str) -> Result<(&str, Origin)> {
        if let Some((text, origin)) = self.values.get(name) {
            return Ok((text, origin.clone()));
        }
        SETTINGS
            .iter()
            .find(|setting| setting.name == name)
            .map(|setting| (setting.default, Origin::Default))
            .ok_or_else(|| Error::new(Code::Internal, format!("no setting `{name}`")))
    }

    fn text(&self, name: &'static str) -> Result<&str> {
        Ok(self.written(name)?.0)
    }

    fn wrong(&self, name: &'static str, text: &str, reason: &str) -> Error {
        let origin = self.values.get(name).map_or(Origin::Default, |(_, origin)| origin.clone());
        Error::new(Code::Config, format!("setting `{name}`: `{text}` {reason} (from {origin})"))
    }

    fn parse<T: FromStr>(&self, name: &'static str, reason: &str) -> Result<T> {
        let text = self.text(name)?;
        text.parse().map_err(|_| self.wrong(name, text, reason))
    }

    fn count(&self, name: &'static str, min: usize, max: usize) -> Result<usize> {
        let count: usize = self.parse(name, "is not a whole number")?;
        if (min..=max).contains(&count) {
            return Ok(count);
        }
        let reason = format!("is not between {min} and {max}");
        Err(self.wrong(name, self.text(name)?, &reason))
    }

    fn seconds(&self, name: &'static str, unit_seconds: u64) -> Result<Duration> {
        let units = self.count(name, 1, 10_000_000)?;
        Ok(Duration::from_secs(u64::try_from(units).unwrap_or(1).saturating_mul(unit_seconds)))
    }

    fn milliseconds(&self, name: &'static str, max: usize) -> Result<Duration> {
        let units = self.count(name, 1, max)?;
        Ok(Duration::from_millis(u64::try_from(units).unwrap_or(1)))
    }

    /// A path; relative ones from a file start from the file's folder.
    fn path(&self, name: &'static str) -> Result<Option<PathBuf>> {
        let (text, origin) = self.written(name)?;
        if text.is_empty() {
            return Ok(None);
        }
        Ok(Some(from(&origin, text)))
    }

    /// Where the master keys are.
    fn key(&self, state: &Path) -> Result<Source> {
        let (text, origin) = self.written("key")?;
        if text.is_empty() {
            return Ok(Source::File(state.join("master.key")));
        }
        match text.parse() {
            Ok(Source::File(path)) => Ok(Source::File(from(&origin, &path))),
            Ok(source) => Ok(source),
            // The reason does not repeat the text, which may be the key itself.
            Err(why) => {
                Err(Error::new(Code::Config, format!("setting `key`: {why} (from {origin})")))
            }
        }
    }

    /// Certificates, or plain text where it does no harm or somebody said the word.
    fn tls(&self, listen: SocketAddr) -> Result<Option<TlsFiles>> {
        let plaintext: bool = self.parse("dangerous_plaintext", "is neither `true` nor `false`")?;
        let client_authority = self.path("tls_client_authority")?;
        match (self.path("tls_certificate")?, self.path("tls_key")?) {
            (Some(certificate), Some(key)) => {
                Ok(Some(TlsFiles { certificate, key, client_authority }))
            }
            (None, None) if client_authority.is_some() => Err(Error::new(
                Code::Config,
                "`tls_client_authority` needs `tls_certificate` and `tls_key`",
            )),
            (None, None) if plaintext || listen.ip().is_loopback() => Ok(None),
            (None, None) => Err(Error::new(
                Code::Config,
                format!(
                    "others can reach {listen}, and there is no TLS: set `tls_certificate` and \
                     `tls_key` (`veilflight tls self-signed` makes a pair), or listen on 127.0.0.1"
                ),
            )),
            _ => Err(Error::new(
                Code::Config,
                "`tls_certificate` and `tls_key` go together: one of them is missing",
            )),
        }
    }

    fn origins(&self) -> Vec<(&'static str, String, Origin)> {
        SETTINGS
            .iter()
            .filter_map(|setting| {
                let (text, origin) = self.written(setting.name).ok()?;
                // A command may hold a password: of the key, only the kind of its place is told.
                let kind = text.split_once(':').map_or("", |(kind, _)| kind);
                let text = if setting.name == "key" { kind } else { text };
                Some((setting.name, text.to_owned(), origin))
            })
            .collect()
    }
}

/// A path as written: relative ones in a file start from the file's folder.
fn from(origin: &Origin, path: impl AsRef<Path>) -> PathBuf {
    match origin {
        Origin::File(file, _) => file.parent().unwrap_or(Path::new("")).join(path),
        _ => path.as_ref().to_owned(),
    }
}

/// The values of a settings file.
fn read_file(path: &Path) -> Result<BTreeMap<&'static str, (String, Origin)>> {
    let unreadable = || format!("the settings file `{}` cannot be read", path.display());
    let text = std::fs::read_to_string(path).context(Code::Config, unreadable)?;
    let known: Vec<&str> = SETTINGS.iter().map(|setting| setting.name).collect();
    let lines = flat::read(path, &text, &known).map_err(|report| {
        let report = render::human(report.diagnostics(), false);
        Error::new(Code::Config, format!("the settings file is invalid\n{report}"))
    })?;
    let mut values = BTreeMap::new();
    for flat::Line { name, value, line } in lines {
        if let Some(setting) = SETTINGS.iter().find(|setting| setting.name == name) {
            values.insert(setting.name, (value, Origin::File(path.to_owned(), line)));
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests;
