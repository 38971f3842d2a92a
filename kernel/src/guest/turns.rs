//! Turns of the vCPUs that share a physical CPU.
//!
//! Time passes in rounds. In each round every vCPU may run for one slice, in as many pieces as it likes. A vCPU that
//! wakes and has a part of its slice left runs at once; a vCPU that has used its slice up runs again when no ready vCPU
//! has a part of its own left, which begins the next round. So a vCPU that sleeps often is served quickly, and no vCPU
//! waits for longer than one slice of each of the others.
//!
//! Pure: the caller knows the time, in ticks of the counter, and runs the vCPUs.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// How a turn ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TurnEnd {
    /// The vCPU could continue, and another is more urgent.
    Preempted,
    /// The vCPU gives the rest of its slice up.
    Yield,
    /// The vCPU waits for an interrupt, until this time at the latest if there is one.
    Sleep(Option<u64>),
    /// The vCPU is off.
    Off,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SharerState {
    /// Off, or running.
    Absent,
    /// In the queue.
    Ready,
    /// Waiting for [`Turns::wake`], or for this time.
    Asleep(Option<u64>),
}

#[derive(Clone, Copy, Debug)]
struct Sharer {
    state: SharerState,
    /// Ticks of its slice that are left in this round.
    left: u64,
}

/// The vCPUs of one CPU, by number, and the order in which they run.
#[derive(Debug)]
pub struct Turns {
    seats: Vec<Sharer>,
    /// The ready vCPUs. Those with a part of their slice left come first.
    queue: VecDeque<usize>,
    /// How many at the front of the queue woke since the turn began.
    woken: usize,
    /// How many vCPUs wait for an interrupt.
    sleepers: usize,
    /// The vCPU that runs, and since when.
    running: Option<(usize, u64)>,
    /// Ticks of a slice.
    slice: u64,
}

impl Turns {
    /// For as many vCPUs as `seats`, all of them off, with slices of `slice` ticks, at least one.
    pub fn new(seats: usize, slice: u64) -> Self {
        let slice = slice.max(1);
        Self {
            seats: (0..seats).map(|_| Sharer { state: SharerState::Absent, left: slice }).collect(),
            queue: VecDeque::with_capacity(seats),
            sleepers: 0,
            woken: 0,
            running: None,
            slice,
        }
    }

    /// `seat` is ready: it was switched on, or there is something for it to do. Nothing changes if it is ready already, or
    /// runs.
    pub fn wake(&mut self, seat: usize) {
        let is_running = self.running.is_some_and(|(running, _)| running == seat);
        if is_running || self.seats[seat].state == SharerState::Ready {
            return;
        }
        self.sleepers -= usize::from(self.is_asleep(seat));
        self.seats[seat].state = SharerState::Ready;
        if self.seats[seat].left > 0 {
            self.queue.insert(self.woken, seat);
            self.woken += 1;
        } else {
            self.queue.push_back(seat);
        }
    }

    /// Wakes each vCPU that waits for a time which has come.
    pub fn wake_due(&mut self, now: u64) {
        if self.sleepers == 0 {
            return;
        }
        for seat in 0..self.seats.len() {
            if let SharerState::Asleep(Some(until)) = self.seats[seat].state
                && until <= now
            {
                self.wake(seat);
            }
        }
    }

    /// Whether a vCPU waits for an interrupt.
    #[inline]
    pub fn has_sleepers(&self) -> bool {
        self.sleepers > 0
    }

    /// Whether `seat` waits for an interrupt.
    pub fn is_asleep(&self, seat: usize) -> bool {
        matches!(self.seats[seat].state, SharerState::Asleep(_))
    }

