//! What the self-tests of an image report, in the Linux kernel's test format (KTAP), and whether to believe it.

use std::fmt;

/// The results of a run that is complete and agrees with itself.
#[derive(Debug, PartialEq, Eq)]
pub struct Report {
    /// Names of the tests that passed, in order.
    pub passed: Vec<String>,
    /// Names of those that did not.
    pub failed: Vec<String>,
}

/// Why a console holds no such report.
#[derive(Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each message says what it is")]
pub enum ReportError {
    NoPlan,
    SecondPlan { line: String },
    NoTests,
    Unnumbered { line: String },
    OutOfOrder { line: String, expected: usize },
    Count { planned: usize, run: usize },
    NoClosing,
    Closing { line: String, expected: String },
}

impl fmt::Display for ReportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPlan => write!(f, "no plan (a line 1..N)"),
            Self::SecondPlan { line } => write!(f, "a second plan, {line:?}"),
            Self::NoTests => write!(f, "no test was run"),
            Self::Unnumbered { line } => write!(f, "{line:?} has no number and name"),
            Self::OutOfOrder { line, expected } => write!(f, "{line:?} where test {expected} was due"),
            Self::Count { planned, run } => write!(f, "{planned} tests were planned, {run} run"),
            Self::NoClosing => write!(f, "no closing line (lacuna: selftest: …)"),
            Self::Closing { line, expected } => write!(f, "the closing line is {line:?} instead of {expected:?}"),
        }
    }
}

impl Report {
    /// Reads the report that is in `console` among other lines.
    pub fn parse(console: &str) -> Result<Self, ReportError> {
        let mut plan = None;
        let mut closing = None;
        let mut report = Self { passed: vec![], failed: vec![] };
        for line in console.lines().map(str::trim_end) {
            if let Some(count) = line.strip_prefix("1..").and_then(|count| count.parse::<usize>().ok()) {
                if plan.replace(count).is_some() {
                    return Err(ReportError::SecondPlan { line: line.into() });
                }
            } else if let Some(result) = line.strip_prefix("ok ") {
                let name = report.next_name(line, result)?;
                report.passed.push(name);
            } else if let Some(result) = line.strip_prefix("not ok ") {
                let name = report.next_name(line, result)?;
                report.failed.push(name);
            } else if line.starts_with("lacuna: selftest: ") {
                closing = Some(line);
            }
        }
        report.agrees(plan.ok_or(ReportError::NoPlan)?, closing.ok_or(ReportError::NoClosing)?)?;
        Ok(report)
    }

    /// The name in `3 - name`, the part of `line` behind its verdict.
    fn next_name(&self, line: &str, result: &str) -> Result<String, ReportError> {
        let unnumbered = || ReportError::Unnumbered { line: line.into() };
        let (number, name) = result.split_once(" - ").ok_or_else(unnumbered)?;
        let expected = self.run() + 1;
        match number.parse() {
            Ok(number) if expected == number => Ok(name.into()),
            Ok(_) => Err(ReportError::OutOfOrder { line: line.into(), expected }),
            Err::<usize, _>(_) => Err(unnumbered()),
        }
    }

    fn run(&self) -> usize {
        self.passed.len() + self.failed.len()
    }

    fn agrees(&self, planned: usize, closing: &str) -> Result<(), ReportError> {
        if planned != self.run() {
            return Err(ReportError::Count { planned, run: self.run() });
        }
        if planned == 0 {
            return Err(ReportError::NoTests);
        }
        let expected = format!("lacuna: selftest: {} passed, {} failed", self.passed.len(), self.failed.len());
        if closing != expected {
            return Err(ReportError::Closing { line: closing.into(), expected });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Report, ReportError};

    const GOOD: &str = "lacuna 0.1.0\r\nKTAP version 1\r\n1..2\r\nok 1 - a::b\r\n# as it should be\r\nok 2 - a::c\r\n\
                        lacuna: selftest: 2 passed, 0 failed\r\n";

    #[test]
    fn a_complete_run_is_read_through_whatever_else_is_printed() {
        let names = vec!["a::b".to_string(), "a::c".to_string()];
        assert_eq!(Report::parse(GOOD), Ok(Report { passed: names, failed: vec![] }));
    }

    #[test]
    fn a_failed_test_is_read_as_failed() {
        let console = GOOD.replace("ok 2", "not ok 2").replace("2 passed, 0", "1 passed, 1");
        assert_eq!(Report::parse(&console), Ok(Report { passed: vec!["a::b".into()], failed: vec!["a::c".into()] }));
    }

    #[test]
    fn a_run_that_contradicts_itself_or_stops_early_is_not_believed() {
        let with = |from, to| Report::parse(&GOOD.replace(from, to)).unwrap_err();
        assert_eq!(with("1..2\r\n", ""), ReportError::NoPlan);
        assert_eq!(with("1..2", "1..3"), ReportError::Count { planned: 3, run: 2 });
        assert_eq!(with("ok 2", "1..2\r\nok 2"), ReportError::SecondPlan { line: "1..2".into() });
        assert_eq!(with("ok 2", "ok 3"), ReportError::OutOfOrder { line: "ok 3 - a::c".into(), expected: 2 });
        assert_eq!(with("ok 1 - a", "ok a"), ReportError::Unnumbered { line: "ok a::b".into() });
        assert_eq!(with("lacuna: selftest", "lacuna: self"), ReportError::NoClosing);
        assert!(matches!(with("2 passed, 0", "3 passed, 0"), ReportError::Closing { .. }));
        assert!(matches!(with("ok 2", "not ok 2"), ReportError::Closing { .. }));
        assert_eq!(
            Report::parse("1..0\nlacuna: selftest: 0 passed, 0 failed\n"),
            Err(ReportError::NoTests),
            "a run without a test is a failure"
        );
    }
}
