//! The commands of the hypervisor's prompt.

use thiserror::Error;

/// What a command is to do. Those for a guest name it, or mean the only one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command<'l> {
    /// List the commands.
    Help,
    /// List the guests.
    Guests,
    /// Show a guest's registers.
    State(Option<&'l str>),
    /// Show a guest's interrupts.
    Interrupts(Option<&'l str>),
    /// Show what a guest's memory is made of.
    Memory(Option<&'l str>),
    /// Start a guest again.
    Reset(Option<&'l str>),
    /// End a guest.
    Stop(Option<&'l str>),
    /// Start a guest that has ended.
    Start(Option<&'l str>),
    /// Switch all guests off, and the machine.
    Quit,
}

/// Each command with what it does, for people.
pub const HELP: &str = "\
help            lists the commands
guests          lists the guests
state [GUEST]   shows a guest's registers
irqs [GUEST]    shows a guest's interrupts
memory [GUEST]  shows what a guest's memory is made of
reset [GUEST]   starts a guest again
stop [GUEST]    ends a guest
start [GUEST]   starts a guest that has ended
quit            switches all guests off, and the machine";

/// Why a line is no command.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum CommandError<'l> {
    /// Its first word is none.
    #[error("{0} is no command; help lists them")]
    Unknown(&'l str),
    /// It has a word more than its command takes.
    #[error("{command} takes no {word}")]
    TooMany {
        /// The command.
        command: &'l str,
        /// The word.
        word: &'l str,
    },
}

impl<'l> Command<'l> {
    /// Reads a line; an empty one is no command.
    ///
    /// # Errors
    ///
    /// [`CommandError`].
    pub fn parse(line: &'l str) -> Result<Option<Self>, CommandError<'l>> {
        let mut words = line.split_ascii_whitespace();
        let Some(command) = words.next() else { return Ok(None) };
        let guest = words.next();
        let (parsed, surplus) = match command {
            "help" | "?" => (Self::Help, guest),
            "guests" => (Self::Guests, guest),
            "state" => (Self::State(guest), words.next()),
            "irqs" => (Self::Interrupts(guest), words.next()),
            "memory" => (Self::Memory(guest), words.next()),
            "reset" => (Self::Reset(guest), words.next()),
            "stop" => (Self::Stop(guest), words.next()),
            "start" => (Self::Start(guest), words.next()),
            "quit" => (Self::Quit, guest),
            _ => return Err(CommandError::Unknown(command)),
        };
        match surplus {
            Some(word) => Err(CommandError::TooMany { command, word }),
            None => Ok(Some(parsed)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Command, CommandError, HELP};

    #[test]
    fn a_command_is_a_word_and_the_guest_that_it_is_for() {
        assert_eq!(Command::parse("help"), Ok(Some(Command::Help)));
        assert_eq!(Command::parse("  reset \t domU1 "), Ok(Some(Command::Reset(Some("domU1")))));
        assert_eq!(Command::parse("state"), Ok(Some(Command::State(None))));
        assert_eq!(Command::parse(" "), Ok(None));
    }

    #[test]
    fn what_is_no_command_is_told_by_the_word_that_is_wrong() {
        for (line, words) in [
            ("Reset", "Reset is no command; help lists them"),
            ("r", "r is no command; help lists them"),
            ("quit now", "quit takes no now"),
            ("reset a b", "reset takes no b"),
        ] {
            assert_eq!(Command::parse(line).map_err(|error| std::format!("{error}")), Err(words.into()));
        }
        assert_eq!(Command::parse("R"), Err(CommandError::Unknown("R")));
    }

    #[test]
    fn the_list_has_every_command_that_it_names() {
        for line in HELP.lines() {
            let word = line.split_whitespace().next().unwrap();
            assert!(Command::parse(word).unwrap().is_some(), "{word}");
            assert_eq!(Command::parse(&std::format!("{word} x")).is_ok(), line.contains("[GUEST]"), "{word}");
        }
    }
}
