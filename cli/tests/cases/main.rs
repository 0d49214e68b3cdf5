//! Inputs from the field (`tests/cases`): every folder has a check here.

mod case;
mod habits;
mod limits;
mod masks;
mod pictures;
mod text;
mod torch;
mod weights;

use std::collections::BTreeSet;
use std::path::Path;

use case::{CASES, Check};

/// The checks, by folder.
const CHECKS: [&[Check]; 7] = [
    habits::CHECKS,
    limits::CHECKS,
    masks::CHECKS,
    pictures::CHECKS,
    text::CHECKS,
    torch::CHECKS,
    weights::CHECKS,
];

#[test]
fn every_case_has_a_check() {
    let folders = |path: &Path| -> BTreeSet<String> {
        let entries = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
        entries
            .filter(|path| path.is_dir())
            .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
            .collect()
    };
    let cases: BTreeSet<String> = folders(Path::new(CASES))
        .iter()
        .flat_map(|area| {
            folders(&Path::new(CASES).join(area)).into_iter().map(move |name| format!("{area}/{name}"))
        })
        .collect();
    let checks: BTreeSet<String> = CHECKS.iter().copied().flatten().map(|(name, _)| (*name).into()).collect();
    assert_eq!(cases, checks, "folders of tests/cases (left) and checks (right)");
}

/// One test for all checks of a module, so that a failure names the case.
macro_rules! run_checks {
    ($($module:ident)*) => {$(
        #[test]
        fn $module() {
            case::run($module::CHECKS);
        }
    )*};
}
run_checks!(habits limits masks pictures text torch weights);
