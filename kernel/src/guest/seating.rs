//! The CPU on which each vCPU runs.
//!
//! A vCPU stays on its CPU. Its guest's node may name the CPUs to choose from (`xen,vcpu` with `hard-affinity`, and
//! `domain-cpupool`); among them it gets the CPU that has the fewest vCPUs, and of those the first.
//!
//! Pure: CPUs are numbers, the boot CPU is 0 and the others follow in the order of the device tree, as under Xen.

use crate::base::id::{CpuId, Mpidr, VcpuId};
use crate::devtree::{CpuPool, Guest, HardAffinity};
use alloc::string::String;
use alloc::vec::Vec;
use thiserror::Error;

/// Why a vCPU has no CPU.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum SeatingError {
    /// `hard-affinity` names a CPU that does not run.
    #[error("vCPU {vcpu} of {guest} is to run on CPU {cpu} (hard-affinity), which does not run")]
    NoSuchCpu {
        /// The guest's node.
        guest: String,
        /// The vCPU.
        vcpu: VcpuId,
        /// The number of the CPU.
        cpu: u32,
    },
    /// A CPU pool has a CPU that does not run.
    #[error("{pool} has {cpu}, which does not run")]
    PoolCpu {
        /// The pool's node.
        pool: String,
        /// The CPU's node.
        cpu: String,
    },
    /// The CPUs that the guest's pool has are none that the vCPU may run on.
    #[error("vCPU {vcpu} of {guest} may run on none of the CPUs that {pool} has (hard-affinity)")]
    OutsidePool {
        /// The guest's node.
        guest: String,
        /// The vCPU.
        vcpu: VcpuId,
        /// The pool, in words.
        pool: String,
    },
    /// All CPUs are in pools, and the guest names none.
    #[error("{guest} names no CPU pool (domain-cpupool), and every CPU is in one")]
    NoPoolLeft {
        /// The guest's node.
        guest: String,
    },
}

/// A CPU that runs.
#[derive(Clone, Debug)]
struct Place {
    cpu: CpuId,
    mpidr: Mpidr,
    /// vCPUs that have it.
    vcpus: u32,
    /// The pool that it is in.
    pool: Option<usize>,
}

/// The CPUs, and how many vCPUs each has.
#[derive(Clone, Debug)]
pub struct Seating<'p> {
    places: Vec<Place>,
    pools: &'p [CpuPool],
}

impl<'p> Seating<'p> {
    /// For CPUs without vCPUs, in ascending order.
    ///
    /// # Errors
    ///
    /// [`SeatingError::PoolCpu`].
    pub fn new(cpus: impl Iterator<Item = (CpuId, Mpidr)>, pools: &'p [CpuPool]) -> Result<Self, SeatingError> {
        let pool_of = |mpidr| pools.iter().position(|pool| pool.cpus.iter().any(|cpu| cpu.mpidr == mpidr));
        let places: Vec<_> = cpus.map(|(cpu, mpidr)| Place { cpu, mpidr, vcpus: 0, pool: pool_of(mpidr) }).collect();
        for pool in pools {
            if let Some(cpu) = pool.cpus.iter().find(|cpu| places.iter().all(|place| place.mpidr != cpu.mpidr)) {
                return Err(SeatingError::PoolCpu { pool: pool.node.clone(), cpu: cpu.node.clone() });
            }
        }
        Ok(Self { places, pools })
    }

    /// Chooses a CPU for each vCPU of the guest.
    ///
    /// # Errors
    ///
    /// [`SeatingError`]; no vCPU has got a CPU then.
    pub fn seat(&mut self, guest: &Guest) -> Result<Vec<CpuId>, SeatingError> {
        let mut after = self.clone();
        let chosen: Result<Vec<_>, _> = (0..guest.cpus).map(|vcpu| after.seat_one(guest, vcpu)).collect();
        if chosen.is_ok() {
            *self = after;
        }
        chosen
    }

