//! What the hardware says of a guest's trapped instruction: any syndrome and any addresses.

#![no_main]

use lacuna::arch::syndrome::Syndrome;
use lacuna::guest::exit::mmio::{Abort, FaultRegisters, MmioRequest};
use lacuna::guest::sysreg::{Trap, handling};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|registers: (u64, u64, u64, u64)| {
    let (esr, far, hpfar, value) = registers;
    let esr = Syndrome::new(esr);
    let abort = Abort::decode(&FaultRegisters { esr, far, hpfar });
    assert!(abort.address.get() < 1 << 52);
    match abort.request {
        MmioRequest::Load(load) => {
            load.result(value);
        }
        MmioRequest::Store(store) => assert!(store.value(value) <= value),
        _ => {}
    }
    let trap = Trap::decode(esr);
    let _ = handling(trap.register, trap.access);
    let _ = format!("{trap} {:?}", esr.class());
});
