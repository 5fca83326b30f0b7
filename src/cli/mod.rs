//! The command line: one verb a file. Turns arguments into a verb, what it returns into an exit code,
//! and its error into lines for the operator.

use std::ffi::OsString;
use std::io::{ErrorKind, IsTerminal, Write};
use std::sync::Arc;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

mod audit;
mod budget;
mod completions;
mod examples;
mod export;
mod hand;
mod ingest;
mod key;
mod mapping;
mod partner;
pub mod place;
pub mod policy;
mod progress;
mod reidentify;
mod release;
mod report;
mod risk;
mod serve;
mod tls;
mod usage;
mod verify;

use crate::clock::{Clock, SystemClock};
use crate::error::{Code, Error, Result};

/// How a command ended; the number is the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done as asked.
    Done = 0,
    /// Failed, or called in a way that makes no sense.
    Failed = 1,
    /// Denied by a policy or by credentials.
    Denied = 2,
    /// A policy file is invalid.
    PolicyInvalid = 3,
}

impl Exit {
    /// The exit code for an error.
    const fn of(code: Code) -> Self {
        match code {
            Code::Policy => Self::PolicyInvalid,
            Code::CredentialsMissing
            | Code::CredentialsRefused
            | Code::DatasetUnknown
            | Code::TicketForeign => Self::Denied,
            _ => Self::Failed,
        }
    }
}

const ABOUT: &str = "Share sensitive tables over Arrow Flight, each value through a policy first";

