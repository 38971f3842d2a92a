//! The hypervisor's command line.

use crate::frames::frametable::plan::Form;
use crate::pdx::Policy;
use alloc::string::String;
use alloc::vec::Vec;
use core::num::NonZeroU16;
use core::time::Duration;
use log::LevelFilter;
use thiserror::Error;

/// What the command line can choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// `loglevel=`: what is printed.
    pub log_level: LevelFilter,
    /// `selftest=`: which self-tests run. If nothing is said, all where there is no guest to start, and none where
    /// there is.
    pub selftest: Option<SelfTest>,
    /// `pdx-compress=`: how frames are renumbered.
    pub pdx: Policy,
    /// `frametable=`: whether holes have entries where there is no MMU to leave them out.
    pub frametable: Form,
    /// `maxcpus=`: how many CPUs run, the one that boots included.
    pub max_cpus: NonZeroU16,
    /// `slice=`: milliseconds that a vCPU runs at a time while another of its CPU is ready.
    pub slice: NonZeroU16,
    /// `strict-guests`: whether a guest that cannot be started ends the boot.
    pub strict_guests: bool,
    /// `mitigations=`: whether exits from guests do what the CPU needs against speculation.
    pub mitigations: Mitigations,
}

/// `mitigations=`: whether exits do anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mitigations {
    /// What the CPU needs.
    #[default]
    Auto,
    /// Nothing.
    Off,
}

/// A choice of self-tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SelfTest {
    /// All of them.
    All,
    /// None.
    Off,
    /// Those whose names start like this.
    Prefix(String),
}

/// What of a command line changes nothing. Prints as it should stand in a warning.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Ignored<'a> {
    /// A known option with a value that it cannot have.
    #[error("{key}={value} is not one of {legal}: ignored")]
    Value {
        /// The option.
        key: &'a str,
        /// The value that it was given.
        value: &'a str,
        /// The values that it can have.
        legal: &'static str,
    },
    /// Words that are no options of the hypervisor's, and may be somebody else's.
    #[error("unknown on the command line: {}", .0.join(" "))]
    Words(Vec<&'a str>),
}

/// A slice unless another is chosen, in milliseconds.
const DEFAULT_SLICE: NonZeroU16 = NonZeroU16::new(10).expect("10 is not 0");
/// The longest slice that can be chosen, in milliseconds.
const MAX_SLICE: u16 = 1000;

impl Default for Options {
    fn default() -> Self {
        Self {
            log_level: LevelFilter::Info,
            selftest: None,
            pdx: Policy::default(),
            frametable: Form::default(),
            max_cpus: NonZeroU16::MAX,
            slice: DEFAULT_SLICE,
            strict_guests: false,
            mitigations: Mitigations::default(),
        }
    }
}

impl Options {
    /// Reads words separated by white space, of which the last one for an option counts. Also returns the words that
    /// change nothing: each option with a value that it cannot have, and last all that is no option.
    pub fn parse(command_line: &str) -> (Self, Vec<Ignored<'_>>) {
        let mut options = Self::default();
        let (mut ignored, mut unknown) = (Vec::new(), Vec::new());
        for word in command_line.split_ascii_whitespace() {
            let (key, value) = word.split_once('=').unwrap_or((word, ""));
            let known = match key {
                "strict-guests" if key.len() == word.len() => {
                    options.strict_guests = true;
                    continue;
                }
                _ if key.len() == word.len() => None,
                "loglevel" => Some((log_level(value).map(|level| options.log_level = level), LOG_LEVELS)),
                "selftest" => Some((selftest(value).map(|choice| options.selftest = Some(choice)), SELF_TESTS)),
                "pdx-compress" => Some((pdx(value).map(|policy| options.pdx = policy), POLICIES)),
                "frametable" => Some((form(value).map(|form| options.frametable = form), FORMS)),
                "slice" => Some((slice(value).map(|slice| options.slice = slice), SLICES)),
                "maxcpus" => Some((value.parse().ok().map(|count| options.max_cpus = count), COUNTS)),
                "mitigations" => Some((mitigations(value).map(|choice| options.mitigations = choice), MITIGATIONS)),
                _ => None,
            };
            match known {
                None => unknown.push(word),
                Some((None, legal)) => ignored.push(Ignored::Value { key, value, legal }),
                Some((Some(()), _)) => {}
            }
        }
        if !unknown.is_empty() {
            ignored.push(Ignored::Words(unknown));
        }
        (options, ignored)
    }