    /// Whether a vCPU is ready that does not run.
    #[inline]
    pub fn has_ready(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Begins the turn of the next vCPU, if one is ready. No turn is in progress.
    pub fn next(&mut self, now: u64) -> Option<usize> {
        debug_assert!(self.running.is_none(), "one turn at a time");
        let seat = self.queue.pop_front()?;
        self.woken = 0;
        if self.seats[seat].left == 0 {
            // No vCPU with a part of its slice left is behind one without.
            self.seats.iter_mut().for_each(|seat| seat.left = self.slice);
        }
        self.seats[seat].state = SharerState::Absent;
        self.running = Some((seat, now));
        Some(seat)
    }

    /// Whether the turn in progress is over at `now`: another vCPU is ready, and has just woken, or the slice is used up.
    pub fn is_over(&self, now: u64) -> bool {
        let Some((seat, since)) = self.running else { return false };
        self.woken > 0 || self.has_ready() && now.wrapping_sub(since) >= self.seats[seat].left
    }

    /// When to look again, while a vCPU runs or all wait: at the end of a slice, or when a vCPU is due to wake.
    pub fn deadline(&self) -> Option<u64> {
        let over = self.running.filter(|_| self.has_ready()).map(|(seat, since)| since + self.seats[seat].left);
        if self.sleepers == 0 {
            return over;
        }
        let wakes = self.seats.iter().filter_map(|seat| match seat.state {
            SharerState::Asleep(until) => until,
            _ => None,
        });
        wakes.chain(over).min()
    }

    /// `seat` is off: its turn ends, or never begins.
    pub fn forget(&mut self, seat: usize) {
        self.running.take_if(|(running, _)| *running == seat);
        if let Some(at) = self.queue.iter().position(|queued| *queued == seat) {
            self.queue.remove(at);
            self.woken -= usize::from(at < self.woken);
        }
        self.sleepers -= usize::from(self.is_asleep(seat));
        self.seats[seat].state = SharerState::Absent;
    }

    /// Ends the turn in progress.
    pub fn end(&mut self, now: u64, how: TurnEnd) {
        let Some((seat, since)) = self.running.take() else { return };
        let left = &mut self.seats[seat].left;
        *left = left.saturating_sub(now.wrapping_sub(since));
        if how == TurnEnd::Yield {
            *left = 0;
        }
        let has_time = *left > 0;
        self.seats[seat].state = match how {
            TurnEnd::Preempted | TurnEnd::Yield => {
                // Behind those that woke, in front of those whose turn comes later.
                if has_time {
                    self.queue.insert(self.woken, seat);
                } else {
                    self.queue.push_back(seat);
                }
                SharerState::Ready
            }
            TurnEnd::Sleep(until) => {
                self.sleepers += 1;
                SharerState::Asleep(until)
            }
            TurnEnd::Off => SharerState::Absent,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::{TurnEnd, Turns};
    use proptest::prelude::*;
    use std::vec::Vec;

    const SLICE: u64 = 100;

    fn all_ready(seats: usize) -> Turns {
        let mut turns = Turns::new(seats, SLICE);
        (0..seats).for_each(|seat| turns.wake(seat));
        turns
    }

    #[test]
    fn vcpus_that_never_wait_take_turns_of_a_slice() {
        let mut turns = all_ready(3);
        let mut now = 0;
        for round in 0..4 {
            for expected in 0..3 {
                assert_eq!(turns.next(now), Some(expected), "round {round}");
                assert_eq!(turns.deadline(), Some(now + SLICE));
                assert!(!turns.is_over(now + SLICE - 1));
                now += SLICE;
                assert!(turns.is_over(now));
                turns.end(now, TurnEnd::Preempted);
            }
        }
    }

    #[test]
    fn a_vcpu_alone_runs_without_an_end() {
        let mut turns = all_ready(1);
        assert_eq!(turns.next(0), Some(0));
        assert_eq!(turns.deadline(), None);
        assert!(!turns.is_over(1_000_000));
    }

    #[test]
    fn a_vcpu_that_wakes_runs_at_once_and_the_other_goes_on_with_its_slice() {
        let mut turns = all_ready(2);
        assert_eq!(turns.next(0), Some(0));
        turns.end(10, TurnEnd::Sleep(Some(40)));
        assert_eq!(turns.next(10), Some(1));
        assert_eq!(turns.deadline(), Some(40));
        turns.wake_due(39);
        assert!(!turns.is_over(39));
        turns.wake_due(40);
        assert!(turns.is_over(40));
        turns.end(40, TurnEnd::Preempted);
        assert_eq!(turns.next(40), Some(0));
        turns.end(50, TurnEnd::Sleep(None));
        assert_eq!(turns.next(50), Some(1));
        turns.wake(0);
        assert_eq!(turns.deadline(), Some(50 + SLICE - 30));
    }

    #[test]
    fn a_turn_that_is_given_up_is_over_for_the_round() {
        let mut turns = all_ready(3);
        assert_eq!(turns.next(0), Some(0));
        turns.end(1, TurnEnd::Yield);
        assert_eq!(turns.next(1), Some(1));
        turns.end(2, TurnEnd::Yield);
        assert_eq!(turns.next(2), Some(2));
        turns.end(3, TurnEnd::Yield);
        assert_eq!(turns.next(3), Some(0));
    }

    /// A vCPU that sleeps for a moment whenever its slice is nearly used up would otherwise run for ever.
    #[test]
    fn a_vcpu_that_sleeps_often_does_not_keep_another_from_running() {
        let mut turns = all_ready(2);
        let (mut now, mut ran) = (0, [0; 2]);
        while now < 100 * SLICE {
            let seat = turns.next(now).unwrap();
            let start = now;
            if seat == 0 {
                // Sleeps for one tick after 9.
                now += 9;
                turns.end(now, TurnEnd::Sleep(Some(now + 1)));
            } else {
                while !turns.is_over(now) {
                    now = turns.deadline().unwrap().max(now + 1);
                    turns.wake_due(now);
                }
                turns.end(now, TurnEnd::Preempted);
            }
            turns.wake_due(now);
            ran[seat] += now - start;
        }
        assert!(ran[1] * 10 > now * 4, "{ran:?}");
    }

    proptest! {
        /// Whatever the others do, a vCPU that is ready runs before each of the others has had two slices, and whoever is
        /// ready is never forgotten.
        #[test]
        fn nobody_starves(
            seats in 2..6usize,
            acts in prop::collection::vec((0..4u8, 1..150u64, 0..6usize), 1..400),
        ) {
            let mut turns = all_ready(seats);
            let mut now = 0;
            let mut ready_since: Vec<Option<u64>> = (0..seats).map(|_| Some(0)).collect();
            for (act, time, other) in acts {
                for (seat, since) in ready_since.iter_mut().enumerate() {
                    if since.is_none() && turns.queue.contains(&seat) {
                        *since = Some(now);
                    }
                }
                let Some(seat) = turns.next(now) else {
                    prop_assert!(ready_since.iter().all(Option::is_none));
                    turns.wake(other % seats);
                    continue;
                };
                let waited = now - ready_since[seat].take().unwrap();
                prop_assert!(waited <= 2 * SLICE * seats as u64, "{waited}");
                // The hypervisor is interrupted at the deadline at the latest.
                let end = turns.deadline().map_or(now + time, |deadline| deadline.clamp(now, now + time));
                now = end;
                turns.wake_due(now);
                let how = match act {
                    _ if turns.is_over(now) => TurnEnd::Preempted,
                    0 => TurnEnd::Sleep(None),
                    1 => TurnEnd::Sleep(Some(now + time)),
                    2 => TurnEnd::Yield,
                    _ => TurnEnd::Preempted,
                };
                turns.end(now, how);
                if matches!(how, TurnEnd::Preempted | TurnEnd::Yield) {
                    ready_since[seat] = Some(now);
                }
                if other < seats {
                    turns.wake(other);
                }
                turns.wake_due(now);
            }
        }
    }
}
