//! What came of a boot.

use crate::ktap::Report;
use std::collections::HashMap;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

/// How many lines of a console are shown when a test fails; all of it is in the log.
const TAIL: usize = 40;

/// The status of `timeout` for a command that it had to stop.
const TIMED_OUT: i32 = 124;

/// How every fatal line starts.
pub(crate) const FATAL: &str = "lacuna: fatal: ";

/// How the line of a panic starts, which is a bug of the image whatever it was given.
const PANIC: &str = "lacuna: panic: ";

/// A boot that is over.
#[derive(Debug)]
pub struct Outcome {
    /// All that was printed.
    pub console: String,
    /// QEMU's exit status, which is the guest's.
    pub status: ExitStatus,
    /// How long it took.
    pub took: Duration,
    /// Where the console is kept.
    pub log: PathBuf,
}

impl Outcome {
    /// Expects that self-tests were run, that all passed, and that the machine ended with status 0.
    #[track_caller]
    pub fn expect_pass(&self) -> Report {
        self.expect_quiet_end();
        match Report::parse(&self.console) {
            Ok(report) if report.failed.is_empty() => report,
            Ok(report) => self.fail(&format!("failed: {}", report.failed.join(", "))),
            Err(error) => self.fail(&error.to_string()),
        }
    }

    /// Expects that the machine ended with status 0, and without complaint.
    #[track_caller]
    pub fn expect_quiet_end(&self) {
        self.expect_no_panic();
        if let Some(line) = self.own_lines().find(|line| line.contains(FATAL)) {
            self.fail(&format!("ended by {line:?}"));
        }
        if !self.status.success() {
            self.fail(&format!("ended with {}", self.status_in_words()));
        }
    }

    /// Expects one fatal line, with `text` in it, and a failing status.
    #[track_caller]
    pub fn expect_fatal(&self, text: &str) {
        self.expect_no_panic();
        let lines: Vec<_> = self.own_lines().filter(|line| line.contains(FATAL)).collect();
        match lines.as_slice() {
            [line] if line.starts_with(FATAL) && line.contains(text) => {}
            [line] => self.fail(&format!("ended by {line:?}, which does not say {text:?}")),
            lines => self.fail(&format!("{} fatal lines instead of one about {text:?}", lines.len())),
        }
        self.expect_failing_status();
    }

    /// Expects that the machine ended by itself, with a failing status.
    #[track_caller]
    pub fn expect_failing_status(&self) {
        if self.status.success() || self.status.code() == Some(TIMED_OUT) {
            self.fail(&format!("ended with {} instead of a failing status", self.status_in_words()));
        }
    }

    /// Expects a line with `text` in it.
    #[track_caller]
    pub fn expect_line(&self, text: &str) {
        if !self.console.lines().any(|line| line.contains(text)) {
            self.fail(&format!("no line says {text:?}"));
        }
    }

    /// The lines of the guest `name`, without what the hypervisor puts before each.
    pub fn guest_lines(&self, name: &str) -> Vec<&str> {
        let prefix = format!("({name}) ");
        let lines = self.console.lines().filter_map(|line| line.strip_prefix(prefix.as_str()));
        lines.map(|line| line.trim_end_matches('\r')).collect()
    }

    /// The lines of the hypervisor: those without a guest's mark, which begins with a parenthesis.
    fn own_lines(&self) -> impl Iterator<Item = &str> {
        self.console.split('\n').filter(|line| !line.starts_with('('))
    }

    /// The word that follows `text` where it stands first.
    #[track_caller]
    pub fn word_after(&self, text: &str) -> &str {
        match self.console.split_once(text) {
            Some((_, rest)) => rest.split_whitespace().next().unwrap_or_default(),
            None => self.fail(&format!("nothing says {text:?}")),
        }
    }

    /// What the line for scripts says about memory.
    #[track_caller]
    pub fn facts(&self) -> Facts {
        self.facts_of("lacuna: memory ", "banks=")
    }

    /// What the line for scripts says about the guest that was started, once.
    #[track_caller]
    pub fn guest_facts(&self) -> Facts {
        self.facts_of("lacuna: guest domU1 ", "")
    }

    #[track_caller]
    fn facts_of(&self, start: &str, first_key: &str) -> Facts {
        let lines = self.console.lines().filter_map(|line| line.strip_prefix(start));
        let mut lines = lines.filter(|line| line.starts_with(first_key));
        let (Some(line), None) = (lines.next(), lines.next()) else { self.fail(&format!("not one line {start}…")) };
        let pairs = line.split_whitespace().map(|word| match word.split_once('=') {
            Some((key, value)) => (key.to_string(), value.to_string()),
            None => self.fail(&format!("{word:?} in {line:?} is no key=value")),
        });
        Facts(pairs.collect())
    }

