//! Lists of hosts: what they stand for, and what is refused. Knows no scheduler beside its lists.

use proptest::prelude::*;

use super::*;

fn nodes(text: &str) -> Vec<String> {
    expand_nodes(text).unwrap()
}

#[test]
fn lists_of_slurm_are_expanded_in_order_with_their_zeros() {
    assert_eq!(nodes("cpn-f13-03-[01-02]"), ["cpn-f13-03-01", "cpn-f13-03-02"]);
    assert_eq!(
        nodes("a[1,3-5]b[01-02]"),
        ["a1b01", "a1b02", "a3b01", "a3b02", "a4b01", "a4b02", "a5b01", "a5b02"]
    );
    assert_eq!(nodes("n1,n[2,08-10]-ib,z"), ["n1", "n2-ib", "n08-ib", "n09-ib", "n10-ib", "z"]);
    assert_eq!(nodes("n[9-11]"), ["n9", "n10", "n11"]);
    assert_eq!(nodes("n[099-101]"), ["n099", "n100", "n101"]);
    assert_eq!(nodes("[1-2]"), ["1", "2"]);
    assert_eq!(nodes(" login01 "), ["login01"]);
    // One host is named twice where the list does so.
    assert_eq!(nodes("n[1,1]"), ["n1", "n1"]);
}

#[test]
fn no_hosts_are_an_empty_list() {
    for none in ["", "  ", "None assigned", "none assigned", "(null)"] {
        assert_eq!(nodes(none), Vec::<String>::new(), "{none:?}");
    }
}

#[test]
fn lists_that_cannot_be_meant_are_refused() {
    let refused = [
        ("n[1-2", "a bracket is not closed"),
        ("n1-2]", "a bracket closes that was not opened"),
        ("n[1,[2-3]]", "brackets inside brackets"),
        ("n[]", "something in brackets that is no number"),
        ("n[a-b]", "something in brackets that is no number"),
        ("n[1-]", "something in brackets that is no number"),
        ("n[1-2-3]", "something in brackets that is no number"),
        ("n[-1]", "something in brackets that is no number"),
        ("n[3-1]", "a range that ends before it begins"),
        ("n[1-010]", "the ends of a range are padded differently"),
        ("n1,,n2", "an empty name"),
        ("n1,", "an empty name"),
        ("n 1", "white space inside a name"),
        ("n[1-99999999999999999999]", "something in brackets that is no number"),
        ("n1/0+", "an empty name"),
        ("(n1:ncpus=1+n2", "a parenthesis is not closed"),
        ("n1:ncpus=1)", "a parenthesis closes that was not opened"),
        ("<n1*4", "an angle bracket is not closed"),
        ("x*n1", "a number of slots that is none"),
    ];
    for (text, reason) in refused {
        assert_eq!(expand_nodes(text).unwrap_err(), reason, "{text}");
    }
    assert_eq!(expand_nodes(&"n".repeat(256)).unwrap_err(), "a name of more than 255 bytes");
    assert_eq!(
        expand_nodes(&format!("{}[1-3]", "n".repeat(255))).unwrap_err(),
        "a name of more than 255 bytes"
    );
}

#[test]
fn a_short_list_of_very_many_hosts_is_refused_before_it_is_made() {
    assert_eq!(nodes("n[1-1000000]").len(), NODES_MAX);
    for text in [
        "n[1-1000001]",
        "n[0-999999],m",
        "n[0-999999999999999999]",
        "n[0-999999999999999999,0-999999999999999999]",
        "a[0-999]b[0-999]c[0-9]",
        "a[0-999999999999999999]b[0-999999999999999999]",
    ] {
        assert_eq!(expand_nodes(text).unwrap_err(), "more than 1000000 hosts", "{text}");
    }
}

#[test]
fn a_host_of_pbs_is_named_once_however_many_slots_it_gives() {
    assert_eq!(nodes("n1/0*4+n2/1"), ["n1", "n2"]);
    assert_eq!(nodes("node101/0-31+node102/0-31"), ["node101", "node102"]);
    assert_eq!(nodes("n2/0+n2/1+n1/0+n2/2"), ["n2", "n1"]);
    assert_eq!(nodes("(n1:ncpus=4:mem=2gb+n2:ncpus=1)+(n3:ncpus=2)"), ["n1", "n2", "n3"]);
    assert_eq!(nodes("(n1:ncpus=4)"), ["n1"]);
}

#[test]
fn a_host_of_lsf_is_named_once_however_many_slots_it_gives() {
    assert_eq!(nodes("4*hostA:hostB"), ["hostA", "hostB"]);
    assert_eq!(nodes("4*hostA 2*hostB"), ["hostA", "hostB"]);
    assert_eq!(nodes("hostA:hostA:hostB:hostA"), ["hostA", "hostB"]);
    assert_eq!(nodes("<gpu-node01>*16"), ["gpu-node01"]);
    assert_eq!(nodes("<a>*2, <b>*2"), ["a", "b"]);
}

/// A name's part that no list reads as anything else.
const PART: &str = "[a-z][a-z.-]{0,6}";

proptest! {
    #[test]
    fn what_is_written_as_ranges_comes_back(
        prefix in PART, suffix in PART, first in 0_u64..2000, more in 0_u64..50, width in 1_usize..6,
    ) {
        let last = first + more;
        let want: Vec<String> =
            (first..=last).map(|at| format!("{prefix}{at:0width$}{suffix}")).collect();
        // A range is written with the width of its first number.
        prop_assume!(format!("{last:0width$}").len() == format!("{first:0width$}").len() || width == 1);
        let text = format!("{prefix}[{first:0width$}-{last:0width$}]{suffix}");
        prop_assert_eq!(nodes(&text), want.clone());
        // Each number by itself, and each name by itself, say the same.
        let each: Vec<String> = (first..=last).map(|at| format!("{at:0width$}")).collect();
        prop_assert_eq!(nodes(&format!("{prefix}[{}]{suffix}", each.join(","))), want.clone());
        prop_assert_eq!(nodes(&want.join(",")), want.clone());
        // So do PBS and LSF.
        let pbs: Vec<String> = want.iter().map(|name| format!("{name}/0*2+{name}/7")).collect();
        prop_assert_eq!(nodes(&pbs.join("+")), want.clone());
        let lsf: Vec<String> = want.iter().map(|name| format!("3*{name}:{name}")).collect();
        prop_assert_eq!(nodes(&lsf.join(":")), want);
    }

    #[test]
    fn several_brackets_are_all_their_pairs(a in 1_u64..20, b in 1_u64..20) {
        let want: Vec<String> = (1..=a)
            .flat_map(|first| (1..=b).map(move |second| format!("r{first}n{second:02}")))
            .collect();
        prop_assert_eq!(nodes(&format!("r[1-{a}]n[01-{b:02}]")), want);
    }

    #[test]
    fn whatever_is_written_is_answered(text in "[a-c0-9,\\[\\]*+/:<>() -]{0,40}") {
        if let Ok(names) = expand_nodes(&text) {
            prop_assert!(names.len() <= NODES_MAX);
            for name in names {
                prop_assert!(!name.is_empty() && name.len() <= NAME_MAX);
                prop_assert!(!name.contains(['[', ']', '*', '<', '>', ' ', ',']));
            }
        }
    }
}