    /// `slice=`, as a time.
    pub fn slice(&self) -> Duration {
        Duration::from_millis(self.slice.get().into())
    }

    /// The self-tests to run where there are as many guests to start.
    pub fn selftest_beside(&self, guests: usize) -> SelfTest {
        self.selftest.clone().unwrap_or(SelfTest::unless_asked(guests))
    }
}

impl SelfTest {
    /// The self-tests that run unless the command line chooses some, where there are as many guests to start.
    pub fn unless_asked(guests: usize) -> Self {
        if guests == 0 { Self::All } else { Self::Off }
    }
}

const LOG_LEVELS: &str = "error, warn, info, debug, trace, 0 to 8";
const SELF_TESTS: &str = "all, off, the start of a name";
const POLICIES: &str = "auto, mask, offset, off";
const FORMS: &str = "directory, contiguous";
const COUNTS: &str = "1 to 65535";
const SLICES: &str = "1 to 1000";
const MITIGATIONS: &str = "auto, off";

/// A number of milliseconds.
fn slice(value: &str) -> Option<NonZeroU16> {
    value.parse().ok().filter(|slice: &NonZeroU16| slice.get() <= MAX_SLICE)
}

/// A level by its name, or by Linux's number, below which the numbers of printed levels lie: 3 is an error, 4 a
/// warning, 6 information, 7 debugging (Linux, Documentation/admin-guide/kernel-parameters.txt, "loglevel=").
fn log_level(value: &str) -> Option<LevelFilter> {
    match value {
        "0" | "1" | "2" | "3" => Some(LevelFilter::Off),
        "error" | "4" => Some(LevelFilter::Error),
        "warn" | "5" | "6" => Some(LevelFilter::Warn),
        "info" | "7" => Some(LevelFilter::Info),
        "debug" | "8" => Some(LevelFilter::Debug),
        "trace" => Some(LevelFilter::Trace),
        _ => None,
    }
}

fn selftest(value: &str) -> Option<SelfTest> {
    match value {
        "all" => Some(SelfTest::All),
        "off" => Some(SelfTest::Off),
        "" => None,
        prefix => Some(SelfTest::Prefix(prefix.into())),
    }
}

fn form(value: &str) -> Option<Form> {
    match value {
        "directory" => Some(Form::Directory),
        "contiguous" => Some(Form::Contiguous),
        _ => None,
    }
}

fn mitigations(value: &str) -> Option<Mitigations> {
    match value {
        "auto" => Some(Mitigations::Auto),
        "off" => Some(Mitigations::Off),
        _ => None,
    }
}