const EXAMPLES: &str = "\
A first dataset, from nothing:
  veilflight key init                        make the master key
  veilflight policy check policies/*.yaml    check what you wrote
  veilflight policy explain policies/jobs.yaml --partner cern
                                             see, column by column, what cern would get
  veilflight partner add cern                make a token for cern; it is shown once
  veilflight tls self-signed                 make certificates for a trial
  veilflight serve --tls-certificate tls/server.pem --tls-key tls/server.key
                                             serve until Ctrl-C
  veilflight export jobs --partner cern --to parquet --out jobs.parquet
                                             or write files, without a server
  veilflight release build adult             a k-anonymous release, where the policy asks for one
  veilflight audit show                      see who pulled what
  veilflight budget show                     what is left of privacy budgets
  veilflight mapping lookup user_0042 ...    the way back, with a reason

Exit codes: 0 done, 1 failed, 2 denied, 3 a policy file is invalid.";

const POLICY_EXAMPLES: &str = "\
Examples:
  veilflight policy init data/jobs --out policies/jobs.yaml
                                                          a first policy, from the data
  veilflight policy check policies --data                 every problem, against the data too
  veilflight policy explain jobs.yaml --partner cern      what cern would get
  veilflight policy explain jobs.yaml --format markdown   for a reviewer
  veilflight policy diff old.yaml new.yaml --fail-on-weaken
  veilflight policy test policies                         run each NAME.test.yaml
  veilflight policy schema > policy.schema.json           for your editor";

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "veilflight", version, about = ABOUT, after_help = EXAMPLES)]
#[command(subcommand_required = true, arg_required_else_help = true, max_term_width = 100)]
struct Root {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Serve(serve::Serve),
    /// Check, explain, compare and test policy files
    #[command(subcommand, arg_required_else_help = true, after_help = POLICY_EXAMPLES)]
    Policy(policy::PolicyCommand),
    Partner(partner::Args),
    Key(key::Args),
    Mapping(mapping::Args),
    Reidentify(reidentify::Args),
    Release(release::Args),
    Tls(tls::Args),
    Audit(audit::Args),
    Budget(budget::Args),
    Export(export::Args),
    Verify(verify::Args),
    Ingest(ingest::Ingest),
    Report(report::Args),
    Risk(risk::Args),
    Completions(completions::Completions),
}

/// The command line as a value, for completions and manuals.
fn command() -> clap::Command {
    examples::with_examples(Root::command())
}

/// Runs the command line and says how it ended. Answers go to `out`, everything else to `err`.
pub fn run(
    arguments: impl IntoIterator<Item = OsString>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Exit {
    let matches = match command().try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(usage) => return tell_usage(&usage, out, err),
    };
    let done = Root::from_arg_matches(&matches)
        .map_err(|usage| Error::new(Code::Usage, usage.to_string()))
        .and_then(|root| act(root.verb, out, err));
    match done {
        Ok(exit) => exit,
        Err(error) => {
            // Nobody is left to tell when standard error is closed.
            let _ = tell(&error, err);
            Exit::of(error.code())
        }
    }
}

fn act(verb: Verb, out: &mut dyn Write, err: &mut dyn Write) -> Result<Exit> {
    match verb {
        Verb::Serve(serve) => serve.run(),
        Verb::Policy(command) => {
            let mut around = policy::Surroundings {
                out,
                err,
                today: SystemClock.today(),
                colour: std::io::stdout().is_terminal(),
            };
            finished(policy::run(command, &mut around))
        }
        Verb::Partner(args) => finished(partner::run(args, Arc::new(SystemClock), out)),
        Verb::Key(args) => finished(key::run(args, Arc::new(SystemClock), out)),
        Verb::Mapping(args) => finished(mapping::run(args, Arc::new(SystemClock), out)),
        Verb::Reidentify(args) => finished(reidentify::run(args, Arc::new(SystemClock), out)),
        Verb::Release(args) => finished(release::run(args, Arc::new(SystemClock), out)),
        Verb::Tls(args) => finished(tls::run(args, Arc::new(SystemClock), out)),
        Verb::Audit(args) => finished(audit::run(args, Arc::new(SystemClock), out)),
        Verb::Budget(args) => finished(budget::run(args, Arc::new(SystemClock), out)),
        Verb::Export(args) => finished(export::run(&args, Arc::new(SystemClock), out)),
        Verb::Verify(args) => finished(verify::run(&args, Arc::new(SystemClock), out)),
        Verb::Ingest(ingest) => finished(ingest.run(out)),
        Verb::Report(args) => finished(report::run(args, Arc::new(SystemClock), out, err)),
        Verb::Risk(args) => finished(risk::run(&args, Arc::new(SystemClock), out)),
        Verb::Completions(completions) => completions.run(out),
    }
}

/// The exit of a verb that counts its own codes. A reader that went away is no failure.
fn finished(done: anyhow::Result<u8>) -> Result<Exit> {
    match done {
        Ok(policy::DONE) => Ok(Exit::Done),
        Ok(policy::DENIED) => Ok(Exit::Denied),
        Ok(policy::INVALID) => Ok(Exit::PolicyInvalid),
        Ok(_) => Ok(Exit::Failed),
        Err(cause) => match cause.downcast::<Error>() {
            Ok(ours) if is_broken_pipe(&ours) => Ok(Exit::Done),
            Ok(ours) => Err(ours),
            Err(cause) => match cause.downcast::<std::io::Error>() {
                Ok(io) if io.kind() == ErrorKind::BrokenPipe => Ok(Exit::Done),
                Ok(io) => Err(Error::new(Code::Usage, "the answer cannot be written").because(io)),
                Err(cause) if cause.chain().len() == 1 => {
                    Err(Error::new(Code::Usage, cause.to_string()))
                }
                Err(cause) => Err(Error::new(Code::Usage, "the command failed").because(cause)),
            },
        },
    }
}

fn is_broken_pipe(error: &Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        if let Some(io) = next.downcast_ref::<std::io::Error>() {
            return io.kind() == ErrorKind::BrokenPipe;
        }
        cause = next.source();
    }
    false
}

/// Help and version are answers; anything else is a mistake in the call.
fn tell_usage(usage: &clap::Error, out: &mut dyn Write, err: &mut dyn Write) -> Exit {
    let text = usage.render();
    if usage.use_stderr() {
        let _ = write!(err, "{text}");
        Exit::Failed
    } else {
        let _ = write!(out, "{text}");
        Exit::Done
    }
}

/// Writes an error for the operator: what was being done, then each cause on a line of its own.
fn tell(error: &Error, err: &mut dyn Write) -> std::io::Result<()> {
    if error.code() == Code::Policy {
        // The text is a report already.
        return writeln!(err, "{error}");
    }
    writeln!(err, "error[{}]: {error}", error.code())?;
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        writeln!(err, "  because: {next}")?;
        cause = next.source();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(line: &str) -> (Exit, String, String) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let exit = run(line.split(' ').map(OsString::from), &mut out, &mut err);
        (exit, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }

    #[test]
    fn the_command_line_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn help_is_an_answer_and_names_every_verb() {
        let (exit, out, err) = call("veilflight --help");
        assert_eq!((exit, err.as_str()), (Exit::Done, ""));
        for verb in command().get_subcommands() {
            assert!(out.contains(verb.get_name()), "{}", verb.get_name());
            assert!(verb.get_about().is_some(), "{} has no help", verb.get_name());
        }
    }

    #[test]
    fn a_wrong_flag_is_a_failure_with_advice() {
        let (exit, out, err) = call("veilflight serve --lisden 1");
        assert_eq!((exit, out.as_str()), (Exit::Failed, ""));
        assert!(err.contains("--listen"), "{err}");
    }

    #[test]
    fn an_error_is_told_with_its_causes() {
        let cause = std::io::Error::other("disk on fire");
        let error = Error::new(Code::State, "the state cannot be read").because(cause);
        let mut text = Vec::new();
        tell(&error, &mut text).unwrap();
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "error[M001]: the state cannot be read\n  because: disk on fire\n"
        );
    }

    #[test]
    fn a_reader_that_went_away_is_no_failure() {
        let gone = || std::io::Error::from(ErrorKind::BrokenPipe);
        assert_eq!(finished(Err(gone().into())).unwrap(), Exit::Done);
        let wrapped = Error::new(Code::State, "the list cannot be written").because(gone());
        assert_eq!(finished(Err(wrapped.into())).unwrap(), Exit::Done);
        let full = std::io::Error::from(ErrorKind::StorageFull);
        assert_eq!(finished(Err(full.into())).unwrap_err().code(), Code::Usage);
    }

    #[test]
    fn exit_codes_say_what_happened() {
        assert_eq!(Exit::of(Code::Policy), Exit::PolicyInvalid);
        assert_eq!(Exit::of(Code::DatasetUnknown), Exit::Denied);
        assert_eq!(Exit::of(Code::State), Exit::Failed);
    }
}
