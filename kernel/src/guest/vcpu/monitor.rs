//! What somebody at the hypervisor's prompt can see of a guest, and do to it.

use crate::arch::aarch64::el1;
use crate::console::terminal::command::{Command, HELP};
use crate::guest::vcpu::{End, Next, Vcpu};
use crate::println;
use lacuna_boot::GuestFrame;

impl Vcpu<'_> {
    /// Carries out a line, and says what is wrong with it if it is no command.
    pub(super) fn command(&mut self, line: &str, frame: &GuestFrame) -> Next {
        match Command::parse(line) {
            Ok(None) => Next::Resume,
            Ok(Some(command)) => self.carry_out(command, frame),
            Err(error) => {
                println!("lacuna: {error}");
                Next::Resume
            }
        }
    }

    fn carry_out(&mut self, command: Command<'_>, frame: &GuestFrame) -> Next {
        let name = self.domain.name();
        let wanted = match command {
            Command::State(guest) | Command::Interrupts(guest) | Command::Memory(guest) | Command::Reset(guest) => {
                guest
            }
            Command::Help | Command::Guests | Command::Quit => None,
        };
        if let Some(other) = wanted.filter(|wanted| *wanted != name) {
            println!("lacuna: {other} is no guest; guests lists them");
            return Next::Resume;
        }
        match command {
            Command::Help => {
                HELP.lines().for_each(|line| println!("lacuna: {line}"));
                println!("lacuna: Ctrl-A three times gives the keyboard to {name}");
            }
            Command::Guests => println!("lacuna: {name}: runs, {}", self.domain.memory_in_words()),
            Command::State(_) => {
                println!("lacuna: {} with PSTATE {:#x}", self.at(frame), frame.pstate);
                println!("{}", el1::snapshot());
            }
            Command::Interrupts(_) => {
                let devices = self.domain.devices().lock();
                for interrupt in devices.vgic.in_use(self.id, &self.lists) {
                    println!("lacuna: {interrupt}");
                }
            }
            Command::Memory(_) => println!("lacuna: {}", self.domain.memory_in_words()),
            Command::Reset(_) => return self.leave(End::Reset),
            Command::Quit => return self.leave(End::Off),
        }
        Next::Resume
    }

    fn leave(&mut self, end: End) -> Next {
        self.end = Some(end);
        Next::Leave
    }
}
