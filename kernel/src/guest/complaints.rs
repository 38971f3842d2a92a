//! A limit on the reports that a guest can cause.
//!
//! Each error of a guest is reported, and a guest can cause errors as fast as it runs, and reset itself as fast. So
//! reports are limited over all of its lives: there is room for a burst, which fills up again with time, and reports
//! left out are counted.

/// Reports that may follow each other at once.
const BURST: u64 = 256;

/// Nanoseconds after which there is room for one more: twenty a second.
const REFILL_NANOSECONDS: u64 = 50_000_000;

/// The room for reports on one guest.
#[derive(Debug)]
pub struct Complaints {
    room: u64,
    /// Up to when room has been given, in nanoseconds.
    since: u64,
    /// Left out since the last one that was not.
    left_out: u64,
}

/// Whether to report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reporting {
    /// Yes; before it, so many were left out.
    Report {
        /// How many.
        left_out: u64,
    },
    /// No.
    LeaveOut,
}

impl Complaints {
    /// All the room that there can be, at the time `now`, in nanoseconds of a clock that never goes back.
    pub const fn new(now: u64) -> Self {
        Self { room: BURST, since: now, left_out: 0 }
    }

    /// Whether something that happens `now` is reported on the guest `name`. Before the first report after some that were
    /// left out, says how many were.
    pub fn has_room(&mut self, name: &str, now: u64) -> bool {
        match self.one_more(now) {
            Reporting::LeaveOut => false,
            Reporting::Report { left_out } => {
                Self::say_left_out(name, left_out);
                true
            }
        }
    }

    /// Says how many were left out of late, if any were.
    pub fn conclude(&mut self, name: &str) {
        Self::say_left_out(name, core::mem::take(&mut self.left_out));
    }

    fn say_left_out(name: &str, left_out: u64) {
        if left_out > 0 {
            log::warn!("{name}: {left_out} more reports on it were left out");
        }
    }

    /// Whether something that happens `now` is reported.
    pub fn one_more(&mut self, now: u64) -> Reporting {
        let gained = now.saturating_sub(self.since) / REFILL_NANOSECONDS;
        self.since += gained * REFILL_NANOSECONDS;
        self.room = (self.room + gained).min(BURST);
        if self.room == 0 {
            self.left_out += 1;
            return Reporting::LeaveOut;
        }
        self.room -= 1;
        Reporting::Report { left_out: core::mem::take(&mut self.left_out) }
    }
}

#[cfg(test)]
mod tests {
    use super::{BURST, Complaints, REFILL_NANOSECONDS, Reporting};

    #[test]
    fn a_burst_is_reported_and_then_no_more() {
        let mut complaints = Complaints::new(1000);
        for _ in 0..BURST {
            assert_eq!(complaints.one_more(1000), Reporting::Report { left_out: 0 });
        }
        assert_eq!(complaints.one_more(1000), Reporting::LeaveOut);
    }

    #[test]
    fn what_was_left_out_is_counted_once() {
        let mut complaints = Complaints::new(0);
        let reported = (0..BURST + 5).filter(|_| complaints.one_more(0) != Reporting::LeaveOut).count() as u64;
        assert_eq!(reported, BURST);
        assert_eq!(complaints.left_out, 5);
        assert_eq!(complaints.one_more(REFILL_NANOSECONDS), Reporting::Report { left_out: 5 });
        assert_eq!(complaints.left_out, 0);
        assert_eq!(complaints.one_more(REFILL_NANOSECONDS), Reporting::LeaveOut);
        assert_eq!(complaints.one_more(3 * REFILL_NANOSECONDS), Reporting::Report { left_out: 1 });
        assert_eq!(complaints.one_more(3 * REFILL_NANOSECONDS), Reporting::Report { left_out: 0 });
    }

    #[test]
    fn time_gives_no_more_than_a_burst() {
        let mut complaints = Complaints::new(0);
        let later = 1000 * BURST * REFILL_NANOSECONDS;
        let reported = (0..2 * BURST).filter(|_| complaints.one_more(later) != Reporting::LeaveOut).count() as u64;
        assert_eq!(reported, BURST);
    }
}
