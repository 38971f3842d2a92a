//! What happens to a guest's interrupt controller: any order of accesses, interrupts and the guest's answers to them, against
//! a model of a GIC.

#![no_main]

use lacuna::guest::device::vgic;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| vgic::fuzz(bytes));