    fn seat_one(&mut self, guest: &Guest, vcpu: u32) -> Result<CpuId, SeatingError> {
        let affinity = guest.affinities.iter().find(|affinity| affinity.vcpu == vcpu);
        if let Some(cpu) = affinity.and_then(|affinity| self.first_missing(affinity)) {
            return Err(SeatingError::NoSuchCpu { guest: guest.node.clone(), vcpu: VcpuId::new(vcpu as u16), cpu });
        }
        let is_allowed = |place: &&mut Place| {
            let is_listed = |affinity: &HardAffinity| affinity.has(place.cpu);
            place.pool == guest.pool && affinity.is_none_or(is_listed)
        };
        let fewest = self.places.iter_mut().filter(is_allowed).min_by_key(|place| place.vcpus);
        let Some(place) = fewest else { return Err(self.nowhere(guest, vcpu)) };
        place.vcpus += 1;
        Ok(place.cpu)
    }

    /// The first CPU of `affinity` that does not run.
    fn first_missing(&self, affinity: &HardAffinity) -> Option<u32> {
        let runs = |cpu: &u32| self.places.iter().any(|place| place.cpu.index() == *cpu as usize);
        affinity.cpus.iter().flat_map(Clone::clone).find(|cpu| !runs(cpu))
    }

    /// Why a vCPU, whose CPUs all run, may run on none.
    fn nowhere(&self, guest: &Guest, vcpu: u32) -> SeatingError {
        if self.places.iter().all(|place| place.pool != guest.pool) {
            return SeatingError::NoPoolLeft { guest: guest.node.clone() };
        }
        let pool = guest.pool.and_then(|pool| self.pools.get(pool));
        let pool = pool.map_or_else(|| "the rest of the CPUs".into(), |pool| pool.node.clone());
        SeatingError::OutsidePool { guest: guest.node.clone(), vcpu: VcpuId::new(vcpu as u16), pool }
    }
}

impl HardAffinity {
    /// Whether it has `cpu`.
    fn has(&self, cpu: CpuId) -> bool {
        self.cpus.iter().any(|range| range.contains(&(cpu.index() as u32)))
    }
}

#[cfg(test)]
mod tests {
    use super::{Seating, SeatingError};
    use crate::base::addr::{PhysAddr, Span};
    use crate::base::id::{CpuId, Mpidr};
    use crate::devtree::{
        Backing, CpuPool, Guest, GuestStart, GuestUart, HardAffinity, Module, PoolCpu, RestartPolicy, Unmapped,
    };
    use core::ops::RangeInclusive;
    use proptest::prelude::*;
    use std::string::{String, ToString};
    use std::vec;
    use std::vec::Vec;

    fn guest(cpus: u32, affinities: &[(u32, RangeInclusive<u32>)], pool: Option<usize>) -> Guest {
        let affinity =
            |(vcpu, cpus): &(u32, RangeInclusive<u32>)| HardAffinity { vcpu: *vcpu, cpus: vec![cpus.clone()] };
        let span = Span::sized(PhysAddr::new(0x4000_0000), 0x1000).unwrap();
        Guest {
            node: "/chosen/g".into(),
            name: "g".into(),
            start: GuestStart::AtBoot,
            cpus,
            affinities: affinities.iter().map(affinity).collect(),
            pool,
            memory: 1 << 20,
            uart: GuestUart::None,
            spis: None,
            backing: Backing::Allocated,
            restart: RestartPolicy::Never,
            restart_limit: None,
            unmapped: Unmapped::Trap,
            kernel: Module { node: "k".into(), span, bootargs: None },
            ramdisk: None,
            device_tree: None,
        }
    }

    /// CPUs with these numbers, whose affinities are the same.
    fn cpus(numbers: &[u16]) -> impl Iterator<Item = (CpuId, Mpidr)> {
        numbers.iter().map(|number| (CpuId::new(*number), Mpidr::new(u64::from(*number)).unwrap()))
    }

    fn pool(name: &str, numbers: &[u16]) -> CpuPool {
        let cpu = |(cpu, mpidr): (CpuId, Mpidr)| PoolCpu { node: std::format!("/cpus/cpu@{cpu}"), mpidr };
        CpuPool { node: name.into(), phandle: None, cpus: cpus(numbers).map(cpu).collect() }
    }

