//! The CPU features that the boot CPU's decisions rest on. Every other CPU must have them too.

use thiserror::Error;

/// What a CPU can do, as far as it is decided once for all CPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Bits of a physical address: frames beyond are used by every CPU.
    pub physical_bits: u32,
    /// Bits of a VMID.
    pub vmid_bits: u32,
    /// Whether stage 2 has 4 KiB pages, as 1 or 0.
    pub stage_2: u32,
    /// Whether the CPU interface of a GICv3 has system registers, as 1 or 0.
    pub gic: u32,
}

/// What a CPU lacks.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("has {own} {what}, the CPU that boots has {wanted}")]
pub struct Lack {
    /// Of what, in words.
    pub what: &'static str,
    /// How many the CPU has.
    pub own: u32,
    /// How many it must have.
    pub wanted: u32,
}

impl Capabilities {
    /// The first thing that a CPU with the capabilities `own` lacks, if it is to serve beside one with these.
    ///
    /// # Errors
    ///
    /// [`Lack`].
    pub fn are_met_by(&self, own: &Self) -> Result<(), Lack> {
        let pairs = [
            ("physical address bits", own.physical_bits, self.physical_bits),
            ("VMID bits", own.vmid_bits, self.vmid_bits),
            ("stage 2 translations with 4 KiB pages", own.stage_2, self.stage_2),
            ("GICv3 system register interfaces", own.gic, self.gic),
        ];
        match pairs.into_iter().find(|(_, own, wanted)| own < wanted) {
            None => Ok(()),
            Some((what, own, wanted)) => Err(Lack { what, own, wanted }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Capabilities;
    use std::string::ToString;

    const BOOT: Capabilities = Capabilities { physical_bits: 44, vmid_bits: 16, stage_2: 1, gic: 1 };

    #[test]
    fn a_cpu_that_can_do_more_serves() {
        assert_eq!(BOOT.are_met_by(&BOOT), Ok(()));
        assert_eq!(BOOT.are_met_by(&Capabilities { physical_bits: 48, ..BOOT }), Ok(()));
        assert_eq!(Capabilities { gic: 0, ..BOOT }.are_met_by(&BOOT), Ok(()));
    }

    #[test]
    fn a_cpu_that_lacks_anything_is_told_with_both_numbers() {
        let told = |own| BOOT.are_met_by(&own).unwrap_err().to_string();
        let less = [
            Capabilities { physical_bits: 40, ..BOOT },
            Capabilities { vmid_bits: 8, ..BOOT },
            Capabilities { stage_2: 0, ..BOOT },
            Capabilities { gic: 0, ..BOOT },
        ];
        let expected = [
            "has 40 physical address bits, the CPU that boots has 44",
            "has 8 VMID bits, the CPU that boots has 16",
            "has 0 stage 2 translations with 4 KiB pages, the CPU that boots has 1",
            "has 0 GICv3 system register interfaces, the CPU that boots has 1",
        ];
        assert_eq!(less.map(told), expected);
    }
}
