//! SQL's `LIKE`, for the filters of metadata commands. Knows no names.

/// SQL's `LIKE`: `%` for any characters, `_` for one, and a backslash before a character that stands for
/// itself. Takes no more steps than the pattern's length times the name's.
pub(super) fn like(pattern: &str, name: &str) -> bool {
    enum Part {
        Any,
        One,
        Same(char),
    }
    let mut parts = Vec::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        parts.push(match c {
            '%' => Part::Any,
            '_' => Part::One,
            '\\' => Part::Same(chars.next().unwrap_or('\\')),
            c => Part::Same(c),
        });
    }
    // What the parts so far leave of the name: `reached[n]` when they can end after n characters.
    let name: Vec<char> = name.chars().collect();
    let mut reached = vec![false; name.len() + 1];
    if let Some(first) = reached.first_mut() {
        *first = true;
    }
    for part in parts {
        reached = match part {
            Part::Any => reached
                .into_iter()
                .scan(false, |before, here| {
                    *before |= here;
                    Some(*before)
                })
                .collect(),
            Part::One | Part::Same(_) => {
                let fits = |c: &char| !matches!(part, Part::Same(same) if same != *c);
                let moved = reached.iter().zip(&name).map(|(here, c)| *here && fits(c));
                std::iter::once(false).chain(moved).collect()
            }
        };
    }
    reached.last().copied().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn patterns_are_those_of_sql() {
        for (pattern, name, expected) in [
            ("", "", true),
            ("", "jobs", false),
            ("%", "", true),
            ("%", "jobs", true),
            ("jobs", "jobs", true),
            ("Jobs", "jobs", false),
            ("j%", "jobs", true),
            ("%b%", "jobs", true),
            ("%o_s", "jobs", true),
            ("____", "jobs", true),
            ("___", "jobs", false),
            ("%s_", "jobs", false),
            ("a_b", "a_b", true),
            ("a_b", "axb", true),
            ("a\\_b", "axb", false),
            ("a\\_b", "a_b", true),
            ("100\\%", "100%", true),
            ("100\\%", "1000", false),
            ("a\\", "a\\", true),
            ("%%_%%", "é", true),
        ] {
            assert_eq!(like(pattern, name), expected, "{pattern} {name}");
        }
        // What makes backtracking matchers slow.
        assert!(!like(&"%a".repeat(2_000), &"a".repeat(128)));
    }

    /// What [`like`] says, from the definition.
    fn plainly(pattern: &[char], name: &[char]) -> bool {
        match (pattern, name) {
            ([], name) => name.is_empty(),
            (['%', rest @ ..], name) => (0..=name.len()).any(|skip| plainly(rest, &name[skip..])),
            (['_', rest @ ..], [_, tail @ ..]) => plainly(rest, tail),
            (['\\', same, rest @ ..], [c, tail @ ..]) | ([same, rest @ ..], [c, tail @ ..]) => {
                same == c && plainly(rest, tail)
            }
            (_, []) => false,
        }
    }

    proptest! {
        #[test]
        fn a_pattern_fits_as_its_definition_says(
            pattern in "[ab%_\\\\]{0,8}", name in "[ab%_\\\\]{0,8}",
        ) {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(like(&pattern, &name), plainly(&chars(&pattern), &chars(&name)));
        }
    }
}
