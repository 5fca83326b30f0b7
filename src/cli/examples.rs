//! Examples for the verbs that have none beside their own code: each verb's `--help` ends with some. What they do is
//! said where the verbs are.

/// By verb: what its `--help` ends with, a line each.
const EXAMPLES: &[(&str, &[&str])] = &[
    (
        "audit export",
        &["veilflight audit export --out audit.jsonl", "veilflight audit export | jq .partner"],
    ),
    (
        "audit show",
        &[
            "veilflight audit show --partner cern --since 2026-11-01",
            "veilflight audit show --dataset jobs --limit 20 --json",
        ],
    ),
    ("audit verify", &["veilflight audit verify", "veilflight audit verify --json"]),
    ("key init", &["veilflight key init", "veilflight key init --state /var/lib/veilflight"]),
    ("key rotate", &["veilflight key rotate"]),
    ("key show-ids", &["veilflight key show-ids", "veilflight key show-ids --json"]),
    (
        "mapping export",
        &[
            "veilflight mapping export --dataset jobs --column User --partner cern --out mapping.txt --reason 'yearly copy'",
        ],
    ),
    (
        "mapping import",
        &[
            "veilflight mapping import mapping.txt --dataset jobs --column User --partner cern --reason 'tokens of the old script'",
        ],
    ),
    ("mapping list", &["veilflight mapping list"]),
    (
        "mapping lookup",
        &[
            "veilflight mapping lookup user_0042 --dataset jobs --column User --partner cern --reason 'ticket 4711'",
        ],
    ),
    ("mapping seal", &["veilflight mapping seal --reason 'the way back goes to the vault'"]),
    (
        "mapping seal-key",
        &[
            "veilflight mapping seal-key --out /media/usb/originals.key --reason 'the way back goes to the vault'",
        ],
    ),
    (
        "partner add",
        &[
            "veilflight partner add cern --expires 2027-06-30 --token-file cern.token",
            "veilflight partner add cern --san cern.example.org --require-certificate",
        ],
    ),
    ("partner disable", &["veilflight partner disable cern"]),
    ("partner enable", &["veilflight partner enable cern"]),
    ("partner list", &["veilflight partner list", "veilflight partner list --json"]),
    ("partner rotate", &["veilflight partner rotate cern --token-file cern.token"]),
    ("partner usage", &["veilflight partner usage", "veilflight partner usage cern"]),
    (
        "policy check",
        &[
            "veilflight policy check policies",
            "veilflight policy check policies/jobs.yaml --data",
            "veilflight policy check policies --deny-warnings --format json",
        ],
    ),
    ("policy diff", &["veilflight policy diff jobs-old.yaml jobs.yaml --fail-on-weaken"]),
    (
        "policy explain",
        &[
            "veilflight policy explain policies/jobs.yaml --partner cern",
            "veilflight policy explain policies/jobs.yaml --data --format markdown",
        ],
    ),
    ("policy schema", &["veilflight policy schema"]),
    (
        "policy test",
        &["veilflight policy test policies", "veilflight policy test policies/jobs.yaml --print"],
    ),
    (
        "report breakdown",
        &["veilflight report breakdown --by Site --dataset jobs --partner cern --out reports"],
    ),
    (
        "report commands",
        &["veilflight report commands --dataset jobs --partner cern --out reports"],
    ),
    (
        "report correlations",
        &["veilflight report correlations --dataset jobs --partner cern --out reports"],
    ),
    (
        "report efficiency",
        &["veilflight report efficiency --dataset jobs --partner cern --out reports"],
    ),
    (
        "report failed-users",
        &[
            "veilflight report failed-users --dataset jobs --partner cern --out reports --column user=Owner",
        ],
    ),
    ("report ips", &["veilflight report ips --dataset jobs --partner cern --out reports"]),
    ("report list", &["veilflight report list"]),
    ("report ragged", &["veilflight report ragged --dataset jobs --partner cern --out reports"]),
    (
        "report site",
        &[
            "veilflight report site FermiGrid --dataset jobs --partner cern --out reports",
            "veilflight report site --all-sites --dataset jobs --partner cern --out reports",
        ],
    ),
    ("report summary", &["veilflight report summary --dataset jobs --partner cern --out reports"]),
    ("report users", &["veilflight report users --dataset jobs --partner cern --out reports"]),
    ("report vectors", &["veilflight report vectors --dataset jobs --partner cern --out reports"]),
];

/// The command with examples behind the help of each verb that has none of its own.
pub(super) fn with_examples(command: clap::Command) -> clap::Command {
    below(command, "")
}

fn below(command: clap::Command, path: &str) -> clap::Command {
    command.mut_subcommands(|verb| {
        let path = format!("{path} {}", verb.get_name());
        let path = path.trim_start();
        let lines = EXAMPLES.iter().find(|(known, _)| *known == path);
        let verb = match lines {
            Some((_, lines)) => {
                let own = verb.get_after_help().map(|own| format!("\n\n{own}")).unwrap_or_default();
                verb.after_help(format!("Examples:\n  {}{own}", lines.join("\n  ")))
            }
            None => verb,
        };
        below(verb, path)
    })
}

#[cfg(test)]
mod tests {
    use super::super::command;
    use super::*;

    fn verbs(command: &clap::Command, path: &str, all: &mut Vec<(String, String)>) {
        for verb in command.get_subcommands() {
            let path = format!("{path} {}", verb.get_name()).trim_start().to_owned();
            if verb.has_subcommands() {
                verbs(verb, &path, all);
            } else {
                let help = verb.get_after_long_help().or(verb.get_after_help());
                all.push((path, help.map_or_else(String::new, ToString::to_string)));
            }
        }
    }

    #[test]
    fn every_verb_has_an_example_and_each_example_is_understood() {
        let mut all = Vec::new();
        verbs(&command(), "", &mut all);
        assert!(all.len() > 40, "{}", all.len());
        for (verb, help) in &all {
            assert!(help.contains("Example"), "`{verb} --help` has no example");
        }
        for (verb, lines) in EXAMPLES {
            assert!(all.iter().any(|(known, _)| known == verb), "there is no `{verb}`");
            for line in *lines {
                assert!(line.starts_with(&format!("veilflight {verb}")), "{line}");
                let call = line.split(" | ").next().unwrap();
                // Quotes hold one word.
                let words = call.split('\'').enumerate().flat_map(|(at, part)| match at % 2 {
                    0 => part.split_whitespace().collect::<Vec<_>>(),
                    _ => vec![part],
                });
                command()
                    .try_get_matches_from(words)
                    .unwrap_or_else(|error| panic!("{line}: {error}"));
            }
        }
    }
}
