//! Each test that `docs/threat-model.md` names exists.

use std::fs;
use std::path::{Path, PathBuf};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All text of the files with Rust below `folder`.
fn sources(folder: &str) -> String {
    let mut open = vec![repository().join(folder)];
    let mut text = String::new();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(&path).expect("a folder").flatten().map(|entry| entry.path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text += &fs::read_to_string(&path).expect("a source file");
        }
    }
    text
}

fn has_function(text: &str, name: &str) -> bool {
    text.contains(&format!("fn {name}("))
}

fn exists(kind: &str, name: &str) -> bool {
    let (file, function) = name.rsplit_once("::").unwrap_or(("", name));
    let read = |path: String| fs::read_to_string(repository().join(path)).unwrap_or_default();
    match kind {
        "system" => has_function(&read(format!("tests/system/{file}.rs")), function),
        "host" => sources("kernel/src").replace("\n    ", "\n").contains(&format!("#[test]\nfn {name}(")),
        "self-test" => {
            // Its name is in the list of the suite, and it is a function there: the list alone would not compile.
            has_function(&read(format!("kernel/src/selftest/{file}.rs")), function)
        }
        "step" => sources("tests/bare-guest/src/bad").contains(&format!("step(\"{name}\"")),
        "fuzz" => repository().join(format!("fuzz/fuzz_targets/{name}.rs")).exists(),
        _ => panic!("{kind} is no kind of test"),
    }
}

/// The tests that a page names, as kind and name.
fn named(page: &str) -> Vec<(String, String)> {
    let words = page.split_whitespace().collect::<Vec<_>>().join(" ");
    let code = words.split('`').skip(1).step_by(2);
    let tests = code.filter_map(|code| code.split_once(": ")).map(|(kind, name)| (kind.into(), name.into()));
    tests.filter(|(_, name): &(String, String)| name.chars().any(char::is_lowercase)).collect()
}

#[test]
fn each_promise_names_tests_that_exist() {
    let page = fs::read_to_string(repository().join("docs/threat-model.md")).expect("docs/threat-model.md");
    let tests = named(&page);
    assert!(tests.len() > 40, "{} tests", tests.len());
    let missing: Vec<_> = tests.iter().filter(|(kind, name)| !exists(kind, name)).collect();
    assert!(missing.is_empty(), "docs/threat-model.md names tests that do not exist: {missing:#?}");
}

#[test]
fn a_promise_without_a_test_is_no_promise() {
    let page = fs::read_to_string(repository().join("docs/threat-model.md")).expect("docs/threat-model.md");
    let (_, promises) = page.split_once("## What is promised").expect("promises");
    let (promises, _) = promises.split_once("## What is not promised").expect("what is not promised");
    let rows = promises.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| promise |"));
    for row in rows {
        assert!(!named(row).is_empty(), "{row}");
    }
}

#[test]
fn a_test_that_does_not_exist_is_seen() {
    for (kind, name) in [("system", "bugs::no_such"), ("host", "no_such"), ("step", "no such"), ("fuzz", "no_such")] {
        assert!(!exists(kind, name), "{kind}: {name}");
    }
}
