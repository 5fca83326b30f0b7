//! What the name of a column says. Names are cut into words, whole names are looked up first, and of
//! words those count first that would do the most harm if they were passed over.

use super::kind::Kind;
use super::tables::WHOLE;

/// What a name says, and by which of its words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    /// The kind.
    pub(super) kind: Kind,
    /// The word or words.
    pub(super) word: String,
}

/// Words and what they mean, the most harmful first. Two words with a plus stand next to each other.
const WORDS: &[(Kind, &str)] = &[
    (
        Kind::Secret,
        "password passwd pwd secret apikey credential credentials cookie claim bearer jwt otp pin token capability",
    ),
    (Kind::Certificate, "dn principal x509 proxy cert certificate fqan subject kerberos"),
    (Kind::Email, "email mail e+mail mailbox notify"),
    (Kind::Phone, "phone mobile fax telephone tel cell msisdn"),
    (
        Kind::NationalId,
        "ssn passport nino social+security soc+sec tax+id national+id insurance license+plate plate vin",
    ),
    (Kind::Card, "card iban+card credit+card"),
    (Kind::BankAccount, "iban bic swift account+number bank"),
    (Kind::Birthday, "birth birthday birthdate dob born"),
    (
        Kind::PersonName,
        "firstname lastname surname forename first+name last+name given+name family+name full+name middle+name \
         maiden person+name patient+name officer+name customer+name nickname",
    ),
    (Kind::UserNumber, "uid user+id owner+id user+number"),
    (
        Kind::User,
        "user users username usernames owner uname login submitter handle author requestor operator officer \
         creator creators editor reviewer contact analyst physician doctor nurse who member assignee",
    ),
    (
        Kind::PersonNumber,
        "patient person customer employee client+id participant enrollee beneficiary mrn case+id rec+id id+num id+number \
         respondent student",
    ),
    (Kind::Address, "ip ipaddr ipv4 ipv6 ip+address ip+addr inet"),
    (Kind::Mac, "mac+address macaddr hwaddr"),
    (Kind::GroupNumber, "gid group+id"),
    (Kind::Command, "cmd command args arguments argv executable submit+line cmdline exe"),
    (Kind::Environment, "env environ environment"),
    (
        Kind::Path,
        "path paths dir directory folder file filename files cwd iwd workdir home log stdout stderr stdin script input output \
         launcher spool",
    ),
    (
        Kind::Host,
        "host hosts hostname hostnames node nodes nodelist machine server startd schedd slot+name worker hop gateway dns fqdn",
    ),
    (Kind::Group, "group groups grp team"),
    (Kind::Account, "account accounting acct project projects allocation wckey charge tenant bank"),
    (Kind::Link, "url uri website web link image photo homepage picture avatar"),
    (Kind::Street, "street address addr house apartment suite pobox building"),
    (Kind::PostalCode, "zip zipcode postcode postal plz"),
    (
        Kind::Prose,
        "comment comments note notes description desc remark remarks message msg reason text body details narrative \
         summary requirements attributes attrs",
    ),
    (Kind::Latitude, "latitude lat"),
    (Kind::Longitude, "longitude lng lon"),
    (Kind::Age, "age"),
    (Kind::Year, "year yob"),
    (Kind::Sex, "sex gender"),
    (Kind::Ethnicity, "race ethnicity ethnic"),
    (
        Kind::Health,
        "diagnosis diagnoses icd disease medication drug drugs allergy allergies religion hiv disability pregnant symptom treatment",
    ),
    (Kind::Education, "education school degree"),
    (Kind::Occupation, "occupation employer profession"),
    (Kind::Marital, "marital married spouse"),
    (Kind::Country, "country nationality citizenship"),
    (
        Kind::Place,
        "city town suburb county region province district neighborhood neighbourhood municipality village precinct borough",
    ),
    (Kind::Site, "site sites"),
    (Kind::Queue, "queue partition qos"),
    (Kind::Experiment, "experiment vo collaboration"),
    (Kind::Job, "job+id jobid cluster+id task+id step+id array+id workflow+id dag"),
    (Kind::Uuid, "uuid guid"),
    (Kind::Digest, "hash sha digest checksum md5"),
    (Kind::ExitCode, "exit+code exit+status return+code exitcode"),
    (Kind::Status, "status state outcome failed"),
    (
        Kind::Time,
        "date time timestamp datetime submitted started finished created modified updated expires expiration at",
    ),
    (Kind::Money, "income salary wage wages price cost amount balance revenue"),
    (Kind::Title, "name title label tag tags"),
    (Kind::Number, "id ids key number no serial"),
];

