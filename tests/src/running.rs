//! A boot while it goes on: what is printed can be waited for, and answered.

use crate::outcome::Outcome;
use crate::plan::Planned;
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, ChildStdin};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// What the hypervisor takes as its own of the console's input, and hands the keyboard on for.
pub const NEXT_KEYBOARD: &str = "\x01\x01\x01";

/// How often the log is looked at.
const INTERVAL: Duration = Duration::from_millis(20);

/// A machine that runs. Dropping it, as a failing test does, ends the machine. `timeout` limits its time, so that no wait here
/// needs a limit.
#[derive(Debug)]
pub struct Running {
    child: Child,
    input: Option<ChildStdin>,
    begin: Instant,
    log: PathBuf,
    /// Bytes of the log up to the end of what was waited for last.
    seen: usize,
    /// What the end is held against.
    planned: Option<Planned>,
}

impl Running {
    pub(crate) fn new(mut child: Child, log: PathBuf, planned: Option<Planned>) -> Self {
        let input = child.stdin.take();
        Self { child, input, begin: Instant::now(), log, seen: 0, planned }
    }

    /// Waits until `text` is printed, after what was waited for before.
    #[track_caller]
    pub fn expect(&mut self, text: &str) {
        loop {
            // The end is asked for first: what is printed before it is in the log then.
            let ended = self.child.try_wait().expect("a child can be asked for its state").is_some();
            let printed = fs::read(&self.log).expect("the log can be read");
            if let Some(start) = find(&printed[self.seen..], text.as_bytes()) {
                self.seen += start + text.len();
                return;
            }
            if ended {
                self.outcome().fail(&format!("ended without {text:?}"));
            }
            sleep(INTERVAL);
        }
    }

    /// Types `text` on the console.
    #[track_caller]
    pub fn send(&mut self, text: &str) {
        let input = self.input.as_mut().expect("the console has an input");
        if let Err(error) = input.write_all(text.as_bytes()).and_then(|()| input.flush()) {
            self.outcome().fail(&format!("cannot type {text:?}: {error}"));
        }
    }

    /// Takes the keyboard from the guest.
    #[track_caller]
    pub fn take_keyboard(&mut self) {
        self.take_keyboard_from(1);
    }

    /// Takes the keyboard from the first of so many guests that are left.
    #[track_caller]
    pub fn take_keyboard_from(&mut self, guests: usize) {
        self.send(&NEXT_KEYBOARD.repeat(guests));
        self.expect("lacuna: keyboard: hypervisor (help lists the commands)");
        self.expect("lacuna> ");
    }

    /// Takes the keyboard from the guest, has the hypervisor switch everything off, and waits for the end.
    #[track_caller]
    pub fn quit(mut self) -> Outcome {
        self.take_keyboard();
        self.send("quit\r");
        self.finish()
    }

    /// Ends a machine that does not end by itself.
    pub fn stop(mut self) -> Outcome {
        self.terminate();
        self.outcome()
    }

    /// Terminates the child, `timeout`, which passes the signal on to its own.
    fn terminate(&self) {
        // The kernel reuses a child's number only after the child was waited for.
        let killed = kill_process(Pid::from_child(&self.child), Signal::TERM);
        killed.expect("a child that was not waited for can be sent a signal");
    }

    /// Waits for the end, and holds it against the plan of the tree.
    #[track_caller]
    pub fn finish(mut self) -> Outcome {
        let outcome = self.outcome();
        if let Some(planned) = &self.planned {
            planned.check(&outcome);
        }
        outcome
    }

    fn outcome(&mut self) -> Outcome {
        let status = self.child.wait().expect("a child can be waited for");
        let console = String::from_utf8_lossy(&fs::read(&self.log).expect("the log can be read")).into_owned();
        Outcome { console, status, took: self.begin.elapsed(), log: self.log.clone() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let has_ended = self.child.try_wait().expect("a child can be asked for its state").is_some();
        if !has_ended {
            self.terminate();
            self.child.wait().expect("a child can be waited for");
        }
    }
}

/// Where `wanted` starts in `bytes`.
fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::Running;
    use rustix::io::Errno;
    use rustix::process::{Pid, test_kill_process};
    use std::fs::{self, File};
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::path::PathBuf;
    use std::process::{Command, Stdio};
    use std::sync::Mutex;

    fn log(name: &str) -> PathBuf {
        crate::boot::log_directory().join(format!("running.{name}.log"))
    }

    /// A shell in the place of a machine, and of its log a file named after the test.
    fn shell(name: &str, script: &str) -> Running {
        let log = log(name);
        let output = File::create(&log).expect("the log can be written");
        let child = Command::new("sh").args(["-c", script]).stdin(Stdio::piped()).stdout(output).spawn();
        Running::new(child.expect("sh can be run"), log, None)
    }

    #[test]
    fn an_answer_comes_after_the_question() {
        let mut running = shell("answer", "printf 'name? '; read name; echo hello $name; exit 3");
        running.expect("name? ");
        running.send("you\n");
        running.expect("hello you");
        assert_eq!(running.finish().status.code(), Some(3));
    }

    #[test]
    fn a_test_that_fails_ends_its_machine() {
        let number = Mutex::new(None);
        let failure = catch_unwind(|| {
            let mut running =
                shell("drop", "trap 'echo ended; exit' TERM; echo ready; for _ in $(seq 100); do sleep 0.1; done");
            running.expect("ready");
            *number.lock().unwrap() = Some(Pid::from_child(&running.child));
            panic!("a failure");
        });
        assert!(failure.is_err());
        let number = number.into_inner().unwrap().expect("the machine ran");
        assert_eq!(test_kill_process(number), Err(Errno::SRCH));
        let log = fs::read_to_string(log("drop")).expect("the log can be read");
        assert_eq!(log, "ready\nended\n");
    }

    #[test]
    fn what_was_printed_once_is_found_once() {
        let mut running = shell("once", "echo one two one");
        running.expect("one");
        running.expect("one");
        assert!(catch_unwind(AssertUnwindSafe(|| running.expect("one"))).is_err());
    }
}
