//! `veilflight partner`: who may come. What they may have is in the policies' grants.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use chrono::NaiveDate;

use super::place::Place;
use super::usage;
use crate::clock::Clock;
use crate::identity::certificate::{parse_fingerprint, parse_subject};
use crate::identity::enrol::{self, Enrolment};
use crate::identity::token::Token;
use crate::state::PartnerRecord;

/// Add, list, disable and re-key partners, see what they took
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  veilflight partner add cern --expires 2027-06-30 --token-file cern.token\n  \
                  veilflight partner add cern --san cern.example.org --require-certificate\n  \
                  veilflight partner disable cern\n\nA running server sees a change at the next call."
)]
pub(super) struct Args {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Add a partner and show the token, once
    Add(Add),
    /// List partners
    List {
        /// Write JSON
        #[arg(long)]
        json: bool,
    },
    /// Refuse a partner from the next call on
    Disable {
        /// The partner
        name: String,
    },
    /// Let a disabled partner in again
    Enable {
        /// The partner
        name: String,
    },
    /// Show what partners took today of what is limited
    Usage(usage::Show),
    /// Make a new token; the old one stops counting at once
    Rotate {
        /// The partner
        name: String,
        /// Write the token to a new file with mode 0600 instead of showing it
        #[arg(long, value_name = "FILE")]
        token_file: Option<PathBuf>,
    },
}

#[derive(Debug, clap::Args)]
struct Add {
    /// The name that grants use: a-z, 0-9, `-` and `_`
    name: String,
    /// The last day (UTC) on which they may come
    #[arg(long, value_name = "DATE")]
    expires: Option<NaiveDate>,
    /// SHA-256 of a client certificate that proves them, in hexadecimal
    #[arg(long, value_name = "HEX", value_parser = parse_fingerprint)]
    fingerprint: Vec<[u8; 32]>,
    /// A subject alternative name (host, URI or e-mail) that proves them in a certificate of the
    /// authority that the server trusts
    #[arg(long, value_name = "NAME", value_parser = parse_subject)]
    san: Vec<String>,
    /// Refuse the token when it comes without a certificate
    #[arg(long)]
    require_certificate: bool,
    /// Make no token: the certificate alone proves them
    #[arg(long)]
    no_token: bool,
    /// Write the token to a new file with mode 0600 instead of showing it
    #[arg(long, value_name = "FILE", conflicts_with = "no_token")]
    token_file: Option<PathBuf>,
}

/// Runs the verb and returns the exit code.
///
/// # Errors
/// When the partner cannot be added, found or changed.
pub(super) fn run(args: Args, clock: Arc<dyn Clock>, out: &mut dyn Write) -> anyhow::Result<u8> {
    let place = args.place;
    match args.verb {
        Verb::Add(add) => {
            let store = place.open_or_create(Arc::clone(&clock))?;
            let enrolment = Enrolment {
                name: add.name.clone(),
                expires: add.expires,
                certificates: add.fingerprint,
                subjects: add.san,
                require_certificate: add.require_certificate,
                without_token: add.no_token,
            };
            hand_over(&add.name, add.token_file.as_deref(), "added", out, || {
                Ok(enrol::add(&*store, &*clock, enrolment)?)
            })?;
        }
        Verb::List { json } => {
            let records = place.open(Arc::clone(&clock))?.partners()?;
            if json {
                let list: Vec<_> = records.iter().map(|record| as_json(record, &*clock)).collect();
                serde_json::to_writer_pretty(&mut *out, &list)?;
                writeln!(out)?;
            } else {
                table(&records, &*clock, out)?;
            }
        }
        Verb::Disable { name } => {
            enrol::set_disabled(&*place.open(clock)?, &name, true)?;
            writeln!(out, "partner `{name}` is refused from the next call on")?;
        }
        Verb::Enable { name } => {
            enrol::set_disabled(&*place.open(clock)?, &name, false)?;
            writeln!(out, "partner `{name}` is let in again")?;
        }
        Verb::Usage(show) => usage::run(&show, &place, clock, out)?,
        Verb::Rotate { name, token_file } => {
            let store = place.open(clock)?;
            hand_over(&name, token_file.as_deref(), "re-keyed", out, || {
                Ok(Some(enrol::rotate(&*store, &name)?))
            })?;
        }
    }
    Ok(0)
}

/// Makes a token and gives it to the custodian, in a file or on the screen. The file is made first: a
/// token that cannot be written down would be lost.
fn hand_over(
    name: &str,
    file: Option<&Path>,
    done: &str,
    out: &mut dyn Write,
    make: impl FnOnce() -> anyhow::Result<Option<Token>>,
) -> anyhow::Result<()> {
    let Some(path) = file else {
        let token = make()?;
        writeln!(out, "partner `{name}` is {done}")?;
        if let Some(token) = token {
            writeln!(out, "token, shown this once: {}", token.expose())?;
        }
        return Ok(());
    };
    let mut opened = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("the token file `{}` cannot be made", path.display()))?;
    let token = match make() {
        Ok(token) => token,
        Err(error) => {
            fs::remove_file(path)?;
            return Err(error);
        }
    };
    if let Some(token) = token {
        writeln!(opened, "{}", token.expose())
            .and_then(|()| opened.sync_all())
            .with_context(|| format!("the token file `{}` cannot be written", path.display()))?;
    }
    writeln!(out, "partner `{name}` is {done}; the token is in `{}` (mode 0600)", path.display())?;
    Ok(())
}

