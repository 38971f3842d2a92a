//! The figures that an image counts about itself, and what they may be.

use crate::outcome::Outcome;
use std::fmt;

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Instructions: nanoseconds of a machine that takes one for each.
    Instructions,
    /// Bytes, printed in KiB.
    Bytes,
    /// How often something is done.
    Times,
}

/// A figure with its limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figure {
    /// What was measured.
    pub what: &'static str,
    /// On which machine.
    pub machine: &'static str,
    /// How much it is.
    pub value: u64,
    /// How much it may be.
    pub limit: u64,
    /// Of what.
    pub unit: Unit,
}

impl Figure {
    /// Whether it is as small as it should be.
    pub fn is_within(&self) -> bool {
        self.value <= self.limit
    }
}

/// As a line of a table.
impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, machine, value, limit, unit } = self;
        let (value, limit, unit) = match unit {
            Unit::Instructions => (*value, *limit, "instructions"),
            Unit::Bytes => (value.div_ceil(1024), limit / 1024, "KiB"),
            Unit::Times => (*value, *limit, "times"),
        };
        let verdict = if self.is_within() { "" } else { "  TOO MUCH" };
        write!(f, "{what:<44} {machine:<14} {value:>9} of {limit:>9} {unit}{verdict}")
    }
}

impl Outcome {
    /// The number in the line `lacuna: bench <name>=<number>`.
    #[track_caller]
    pub fn figure(&self, name: &str) -> u64 {
        let lines = self.console.lines().filter_map(|line| line.strip_prefix("lacuna: bench "));
        let mut values = lines.filter_map(|line| line.trim_end().split_once('=')).filter(|(key, _)| *key == name);
        match (values.next().map(|(_, value)| value.parse()), values.next()) {
            (Some(Ok(value)), None) => value,
            _ => self.fail(&format!("not one line lacuna: bench {name}=NUMBER")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Figure, Unit};

    #[test]
    fn a_figure_may_be_as_large_as_its_limit_and_no_larger() {
        let figure = |value| Figure { what: "frametable", machine: "virt", value, limit: 2048, unit: Unit::Bytes };
        assert!(figure(2048).is_within());
        assert!(!figure(2049).is_within());
        assert!(figure(2049).to_string().ends_with("3 of         2 KiB  TOO MUCH"));
    }
}