    #[track_caller]
    fn expect_no_panic(&self) {
        if let Some(line) = self.own_lines().find(|line| line.contains(PANIC)) {
            self.fail(&format!("a bug of the image: {line:?}"));
        }
    }

    fn status_in_words(&self) -> String {
        match self.status.code() {
            Some(TIMED_OUT) => format!("no end: it was stopped after {} s", self.took.as_secs()),
            _ => self.status.to_string(),
        }
    }

    /// Fails the test for this `reason`.
    #[track_caller]
    pub fn fail(&self, reason: &str) -> ! {
        let lines: Vec<_> = self.console.lines().collect();
        let tail = lines[lines.len().saturating_sub(TAIL)..].join("\n");
        panic!("{reason}\n---- end of {} ----\n{tail}\n----", self.log.display());
    }
}

/// The words `key=value` of a line.
#[derive(Debug)]
pub struct Facts(HashMap<String, String>);

impl Facts {
    /// The value of `key`.
    #[track_caller]
    pub fn text(&self, key: &str) -> &str {
        self.0.get(key).unwrap_or_else(|| panic!("no {key}= in {:?}", self.0))
    }

    /// The value of `key`, a decimal number.
    #[track_caller]
    pub fn number(&self, key: &str) -> u64 {
        self.text(key).parse().unwrap_or_else(|_| panic!("{key}={} is no number", self.text(key)))
    }
}

#[cfg(test)]
mod tests {
    use super::Outcome;
    use std::os::unix::process::ExitStatusExt;
    use std::panic::catch_unwind;
    use std::process::ExitStatus;
    use std::time::Duration;

    const TESTS: &str = "1..1\nok 1 - a::b\nlacuna: selftest: 1 passed, 0 failed\n";

    fn outcome(console: &str, code: i32) -> Outcome {
        let status = ExitStatus::from_raw(code << 8);
        Outcome { console: console.into(), status, took: Duration::ZERO, log: "x.log".into() }
    }

    fn passes(console: &str, code: i32) -> bool {
        let outcome = outcome(console, code);
        catch_unwind(|| outcome.expect_pass()).is_ok()
    }

    fn is_fatal(console: &str, code: i32) -> bool {
        let outcome = outcome(console, code);
        catch_unwind(|| outcome.expect_fatal("no memory")).is_ok()
    }

    #[test]
    fn a_pass_needs_tests_that_passed_and_status_0() {
        assert!(passes(TESTS, 0));
        assert!(!passes(TESTS, 1));
        assert!(!passes("", 0));
        assert!(!passes(&TESTS.replace("ok 1", "not ok 1").replace("1 passed, 0", "0 passed, 1"), 0));
        assert!(!passes(&format!("{TESTS}lacuna: fatal: something else\n"), 0));
        assert!(!passes(&format!("{TESTS}lacuna: panic: index out of bounds\n"), 0));
    }

    #[test]
    fn a_fatal_end_needs_its_own_line_and_a_failing_status_in_time() {
        const LINE: &str = "lacuna: fatal: no memory node\r\n";
        assert!(is_fatal(LINE, 1));
        assert!(!is_fatal(LINE, 0));
        assert!(!is_fatal(LINE, super::TIMED_OUT));
        assert!(!is_fatal("lacuna: fatal: no device tree\r\n", 1));
        assert!(!is_fatal(&LINE.repeat(2), 1));
        assert!(!is_fatal("no memory", 1));
    }

    #[test]
    fn a_guest_has_its_own_lines_only() {
        let outcome = outcome("lacuna: x\r\n(domU1) a\r\r\n(domU2) b\r\n(domU1)  (domU2) c\n", 0);
        assert_eq!(outcome.guest_lines("domU1"), ["a", " (domU2) c"]);
    }

    #[test]
    fn a_guest_cannot_end_a_boot_by_a_line() {
        assert!(passes(&format!("{TESTS}(domU1) \rlacuna: fatal: no memory\r\n(domU1)+lacuna: panic: x\r\n"), 0));
        assert!(!is_fatal("(domU1) \rlacuna: fatal: no memory\r\n", 1));
    }

    #[test]
    fn the_line_for_scripts_is_read_by_key() {
        let facts = outcome("x\nlacuna: memory banks=3 pdx=mask groups=40/198\r\n", 0).facts();
        assert_eq!((facts.number("banks"), facts.text("groups")), (3, "40/198"));
    }
}
