//! Which released column is the user, the address, the site and so on: by the names that batch systems give
//! them, by what the schema says was done to a column, or as the custodian says. Reads no rows.

use std::collections::BTreeMap;

use arrow::datatypes::{DataType, Schema};

use crate::diagnostic::did_you_mean;
use crate::error::{Code, Error, Result};

/// What a column is for a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Who submitted the job.
    User,
    /// The address it was submitted from.
    Ip,
    /// Where it ran.
    Site,
    /// How often it was started.
    Starts,
    /// How often it was completed.
    Completions,
    /// What it ran.
    Command,
    /// The environment it ran in.
    Environment,
    /// When it was submitted.
    Submit,
    /// When it started.
    Start,
    /// When it ended.
    End,
    /// How long it ran, in seconds of one slot.
    Wall,
    /// Processor time used, in seconds.
    Cpu,
    /// Processors that it had.
    Cores,
    /// Memory that was asked for.
    MemoryRequested,
    /// Memory that was used.
    MemoryUsed,
}

/// What is known of a role.
#[derive(Debug)]
struct Known {
    role: Role,
    /// Its word on the command line.
    word: &'static str,
    /// What it is called in a sentence.
    noun: &'static str,
    /// Names of columns, the likelier first; letters in lower case, nothing but letters and digits.
    names: &'static [&'static str],
    /// The rule that would release such a column with the least of it.
    rule: &'static str,
}

static KNOWN: &[Known] = &[
    Known {
        role: Role::User,
        word: "user",
        noun: "the user",
        names: &["user", "username", "owner", "globaluser", "jobowner", "userid", "ujobuser"],
        rule: "{pseudonym: {method: hmac, domain: person}}",
    },
    Known {
        role: Role::Ip,
        word: "ip",
        noun: "the address",
        names: &[
            "jobsubclientipaddress",
            "clientip",
            "clientipaddress",
            "ip",
            "ipaddress",
            "submitip",
        ],
        rule: "{ip: crypto_pan}",
    },
    Known {
        role: Role::Site,
        word: "site",
        noun: "the site",
        names: &[
            "matchexpjobsite",
            "site",
            "jobsite",
            "glideinsite",
            "matchexpjobglideinsite",
            "cluster",
            "partition",
            "queue",
        ],
        rule: "keep",
    },
    Known {
        role: Role::Starts,
        word: "starts",
        noun: "the number of starts",
        names: &["numjobstarts", "jobstarts", "starts", "numstarts"],
        rule: "keep",
    },
    Known {
        role: Role::Completions,
        word: "completions",
        noun: "the number of completions",
        names: &["numjobcompletions", "jobcompletions", "completions", "numcompletions"],
        rule: "keep",
    },
    Known {
        role: Role::Command,
        word: "command",
        noun: "the command",
        names: &["cmd", "command", "submitline", "commandline", "args"],
        rule: "{scrub: {learn_from: [User]}}",
    },
    Known {
        role: Role::Environment,
        word: "environment",
        noun: "the environment",
        names: &["environment", "env", "jobenvironment", "variablelist"],
        rule: "{scrub: {learn_from: [User]}}",
    },
    Known {
        role: Role::Submit,
        word: "submit",
        noun: "the time of submission",
        names: &["qdate", "submit", "submittime", "submitted", "submissiontime", "qtime", "ctime"],
        rule: "{truncate: hour}",
    },
    Known {
        role: Role::Start,
        word: "start",
        noun: "the time of the start",
        names: &["jobstartdate", "start", "starttime", "started", "jobcurrentstartdate"],
        rule: "{truncate: minute}",
    },
    Known {
        role: Role::End,
        word: "end",
        noun: "the time of the end",
        names: &["completiondate", "end", "endtime", "ended", "finishtime", "completiontime"],
        rule: "{truncate: minute}",
    },
    Known {
        role: Role::Wall,
        word: "wall",
        noun: "the wall time",
        names: &[
            "remotewallclocktime",
            "elapsedraw",
            "elapsed",
            "walltime",
            "wallseconds",
            "wall",
            "runtime",
            "wallclock",
            "resourcesusedwalltime",
            "cumulativeslottime",
        ],
        rule: "keep",
    },
    Known {
        role: Role::Cpu,
        word: "cpu",
        noun: "the processor time",
        names: &[
            "cpuseconds",
            "totalcpu",
            "resourcesusedcput",
            "cput",
            "cpuuserseconds",
            "usercpu",
            "remoteusercpu",
            "cpuused",
            "cpu",
        ],
        rule: "keep",
    },
    Known {
        role: Role::Cores,
        word: "cores",
        noun: "the number of processors",
        names: &[
            "cpusused",
            "alloccpus",
            "ncpus",
            "cpusprovisioned",
            "resourcesusedncpus",
            "allocatedprocessors",
            "cpusrequested",
            "requestcpus",
            "reqcpus",
            "cpus",
            "cores",
            "slots",
            "processors",
        ],
        rule: "keep",
    },
    Known {
        role: Role::MemoryRequested,
        word: "memory-requested",
        noun: "the memory asked for",
        names: &[
            "requestmemory",
            "reqmem",
            "memoryrequested",
            "requestedmemory",
            "memrequested",
            "memoryrequestedbytes",
        ],
        rule: "keep",
    },
    Known {
        role: Role::MemoryUsed,
        word: "memory-used",
        noun: "the memory used",
        names: &[
            "memoryusage",
            "residentsetsize",
            "maxrss",
            "memoryused",
            "usedmemory",
            "imagesize",
            "maxvmem",
            "memoryusedbytes",
        ],
        rule: "keep",
    },
];

