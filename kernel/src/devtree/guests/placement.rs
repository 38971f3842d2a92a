//! The CPUs that vCPUs may run on: CPU pools, and `hard-affinity` of a guest's `xen,vcpu` nodes.
//!
//! Both as for Xen (Xen, docs/misc/arm/device-tree/cpupools.txt and booting.txt).

use super::super::facts::Facts;
use super::super::node::{self, text};
use super::super::parts::{CpuPool, HardAffinity, PoolCpu};
use super::super::refusal::{FactsError, GuestNodeError};
use super::super::warning::TreeWarning;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::RangeInclusive;
use fdt::node::FdtNode;

/// The compatible string of a CPU pool.
const POOL: [&str; 1] = ["xen,cpupool"];

/// The compatible string of a node for a vCPU.
const VCPU: [&str; 1] = ["xen,vcpu"];

/// The highest CPU number that makes sense in a list: CPUs are numbered in 16 bits.
const MAX_CPU: u32 = u16::MAX as u32;

impl Facts<'_> {
    /// Reads the CPU pools, which are children of `/chosen`.
    pub(in super::super) fn read_pools(&mut self, chosen: FdtNode<'_, '_>) -> Result<(), FactsError> {
        const PROPERTY: &str = "cpupool-cpus";
        for child in chosen.children().filter(|child| node::is_compatible(*child, &POOL)) {
            let path = format!("/chosen/{}", child.name);
            for property in child.properties() {
                match property.name {
                    "compatible" | "phandle" | "linux,phandle" | "name" | PROPERTY => {}
                    "cpupool-sched" => self.warnings.push(TreeWarning::Ignored {
                        node: path.clone(),
                        property: property.name.into(),
                        why: "vCPUs of a CPU take turns",
                    }),
                    name => {
                        self.warnings.push(TreeWarning::UnknownProperty { node: path.clone(), property: name.into() });
                    }
                }
            }
            let listed = node::value(child, PROPERTY);
            let listed = listed.ok_or_else(|| FactsError::Missing { node: path.clone(), property: PROPERTY })?;
            let (cells, rest) = listed.as_chunks();
            if cells.is_empty() || !rest.is_empty() {
                let (bytes, legal) = (listed.len(), "a multiple of 4");
                return Err(GuestNodeError::Length { node: path, property: PROPERTY, bytes, legal }.into());
            }
            let cpus = cells.iter().map(|cell| self.pool_cpu(&path, u32::from_be_bytes(*cell)));
            let cpus = cpus.collect::<Result<_, _>>()?;
            self.pools.push(CpuPool { node: path, phandle: node::phandle(child), cpus });
        }
        Ok(())
    }

    /// The CPU that `pool` names by this phandle.
    fn pool_cpu(&self, pool: &str, phandle: u32) -> Result<PoolCpu, GuestNodeError> {
        let cpu = self.cpus.iter().find(|cpu| cpu.phandle == Some(phandle));
        let cpu = cpu.ok_or_else(|| GuestNodeError::PoolCpu { pool: pool.into(), phandle })?;
        let holder = self.pools.iter().find(|other| other.cpus.iter().any(|held| held.mpidr == cpu.mpidr));
        match holder {
            Some(first) => {
                Err(GuestNodeError::TwoPools { cpu: cpu.node.clone(), first: first.node.clone(), second: pool.into() })
            }
            None => Ok(PoolCpu { node: cpu.node.clone(), mpidr: cpu.mpidr }),
        }
    }
}

/// The pool that the guest at `path` names, as an index of `pools`.
pub(super) fn pool(node: FdtNode<'_, '_>, path: &str, pools: &[CpuPool]) -> Result<Option<usize>, GuestNodeError> {
    let Some(phandle) = super::cell(node, path, "domain-cpupool")? else { return Ok(None) };
    let found = pools.iter().position(|pool| pool.phandle == Some(phandle));
    found.map(Some).ok_or_else(|| GuestNodeError::NoSuchPool { node: path.into(), phandle })
}

/// The vCPUs of the guest at `path`, which has `cpus` of them, that may not run on every CPU.
pub(super) fn affinities(
    guest: FdtNode<'_, '_>,
    path: &str,
    cpus: u32,
    warnings: &mut Vec<TreeWarning>,
) -> Result<Vec<HardAffinity>, FactsError> {
    let mut seen: Vec<(u32, String)> = Vec::new();
    let mut found = Vec::new();
    for child in guest.children().filter(|child| is_vcpu(*child)) {
        let node = format!("{path}/{}", child.name);
        for property in child.properties() {
            match property.name {
                "compatible" | "id" | "hard-affinity" | "phandle" | "linux,phandle" | "name" => {}
                name => warnings.push(TreeWarning::UnknownProperty { node: node.clone(), property: name.into() }),
            }
        }
        let missing = || FactsError::Missing { node: node.clone(), property: "id" };
        let id = super::cell(child, &node, "id")?.ok_or_else(missing)?;
        if id >= cpus {
            return Err(GuestNodeError::VcpuId { node, id, guest: path.into(), cpus }.into());
        }
        if let Some((_, first)) = seen.iter().find(|(other, _)| *other == id) {
            return Err(GuestNodeError::TwoVcpus { first: first.clone(), second: node, id }.into());
        }
        if let Some(value) = node::value(child, "hard-affinity") {
            let list = text(value).unwrap_or_default();
            let wrong = || GuestNodeError::HardAffinity { node: node.clone(), value: list.into() };
            found.push(HardAffinity { vcpu: id, cpus: cpu_list(list).ok_or_else(wrong)? });
        }
        seen.push((id, node));
    }
    Ok(found)
}

/// Whether a child of a guest is a node for a vCPU.
pub(super) fn is_vcpu(node: FdtNode<'_, '_>) -> bool {
    node::is_compatible(node, &VCPU)
}

/// CPU numbers and ranges of them, both ends included, with commas between: `0-3,5`.
fn cpu_list(list: &str) -> Option<Vec<RangeInclusive<u32>>> {
    let number = |text: &str| text.trim().parse().ok().filter(|cpu| *cpu <= MAX_CPU);
    list.split(',')
        .map(|part| match part.split_once('-') {
            None => number(part).map(|cpu| cpu..=cpu),
            Some((first, last)) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(first..=last)
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::cpu_list;
    use std::vec;

    #[test]
    fn a_list_has_numbers_and_ranges() {
        assert_eq!(cpu_list("3"), Some(vec![3..=3]));
        assert_eq!(cpu_list("0-3,5"), Some(vec![0..=3, 5..=5]));
        assert_eq!(cpu_list(" 4 - 4 , 65535"), Some(vec![4..=4, 65535..=65535]));
        for wrong in ["", ",", "1,", "a", "3-1", "1-", "-1", "1-2-3", "65536", "99999999999"] {
            assert_eq!(cpu_list(wrong), None, "{wrong:?}");
        }
    }
}