/// Last words of names of numbers: what is measured, or its unit.
const MEASURES: &[(Kind, &str)] = &[
    (
        Kind::Duration,
        "seconds secs sec minutes mins hours hrs duration elapsed walltime wallclock runtime cpu cputime utime stime time \
         days ms millis lifetime latency age wait",
    ),
    (
        Kind::Memory,
        "memory mem rss vmem vmsize swap disk size bytes kb mb gb kib mib gib pages kbytes mbytes storage sent recvd",
    ),
    (
        Kind::Count,
        "count counts cnt cpus cores gpus nodes tasks slots retries starts completions procs processors attempts matches holds \
         restarts jobs files threads reads writes exceptions reconnects",
    ),
    (
        Kind::Quantity,
        "ratio share percent pct fraction rate efficiency load util utilization score priority prio weight height temperature \
         speed energy power frequency freq factor value level",
    ),
    (Kind::Status, "code status signal universe"),
];

/// First words of names of counts.
const COUNTING: &[&str] = &["num", "n", "nr", "count", "total", "max", "min", "number"];

/// Last words of names that say nothing of what is measured.
const BESIDE: &[&str] = &["req", "requested", "used", "avg", "max", "min", "total", "limit", "raw"];

/// What a name says; `number` when the column holds numbers.
pub(super) fn said(name: &str, number: bool) -> Option<Said> {
    let words = words(name);
    let joined: String = words.concat();
    if joined.is_empty() {
        return None;
    }
    let known = WHOLE.iter().find(|(_, names)| names.split(' ').any(|known| known == joined));
    if let Some((kind, _)) = known {
        return Some(Said { kind: *kind, word: words.join(" ") });
    }
    if number && let Some(kind) = measured(&words) {
        return Some(Said { kind, word: words.join(" ") });
    }
    WORDS.iter().find_map(|(kind, list)| {
        let word = list.split_whitespace().find(|phrase| {
            let phrase: Vec<&str> = phrase.split('+').collect();
            words.windows(phrase.len()).any(|window| window == phrase)
        })?;
        Some(Said { kind: *kind, word: word.replace('+', " ") })
    })
}

/// A number that is measured or counted, by the end or the beginning of its name.
fn measured(words: &[String]) -> Option<Kind> {
    // What comes before `requested` and the like is what is measured.
    let beside = |word: &&String| !BESIDE.contains(&word.as_str());
    let last = words.iter().rev().find(beside).or(words.last())?.as_str();
    let ends = |list: &str| list.split_whitespace().any(|word| word == last);
    let by_end = MEASURES.iter().find(|(_, list)| ends(list)).map(|(kind, _)| *kind);
    let first = words.first()?.as_str();
    let counts = words.len() > 1 && COUNTING.contains(&first) && !matches!(last, "id" | "number");
    by_end.or_else(|| counts.then_some(Kind::Count))
}

/// The words of a name: at capitals, digits and everything that is no letter.
pub(super) fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut word = String::new();
    let chars: Vec<char> = name.chars().collect();
    for (at, c) in chars.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| chars.get(at));
        let after = chars.get(at + 1);
        if !c.is_alphanumeric() {
            words.push(std::mem::take(&mut word));
            continue;
        }
        let rises = c.is_uppercase() && before.is_some_and(|before| before.is_lowercase());
        // The last capital of a run begins the next word: `DAGNode`.
        let ends_run = c.is_uppercase()
            && before.is_some_and(|before| before.is_uppercase())
            && after.is_some_and(|after| after.is_lowercase());
        if rises || ends_run {
            words.push(std::mem::take(&mut word));
        }
        word.extend(c.to_lowercase());
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_into_words() {
        for (name, expected) in [
            ("JobsubClientIpAddress", "jobsub client ip address"),
            ("MATCH_EXP_JOB_Site", "match exp job site"),
            ("x509userproxysubject", "x509userproxysubject"),
            ("DAGNodeName", "dag node name"),
            ("native-country", "native country"),
            (" given_name", "given name"),
            ("resources_used.walltime", "resources used walltime"),
            ("!!", ""),
        ] {
            assert_eq!(words(name).join(" "), expected, "{name}");
        }
    }

    #[test]
    fn names_say_what_they_mean() {
        for (name, number, kind) in [
            ("User", false, Kind::User),
            ("Owner", false, Kind::User),
            ("submitting_user", false, Kind::User),
            ("RemoteUserCpu", true, Kind::Duration),
            ("NumJobStarts", true, Kind::Count),
            ("user_count", true, Kind::Count),
            ("client_ip", false, Kind::Address),
            ("MySurnameField", false, Kind::PersonName),
            ("work_dir", false, Kind::Path),
            ("SubmitLine", false, Kind::Command),
            ("nodes_req", true, Kind::Count),
            ("created_at", false, Kind::Time),
            ("PatientWeight", true, Kind::Quantity),
            ("idNum", false, Kind::PersonNumber),
        ] {
            assert_eq!(said(name, number).map(|said| said.kind), Some(kind), "{name}");
        }
        assert_eq!(said("x1", false), None);
        assert_eq!(said("", false), None);
    }

    #[test]
    fn known_names_are_written_as_they_are_looked_up() {
        for (_, names) in WHOLE {
            for name in names.split(' ') {
                let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
                assert!(plain && !name.is_empty(), "`{name}` in `{names}`");
            }
        }
    }
}