impl Role {
    fn known(self) -> Option<&'static Known> {
        KNOWN.iter().find(|known| known.role == self)
    }

    /// The word that names it on the command line.
    pub fn word(self) -> &'static str {
        self.known().map_or("", |known| known.word)
    }

    /// What it is called in a sentence.
    pub fn noun(self) -> &'static str {
        self.known().map_or("", |known| known.noun)
    }

    /// All words, for help.
    pub fn words() -> String {
        KNOWN.iter().map(|known| known.word).collect::<Vec<_>>().join(", ")
    }

    /// A rule under which such a column can leave.
    pub fn rule(self) -> &'static str {
        self.known().map_or("keep", |known| known.rule)
    }

    /// The first of some columns that has a name of this role.
    pub fn named<'a>(self, columns: impl Iterator<Item = &'a str> + Clone) -> Option<&'a str> {
        let names = self.known()?.names;
        names.iter().find_map(|name| columns.clone().find(|column| plain(column) == *name))
    }
}

/// A name without what people write it with.
fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// What was done to a column, as the schema that partners get says.
pub const PROTECTION: &str = "veilflight.protection";

/// The columns of the roles.
#[derive(Debug, Clone, Default)]
pub struct Roles(BTreeMap<Role, String>);

impl Roles {
    /// Finds columns for all roles. `said` are lines `role=Column` of the custodian and win.
    ///
    /// # Errors
    /// [`Code::Usage`] for a role that is none and a column that is not released, with what is near.
    pub fn find(schema: &Schema, said: &[String]) -> Result<Self> {
        let names = || schema.fields().iter().map(|field| field.name().as_str());
        let mut roles = BTreeMap::new();
        for line in said {
            let (word, column) = line.split_once('=').ok_or_else(|| {
                let what = format!("`--column {line}`: it takes ROLE=COLUMN, such as user=User");
                Error::new(Code::Usage, what)
            })?;
            let (word, column) = (word.trim(), column.trim());
            let Some(known) = KNOWN.iter().find(|known| known.word == word) else {
                let near = near(word, KNOWN.iter().map(|known| known.word));
                let what = format!("there is no role `{word}`{near} Roles are {}", Role::words());
                return Err(Error::new(Code::Usage, what));
            };
            if !names().any(|name| name == column) {
                return Err(unknown_column(schema, column));
            }
            roles.insert(known.role, column.to_owned());
        }
        for known in KNOWN {
            if roles.contains_key(&known.role) {
                continue;
            }
            let by_name = known.role.named(names()).map(str::to_owned);
            let found = match known.role {
                Role::Ip => by_name.or_else(|| protected_as(schema, "ip.")),
                // A text says when, but not to what can be counted.
                Role::Submit | Role::Start | Role::End => {
                    by_name.filter(|name| is_time(schema, name))
                }
                _ => by_name,
            };
            // One column has one role, unless the custodian says otherwise.
            if let Some(name) = found
                && !roles.values().any(|taken| *taken == name)
            {
                roles.insert(known.role, name);
            }
        }
        Ok(Self(roles))
    }

