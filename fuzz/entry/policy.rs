//! What the policy target calls with arbitrary bytes, and what must hold then. Shared by the libFuzzer
//! target and by the smoke test on a stable compiler; makes no bytes of its own.

use std::path::Path;

use veilflight::diagnostic::render;
use veilflight::policy::load::load_bytes;

/// The policy loader answers for any bytes: with a policy whose digest is stable, or with problems that
/// can all be shown at their place.
pub(crate) fn policy(bytes: &[u8]) {
    let path = Path::new("policies/fuzzed.yaml");
    let first = load_bytes(path, bytes);
    let problems = match &first {
        Ok(loaded) => loaded.warnings.as_slice(),
        Err(report) => report.diagnostics(),
    };
    for problem in problems {
        let (Some(file), Some(span)) = (&problem.file, problem.span) else { continue };
        assert!(span.start <= span.end, "a span ends before it begins: {problem:?}");
        assert!(
            file.text().get(span.start..span.end).is_some(),
            "a span points outside its file or into a character: {problem:?}"
        );
    }
    assert_eq!(render::human(problems, true).is_empty(), problems.is_empty());
    assert!(render::json(problems).starts_with('['));
    match (first, load_bytes(path, bytes)) {
        (Ok(first), Ok(second)) => {
            assert_eq!(first.policy.digest.len(), 64);
            assert_eq!(first.policy.digest, second.policy.digest, "the digest is not stable");
        }
        (Err(first), Err(second)) => {
            assert!(first.diagnostics().iter().any(|problem| problem.is_error()));
            assert_eq!(first, second, "the report is not stable");
        }
        _ => panic!("the same bytes are a policy once and none the other time"),
    }
}