fn status(record: &PartnerRecord, clock: &dyn Clock) -> &'static str {
    if record.disabled {
        "disabled"
    } else if record.expires.is_some_and(|last_day| clock.today() > last_day) {
        "expired"
    } else {
        "active"
    }
}

fn as_json(record: &PartnerRecord, clock: &dyn Clock) -> serde_json::Value {
    let hex = |bytes: &[u8; 32]| data_encoding::HEXLOWER.encode(bytes);
    serde_json::json!({
        "name": record.name,
        "status": status(record, clock),
        "expires": record.expires.map(|date| date.to_string()),
        "token": record.token_hash.is_some(),
        "certificates": record.certificates.iter().map(hex).collect::<Vec<_>>(),
        "subjects": record.subjects,
        "require_certificate": record.require_certificate,
    })
}

fn table(records: &[PartnerRecord], clock: &dyn Clock, out: &mut dyn Write) -> anyhow::Result<()> {
    if records.is_empty() {
        writeln!(out, "no partners; `veilflight partner add NAME` adds one")?;
        return Ok(());
    }
    let width = records.iter().map(|record| record.name.len()).max().unwrap_or(0).max(4);
    writeln!(out, "{:width$}  status    expires     proven by", "name")?;
    for record in records {
        let mut proofs = Vec::new();
        if record.token_hash.is_some() {
            proofs.push("token".to_owned());
        }
        proofs.extend(record.certificates.iter().map(|fingerprint| {
            let short: String =
                data_encoding::HEXLOWER.encode(fingerprint).chars().take(16).collect();
            format!("certificate {short}..")
        }));
        proofs.extend(record.subjects.iter().cloned());
        let mut proofs = proofs.join(", ");
        if record.require_certificate {
            proofs.push_str(" (certificate required)");
        }
        let expires = record.expires.map_or_else(|| "never".to_owned(), |date| date.to_string());
        writeln!(
            out,
            "{:width$}  {:8}  {expires:10}  {proofs}",
            record.name,
            status(record, clock)
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::cli::place::parse;
    use crate::clock::ManualClock;

    fn call(state: &Path, words: &[&str]) -> Result<String, String> {
        let mut all = words.to_vec();
        all.extend(["--state", state.to_str().unwrap()]);
        let mut out = Vec::new();
        let clock = Arc::new(ManualClock::new(1_800_000_000_000_000));
        match run(parse(&all)?, clock, &mut out) {
            Ok(code) => assert_eq!(code, 0),
            Err(error) => return Err(format!("{error:#}")),
        }
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn partners_are_added_listed_disabled_and_enabled() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let added = call(&state, &["add", "cern", "--expires", "2027-06-30"]).unwrap();
        let token = added.trim_end().rsplit(' ').next().unwrap();
        assert_eq!(added, format!("partner `cern` is added\ntoken, shown this once: {token}\n"));
        assert!(token.starts_with("vf_"));
        let fingerprint = "ab".repeat(32);
        call(
            &state,
            &["add", "lab", "--no-token", "--fingerprint", &fingerprint, "--san", "x.example.org"],
        )
        .unwrap();
        call(&state, &["add", "old", "--expires", "2027-01-14"]).unwrap();
        call(&state, &["disable", "cern"]).unwrap();
        let listed = call(&state, &["list"]).unwrap();
        assert_eq!(
            listed,
            "name  status    expires     proven by\n\
             cern  disabled  2027-06-30  token\n\
             lab   active    never       certificate abababababababab.., dns:x.example.org\n\
             old   expired   2027-01-14  token\n"
        );
        call(&state, &["enable", "cern"]).unwrap();
        let json: serde_json::Value =
            serde_json::from_str(&call(&state, &["list", "--json"]).unwrap()).unwrap();
        assert_eq!(json[0]["status"], "active");
        assert_eq!(json[1]["certificates"][0], fingerprint);
        assert!(!json.to_string().contains(token));
    }

    #[test]
    fn a_token_file_has_mode_0600_and_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let file = folder.path().join("cern.token");
        let path = file.to_str().unwrap();
        let shown = call(&state, &["add", "cern", "--token-file", path]).unwrap();
        assert!(!shown.contains("vf_"), "{shown}");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o600);
        let first = fs::read_to_string(&file).unwrap();
        assert!(first.starts_with("vf_") && first.ends_with('\n'));
        let error = call(&state, &["rotate", "cern", "--token-file", path]).unwrap_err();
        assert!(error.contains("cannot be made"), "{error}");
        assert_eq!(fs::read_to_string(&file).unwrap(), first);
        fs::remove_file(&file).unwrap();
        call(&state, &["rotate", "cern", "--token-file", path]).unwrap();
        assert_ne!(fs::read_to_string(&file).unwrap(), first);
    }

    #[test]
    fn a_refused_partner_leaves_no_token_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.token");
        let words = ["add", "Not-A-Name", "--token-file", file.to_str().unwrap()];
        let error = call(&folder.path().join("state"), &words).unwrap_err();
        assert!(error.starts_with("`Not-A-Name` is not a partner's name"), "{error}");
        assert!(!file.exists());
    }
}
