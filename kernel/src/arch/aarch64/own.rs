//! System registers that `arm-sysregs` does not have, by its macros.

use arm_sysregs::{read_sysreg, read_write_sysreg};

macro_rules! registers {
    ($($name:ident $encoding:ident)*) => {
        $(read_write_sysreg! {
            /// # Safety
            ///
            /// The CPU must have the register, and nobody may rely on what it holds.
            $name: $encoding, u64, safe_read, fake::SYSREGS
        })*

        /// What the registers hold where there are none.
        #[cfg(test)]
        #[expect(missing_docs, reason = "the names are the registers'")]
        pub mod fake {
            use std::sync::Mutex;

            /// Each register of this module.
            #[derive(Clone, Debug, Default, PartialEq, Eq)]
            pub struct SystemRegisters {
                $(pub $name: u64,)*
            }

            /// Registers that are read only.
            #[derive(Debug)]
            pub struct Identity {
                pub revidr_el1: u64,
                pub aidr_el1: u64,
                pub dczid_el0: u64,
                pub ich_elrsr_el2: u64,
            }

            /// Those, all of them 0.
            pub static IDENTITY: Mutex<Identity> =
                Mutex::new(Identity { revidr_el1: 0, aidr_el1: 0, dczid_el0: 0, ich_elrsr_el2: 0 });

            /// The fake registers.
            pub static SYSREGS: Mutex<SystemRegisters> = Mutex::new(SystemRegisters { $($name: 0,)* });
        }
    };
}

read_sysreg!(revidr_el1: s3_0_c0_c0_6, u64, safe, fake::IDENTITY);
read_sysreg!(aidr_el1: s3_1_c0_c0_7, u64, safe, fake::IDENTITY);
read_sysreg!(dczid_el0: s3_3_c0_c0_7, u64, safe, fake::IDENTITY);
read_sysreg!(ich_elrsr_el2: s3_4_c12_c11_5, u64, safe, fake::IDENTITY);

registers! {
    sp_el0 s3_0_c4_c1_0
    apibkeylo_el1 s3_0_c2_c1_2
    apibkeyhi_el1 s3_0_c2_c1_3
    apdakeylo_el1 s3_0_c2_c2_0
    apdakeyhi_el1 s3_0_c2_c2_1
    apdbkeylo_el1 s3_0_c2_c2_2
    apdbkeyhi_el1 s3_0_c2_c2_3
    apgakeylo_el1 s3_0_c2_c3_0
    apgakeyhi_el1 s3_0_c2_c3_1
    smpri_el1 s3_0_c1_c2_4
    tpidr2_el0 s3_3_c13_c0_5
    mpam1_el1 s3_0_c10_c5_0
    mpam0_el1 s3_0_c10_c5_1
    ich_ap0r0_el2 s3_4_c12_c8_0
    ich_ap0r1_el2 s3_4_c12_c8_1
    ich_ap0r2_el2 s3_4_c12_c8_2
    ich_ap0r3_el2 s3_4_c12_c8_3
    ich_ap1r0_el2 s3_4_c12_c9_0
    ich_ap1r1_el2 s3_4_c12_c9_1
    ich_ap1r2_el2 s3_4_c12_c9_2
    ich_ap1r3_el2 s3_4_c12_c9_3
}