    /// The column of a role.
    pub fn column(&self, role: Role) -> Option<&str> {
        self.0.get(&role).map(String::as_str)
    }
}

/// The error for a column that is not released.
pub fn unknown_column(schema: &Schema, column: &str) -> Error {
    let names = schema.fields().iter().map(|field| field.name().as_str());
    let near = near(column, names.clone());
    let all = names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    Error::new(Code::Usage, format!("no column `{column}` is released{near} Released are {all}"))
}

fn near<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> String {
    did_you_mean(word, known)
        .map_or_else(|| ".".to_owned(), |near| format!("; did you mean `{near}`?"))
}

/// The first column that a transform of this kind made.
fn protected_as(schema: &Schema, kind: &str) -> Option<String> {
    let made = |protection: &String| protection.starts_with(kind);
    let field =
        schema.fields().iter().find(|field| field.metadata().get(PROTECTION).is_some_and(made))?;
    Some(field.name().clone())
}

/// Whether a column is of dates or times.
pub fn is_time(schema: &Schema, name: &str) -> bool {
    schema.field_with_name(name).is_ok_and(|field| {
        matches!(field.data_type(), DataType::Timestamp(..) | DataType::Date32 | DataType::Date64)
    })
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{Field, TimeUnit};

    use super::*;

    fn schema() -> Schema {
        let text = |name: &str| Field::new(name, DataType::Utf8, true);
        let address = text("Peer")
            .with_metadata([(PROTECTION.to_owned(), "ip.crypto_pan".to_owned())].into());
        Schema::new(vec![
            text("Owner"),
            text("User"),
            address,
            text("MATCH_EXP_JOB_Site"),
            text("Submit"),
            Field::new("Start", DataType::Timestamp(TimeUnit::Second, None), true),
        ])
    }

    #[test]
    fn columns_are_known_by_name_and_by_what_was_done_to_them() {
        let roles = Roles::find(&schema(), &[]).unwrap();
        assert_eq!(roles.column(Role::User), Some("User"));
        assert_eq!(roles.column(Role::Ip), Some("Peer"));
        assert_eq!(roles.column(Role::Site), Some("MATCH_EXP_JOB_Site"));
        // A text is no time.
        assert_eq!(roles.column(Role::Submit), None);
        assert_eq!(roles.column(Role::Start), Some("Start"));
        assert_eq!(roles.column(Role::Starts), None);
    }

    #[test]
    fn what_the_custodian_says_wins_and_mistakes_are_told() {
        let find = |line: &str| Roles::find(&schema(), &[line.to_owned()]);
        assert_eq!(find("user=Owner").unwrap().column(Role::User), Some("Owner"));
        let told = |line: &str| find(line).unwrap_err().to_string();
        assert_eq!(told("user"), "`--column user`: it takes ROLE=COLUMN, such as user=User");
        assert!(told("usr=User").starts_with("there is no role `usr`; did you mean `user`? Roles"));
        let text = told("user=Usre");
        assert!(text.starts_with("no column `Usre` is released; did you mean `User`?"), "{text}");
    }

    #[test]
    fn every_role_has_its_words() {
        for known in KNOWN {
            assert!(std::ptr::eq(known.role.known().unwrap(), known));
            for name in known.names {
                assert_eq!(plain(name), *name, "it is compared in this form");
            }
        }
    }
}