fn pdx(value: &str) -> Option<Policy> {
    match value {
        "auto" => Some(Policy::Auto),
        "mask" => Some(Policy::Mask),
        "offset" => Some(Policy::Offset),
        "off" => Some(Policy::Off),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Mitigations, Options, SelfTest};
    use crate::frames::frametable::plan::Form;
    use crate::pdx::Policy;
    use log::LevelFilter;
    use std::string::ToString;
    use std::vec::Vec;

    fn parsed(command_line: &str) -> Options {
        let (options, ignored) = Options::parse(command_line);
        assert_eq!(ignored, []);
        options
    }

    #[test]
    fn an_empty_command_line_means_the_defaults() {
        for command_line in ["", "  \t\n "] {
            let options = parsed(command_line);
            assert_eq!(options, Options::default());
            assert_eq!((options.log_level, options.selftest), (LevelFilter::Info, None));
            assert_eq!((options.pdx, options.frametable), (Policy::Auto, Form::Directory));
            assert_eq!(options.mitigations, Mitigations::Auto);
        }
    }

    #[test]
    fn each_option_takes_each_of_its_values() {
        for level in ["error", "warn", "info", "debug", "trace"] {
            let options = parsed(&std::format!("loglevel={level}"));
            assert_eq!(options.log_level.to_string().to_lowercase(), level);
        }
        for (value, policy) in
            [("auto", Policy::Auto), ("mask", Policy::Mask), ("offset", Policy::Offset), ("off", Policy::Off)]
        {
            assert_eq!(parsed(&std::format!("pdx-compress={value}")).pdx, policy);
        }
        for (value, tests) in
            [("all", SelfTest::All), ("off", SelfTest::Off), ("vmap::", SelfTest::Prefix("vmap::".into()))]
        {
            assert_eq!(parsed(&std::format!("selftest={value}")).selftest, Some(tests));
        }
        for (value, form) in [("directory", Form::Directory), ("contiguous", Form::Contiguous)] {
            assert_eq!(parsed(&std::format!("frametable={value}")).frametable, form);
        }
        for (value, choice) in [("auto", Mitigations::Auto), ("off", Mitigations::Off)] {
            assert_eq!(parsed(&std::format!("mitigations={value}")).mitigations, choice);
        }
    }

    #[test]
    fn strict_guests_is_a_word_without_a_value_and_maxcpus_a_number() {
        assert!(!parsed("").strict_guests);
        assert!(parsed("strict-guests").strict_guests);
        assert_eq!(Options::parse("strict-guests=1").1.len(), 1);
        assert_eq!(parsed("maxcpus=3").max_cpus.get(), 3);
        let (_, ignored) = Options::parse("maxcpus=0");
        assert_eq!(ignored[0].to_string(), "maxcpus=0 is not one of 1 to 65535: ignored");
    }

    #[test]
    fn with_a_guest_self_tests_run_only_if_asked_for() {
        assert_eq!(parsed("").selftest_beside(0), SelfTest::All);
        assert_eq!(parsed("").selftest_beside(1), SelfTest::Off);
        assert_eq!(parsed("selftest=all").selftest_beside(1), SelfTest::All);
        assert_eq!(parsed("selftest=off").selftest_beside(0), SelfTest::Off);
    }

    #[test]
    fn the_last_of_a_repeated_option_counts() {
        assert_eq!(parsed("loglevel=debug selftest=off\tloglevel=warn").log_level, LevelFilter::Warn);
    }

    #[test]
    fn the_numbers_of_log_levels_are_those_of_linux() {
        let level = |number| parsed(&std::format!("loglevel={number}")).log_level;
        let levels: Vec<_> = (0..=8).map(level).collect();
        let (off, error, warn) = (LevelFilter::Off, LevelFilter::Error, LevelFilter::Warn);
        assert_eq!(levels, [off, off, off, off, error, warn, warn, LevelFilter::Info, LevelFilter::Debug]);
    }

    #[test]
    fn a_value_that_an_option_cannot_have_is_ignored_and_told_with_those_that_it_can() {
        for (word, told) in [
            ("pdx-compress=zip", "pdx-compress=zip is not one of auto, mask, offset, off: ignored"),
            ("loglevel=9", "loglevel=9 is not one of error, warn, info, debug, trace, 0 to 8: ignored"),
            ("frametable=sparse", "frametable=sparse is not one of directory, contiguous: ignored"),
            ("mitigations=none", "mitigations=none is not one of auto, off: ignored"),
            ("selftest=", "selftest= is not one of all, off, the start of a name: ignored"),
        ] {
            let (options, ignored) = Options::parse(word);
            assert_eq!(options, Options::default(), "{word}");
            assert_eq!(ignored.iter().map(ToString::to_string).collect::<Vec<_>>(), [told]);
        }
        let (options, ignored) = Options::parse("loglevel=debug loglevel= pdx-compress=mask=1");
        assert_eq!((options.log_level, options.pdx, ignored.len()), (LevelFilter::Debug, Policy::Auto, 2));
    }

    #[test]
    fn unknown_words_are_told_in_order_and_last() {
        let (options, ignored) = Options::parse("console=ttyAMA0 loglevel=warn quiet selftest frametable=x");
        assert_eq!(options.log_level, LevelFilter::Warn);
        assert_eq!(ignored[1].to_string(), "unknown on the command line: console=ttyAMA0 quiet selftest");
        assert_eq!(ignored.len(), 2);
    }
}