    fn numbers(chosen: Result<Vec<CpuId>, SeatingError>) -> Result<Vec<usize>, String> {
        chosen.map(|cpus| cpus.iter().map(|cpu| cpu.index()).collect()).map_err(|error| error.to_string())
    }

    #[test]
    fn each_vcpu_has_the_cpu_with_the_fewest() {
        let mut seating = Seating::new(cpus(&[0, 1, 3]), &[]).unwrap();
        assert_eq!(numbers(seating.seat(&guest(2, &[], None))), Ok(vec![0, 1]));
        assert_eq!(numbers(seating.seat(&guest(1, &[], None))), Ok(vec![3]));
        assert_eq!(numbers(seating.seat(&guest(4, &[], None))), Ok(vec![0, 1, 3, 0]));
    }

    #[test]
    fn a_vcpu_with_an_affinity_stays_within_it() {
        let mut seating = Seating::new(cpus(&[0, 1, 2, 3]), &[]).unwrap();
        assert_eq!(numbers(seating.seat(&guest(3, &[(1, 3..=3), (2, 2..=3)], None))), Ok(vec![0, 3, 2]));
        let refused = numbers(seating.seat(&guest(1, &[(0, 3..=4)], None)));
        assert_eq!(refused, Err("vCPU 0 of /chosen/g is to run on CPU 4 (hard-affinity), which does not run".into()));
    }

    #[test]
    fn cpus_of_a_pool_are_for_its_guests_alone() {
        let pools = [pool("/chosen/a", &[1]), pool("/chosen/b", &[2, 3])];
        let mut seating = Seating::new(cpus(&[0, 1, 2, 3]), &pools).unwrap();
        assert_eq!(numbers(seating.seat(&guest(2, &[], None))), Ok(vec![0, 0]));
        assert_eq!(numbers(seating.seat(&guest(3, &[], Some(1)))), Ok(vec![2, 3, 2]));
        let refused = numbers(seating.seat(&guest(1, &[(0, 0..=2)], Some(0))));
        let words = "vCPU 0 of /chosen/g may run on none of the CPUs that /chosen/a has (hard-affinity)";
        assert_eq!(numbers(seating.seat(&guest(1, &[(0, 0..=1)], Some(0)))), Ok(vec![1]));
        assert_eq!(numbers(seating.seat(&guest(1, &[(0, 2..=3)], Some(0)))), Err(words.into()));
        assert_eq!(refused, Ok(vec![1]));
        let pools = [pool("/chosen/all", &[0, 1])];
        let mut seating = Seating::new(cpus(&[0, 1]), &pools).unwrap();
        let words = "/chosen/g names no CPU pool (domain-cpupool), and every CPU is in one";
        assert_eq!(numbers(seating.seat(&guest(1, &[], None))), Err(words.into()));
    }

    #[test]
    fn a_pool_whose_cpu_does_not_run_ends_the_boot() {
        let error = Seating::new(cpus(&[0, 1]), &[pool("/chosen/a", &[1, 2])]).unwrap_err();
        assert_eq!(error.to_string(), "/chosen/a has /cpus/cpu@2, which does not run");
    }

    proptest! {
        /// Without affinities no CPU has two vCPUs more than another, and a refusal changes nothing.
        #[test]
        fn vcpus_are_spread_evenly(
            count in 1..20u16,
            guests in prop::collection::vec((1..64u32, any::<bool>()), 1..8),
        ) {
            let all: Vec<u16> = (0..count).collect();
            let mut seating = Seating::new(cpus(&all), &[]).unwrap();
            for (vcpus, is_refused) in guests {
                if is_refused {
                    let beyond = u32::from(count);
                    seating.seat(&guest(vcpus, &[(vcpus - 1, beyond..=beyond)], None)).unwrap_err();
                } else {
                    seating.seat(&guest(vcpus, &[], None)).unwrap();
                }
                let most = seating.places.iter().map(|place| place.vcpus).max().unwrap();
                prop_assert!(seating.places.iter().all(|place| place.vcpus + 1 >= most));
            }
        }
    }
}
