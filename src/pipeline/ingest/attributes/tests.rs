//! What all formats of named attributes owe: pieces account for every byte, and where text is cut into blocks
//! does not show. What a format reads is tested beside it.

use super::super::{condor, lsf, pbs, uge};
use super::*;

/// All pieces of a text.
fn pieces<'t>(layout: &dyn Layout, mut text: &'t [u8]) -> Vec<Piece<'t>> {
    let mut pieces = Vec::new();
    while !text.is_empty() {
        let (bytes, piece) = layout.piece(text);
        assert!(bytes > 0 && bytes <= text.len(), "{bytes} of {}", text.len());
        if piece != Piece::Skip {
            pieces.push(piece);
        }
        text = &text[bytes..];
    }
    pieces
}

/// A layout by its format, and text for it with good and bad records.
fn samples() -> Vec<(&'static str, Arc<dyn Layout>, String)> {
    let found = |format: &dyn Attributed, text: &str| {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let input = Input::look(file.path()).unwrap();
        let found = format.look(&input, text.as_bytes()).unwrap();
        (found.layout, text[found.header..].to_owned())
    };
    let rule = "=".repeat(62);
    let dashes = "-".repeat(78);
    let texts: [(&str, Box<dyn Attributed>, String); 8] = [
        (
            "classad",
            Box::new(condor::Ads),
            "A = 1\nB = \"x\\\"y\"\n\n*** Offset = 1\nwhat\n\n\r\nA = 2\r\nC = a + b\r\n\n***\nA = \"\n".into(),
        ),
        (
            "json",
            Box::new(condor::Ads),
            "[\n{\"A\": \"}{\\\"\", \"B\": [1, {}]}\n,\n{\"A\": x}\nwhat {\n{\"C\": null}\n]\n".into(),
        ),
        ("table", Box::new(condor::Ads), "A\tB\n1\t2\n\n1\n3\tundefined\n".into()),
        (
            "pbs",
            Box::new(pbs::Logs(Arc::new(["E".to_owned()].into()))),
            "1;E;2;a=1 b=\"c d\"\n1;S;2;a=1\nx\n1;E;3;a=1 a=2\n1;E;4;\n".into(),
        ),
        (
            "qacct",
            Box::new(uge::Jobs),
            format!("{rule}\nqname a\njobnumber 1\n{rule}\nqname b\n{rule}\nqname c\njobnumber 2\n"),
        ),
        (
            "accounting",
            Box::new(uge::Jobs),
            format!("# x\n{0}\n{0}:1\n\n{0}\n", vec!["1"; 45].join(":")),
        ),
        (
            "bhist",
            Box::new(lsf::Jobs { acct: false }),
            format!(
                "Job <1>, User <a>\nStatus: DONE\n\n{dashes}\n\nJob <2>, Command <a > b>\n{dashes}\nno\n{dashes}\n"
            ),
        ),
        (
            "lsb.acct",
            Box::new(lsf::Jobs { acct: true }),
            "\"JOB_RESIZE\" 1\n\"JOB_FINISH\" \"10\" 1\n\"\n\"JOB_NEW\" \"a\"\"b\"\n".into(),
        ),
    ];
    texts
        .into_iter()
        .map(|(name, format, text)| {
            let (layout, text) = found(format.as_ref(), &text);
            (name, layout, text)
        })
        .collect()
}

#[test]
fn where_a_text_is_cut_does_not_show() {
    for (name, layout, text) in samples() {
        let text = text.as_bytes();
        let all = pieces(layout.as_ref(), text);
        assert!(all.len() >= 3, "{name}: {all:?}");
        for at in 0..=text.len() {
            let whole = layout.whole(&text[..at]);
            assert!(whole <= at, "{name}");
            let mut parts = pieces(layout.as_ref(), &text[..whole]);
            parts.extend(pieces(layout.as_ref(), &text[whole..]));
            assert_eq!(parts, all, "{name} cut at {whole} of {at}");
        }
    }
}

#[test]
fn text_that_is_no_text_is_rejected_and_nothing_is_lost() {
    for (name, layout, text) in samples() {
        for at in 0..text.len() {
            let mut broken = text.clone().into_bytes();
            broken[at] = 0xff;
            let pieces = pieces(layout.as_ref(), &broken);
            assert!(!pieces.is_empty(), "{name}");
            let shown = pieces.iter().any(|piece| match piece {
                Piece::Record(record) => record
                    .iter()
                    .any(|(_, value)| value.text().is_some_and(|text| text.contains('\u{fffd}'))),
                _ => false,
            });
            assert!(!shown, "{name}: a byte that is no text became one, at {at}");
        }
    }
}

#[test]
fn whole_numbers_may_be_written_as_fractions_and_powers() {
    let whole = |text: &'static str| Value::Number(text.into()).whole();
    assert_eq!(whole("1.000000000000000E+03").as_deref(), Some("1000"));
    assert_eq!(whole("12.0").as_deref(), Some("12"));
    assert_eq!(whole("-0.0").as_deref(), Some("-0"));
    assert_eq!(whole("1.5"), None);
    assert_eq!(whole("1e300"), None);
    assert_eq!(Value::of("12.0").whole(), None);
}
