//! The hypervisor's command line.

use crate::pdx::Policy;
use alloc::string::String;
use alloc::vec::Vec;
use log::LevelFilter;
use thiserror::Error;

/// What the command line can choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// `loglevel=`: what is printed.
    pub log_level: LevelFilter,
    /// `selftest=`: which self-tests run. If nothing is said, all where there is no guest to start, and none where there is.
    pub selftest: Option<SelfTest>,
    /// `pdx-compress=`: how frames are renumbered.
    pub pdx: Policy,
    /// `frametable=`: whether holes have entries where there is no MMU to leave them out.
    pub frametable: Form,
}

/// How the frametable is laid out where virtual addresses are physical ones. On an MMU it is always one array with holes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// Chunks for the groups that have RAM, and a directory to find them by.
    #[default]
    Directory,
    /// One chunk from the first page index to the last, holes included, as Xen has it.
    Contiguous,
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

/// A known option with a value that it cannot have.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{key}={value} is not one of {legal}")]
pub struct OptionError {
    /// The option.
    pub key: &'static str,
    /// The value that it was given.
    pub value: String,
    /// The values that it can have.
    pub legal: &'static str,
}

impl Default for Options {
    fn default() -> Self {
        Self { log_level: LevelFilter::Info, selftest: None, pdx: Policy::default(), frametable: Form::default() }
    }
}

impl Options {
    /// Reads words separated by white space, of which the last one for an option counts. Also returns the words that are no
    /// option: they may be meant for somebody else, so they are worth a warning and no more.
    pub fn parse(command_line: &str) -> Result<(Self, Vec<&str>), OptionError> {
        let mut options = Self::default();
        let mut unknown = Vec::new();
        for word in command_line.split_ascii_whitespace() {
            match word.split_once('=') {
                Some(("loglevel", value)) => options.log_level = log_level(value)?,
                Some(("selftest", value)) => options.selftest = Some(selftest(value)?),
                Some(("pdx-compress", value)) => options.pdx = pdx(value)?,
                Some(("frametable", value)) => options.frametable = form(value)?,
                _ => unknown.push(word),
            }
        }
        Ok((options, unknown))
    }
}

impl Options {
    /// The self-tests to run where there are as many guests to start.
    pub fn selftest_beside(&self, guests: usize) -> SelfTest {
        let unless_asked = if guests == 0 { SelfTest::All } else { SelfTest::Off };
        self.selftest.clone().unwrap_or(unless_asked)
    }
}

fn log_level(value: &str) -> Result<LevelFilter, OptionError> {
    Ok(match value {
        "error" => LevelFilter::Error,
        "warn" => LevelFilter::Warn,
        "info" => LevelFilter::Info,
        "debug" => LevelFilter::Debug,
        "trace" => LevelFilter::Trace,
        _ => {
            return Err(OptionError { key: "loglevel", value: value.into(), legal: "error, warn, info, debug, trace" });
        }
    })
}

fn selftest(value: &str) -> Result<SelfTest, OptionError> {
    Ok(match value {
        "all" => SelfTest::All,
        "off" => SelfTest::Off,
        "" => {
            return Err(OptionError { key: "selftest", value: value.into(), legal: "all, off, the start of a name" });
        }
        prefix => SelfTest::Prefix(prefix.into()),
    })
}

fn form(value: &str) -> Result<Form, OptionError> {
    match value {
        "directory" => Ok(Form::Directory),
        "contiguous" => Ok(Form::Contiguous),
        _ => Err(OptionError { key: "frametable", value: value.into(), legal: "directory, contiguous" }),
    }
}

fn pdx(value: &str) -> Result<Policy, OptionError> {
    Ok(match value {
        "auto" => Policy::Auto,
        "mask" => Policy::Mask,
        "offset" => Policy::Offset,
        "off" => Policy::Off,
        _ => {
            return Err(OptionError { key: "pdx-compress", value: value.into(), legal: "auto, mask, offset, off" });
        }
    })
}

#[cfg(test)]
mod tests {
    use super::{Form, Options, SelfTest};
    use crate::pdx::Policy;
    use log::LevelFilter;
    use std::string::ToString;
    use std::vec::Vec;

    fn parsed(command_line: &str) -> Options {
        let (options, unknown) = Options::parse(command_line).unwrap();
        assert_eq!(unknown, Vec::<&str>::new());
        options
    }

    fn refused(command_line: &str) -> std::string::String {
        Options::parse(command_line).unwrap_err().to_string()
    }

    #[test]
    fn an_empty_command_line_means_the_defaults() {
        for command_line in ["", "  \t\n "] {
            let options = parsed(command_line);
            assert_eq!(options, Options::default());
            assert_eq!((options.log_level, options.selftest), (LevelFilter::Info, None));
            assert_eq!((options.pdx, options.frametable), (Policy::Auto, Form::Directory));
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
    fn a_value_that_an_option_cannot_have_is_refused_with_those_that_it_can() {
        assert_eq!(refused("pdx-compress=zip"), "pdx-compress=zip is not one of auto, mask, offset, off");
        assert_eq!(refused("loglevel=Info"), "loglevel=Info is not one of error, warn, info, debug, trace");
        assert_eq!(refused("frametable=sparse"), "frametable=sparse is not one of directory, contiguous");
        assert_eq!(refused("selftest="), "selftest= is not one of all, off, the start of a name");
    }

    #[test]
    fn unknown_words_are_handed_back_in_order() {
        let (options, unknown) = Options::parse("console=ttyAMA0 loglevel=warn quiet selftest").unwrap();
        assert_eq!(options.log_level, LevelFilter::Warn);
        assert_eq!(unknown, ["console=ttyAMA0", "quiet", "selftest"]);
    }
}
