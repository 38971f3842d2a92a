//! CPU pools and `hard-affinity`.

use super::*;
use crate::devtree::{CpuPool, Facts, HardAffinity};

/// What is read of these children of `/chosen` on a machine with three CPUs, whose phandles are 16, 17 and 18.
fn facts_of(children: &[Node], check: impl FnOnce(Result<Facts<'_>, FactsError>)) {
    let cpu = |number: u32| {
        node(&format!("cpu@{number}"))
            .text("device_type", "cpu")
            .cells("reg", &[number])
            .cells("phandle", &[16 + number])
    };
    let cpus = node("cpus").cells("#address-cells", &[1]).cells("#size-cells", &[0]);
    let cpus = (0..3).map(cpu).fold(cpus, Node::with);
    let chosen = children.iter().cloned().fold(node("chosen"), Node::with);
    let blob = root().with(memory()).with(chosen).with(cpus).blob();
    check(Blob::check(&blob).unwrap().facts());
}

fn refusal_of(children: &[Node]) -> String {
    let mut words = String::new();
    facts_of(children, |facts| words = facts.unwrap_err().to_string());
    words
}

fn vcpu(name: &str, id: u32, affinity: &str) -> Node {
    node(name).text("compatible", "xen,vcpu").cells("id", &[id]).text("hard-affinity", affinity)
}

fn pool(name: &str, phandle: u32, cpus: &[u32]) -> Node {
    node(name).text("compatible", "xen,cpupool").cells("phandle", &[phandle]).cells("cpupool-cpus", cpus)
}

/// A guest with two vCPUs.
fn pair() -> Node {
    node("domU1")
        .text("compatible", "xen,domain")
        .cells("#address-cells", &[1])
        .cells("#size-cells", &[1])
        .cells("cpus", &[2])
        .cells("memory", &[0, 0x4_0000])
        .with(module("kernel", KERNEL, 0x5000_0000))
}

#[test]
fn each_vcpu_may_have_cpus_of_its_own() {
    let vcpus = [vcpu("vcpu0", 1, "0-3,5"), node("vcpu1").text("compatible", "xen,vcpu").cells("id", &[0])];
    let found = one(vcpus.into_iter().fold(pair(), Node::with));
    assert_eq!(found.affinities, [HardAffinity { vcpu: 1, cpus: vec![0..=3, 5..=5] }]);
    assert_eq!(found.pool, None);
}

#[test]
fn a_vcpu_that_there_is_not_is_refused_and_so_is_one_that_is_there_twice() {
    let with = |children: &[Node]| refusal(children.iter().cloned().fold(pair(), Node::with));
    assert_eq!(with(&[vcpu("v", 2, "0")]), "id of /chosen/domU1/v is 2, /chosen/domU1 has 2 vCPUs, from 0 on");
    let twice = [vcpu("v", 1, "0"), vcpu("w", 1, "1")];
    assert_eq!(with(&twice), "/chosen/domU1/v and /chosen/domU1/w are both for vCPU 1");
    assert_eq!(with(&[node("v").text("compatible", "xen,vcpu")]), "/chosen/domU1/v has no id");
    let wrong = "hard-affinity of /chosen/domU1/v is '1-' instead of CPU numbers such as 0-3,5";
    assert_eq!(with(&[vcpu("v", 1, "1-")]), wrong);
}

#[test]
fn a_guest_names_its_pool() {
    let children = [
        pair().cells("domain-cpupool", &[2]),
        pool("a", 1, &[16]),
        pool("b", 2, &[18, 17]).text("cpupool-sched", "null"),
    ];
    facts_of(&children, |facts| {
        let facts = facts.unwrap();
        assert_eq!(facts.guests[0].pool, Some(1));
        let names = |pool: &CpuPool| pool.cpus.iter().map(|cpu| cpu.node.clone()).collect::<Vec<_>>();
        assert_eq!(names(&facts.pools[1]), ["/cpus/cpu@2", "/cpus/cpu@1"]);
        let words = "cpupool-sched of /chosen/b is ignored: vCPUs of a CPU take turns";
        assert!(facts.warnings.iter().any(|warning| warning.to_string() == words));
    });
}

#[test]
fn a_pool_that_cannot_be_is_refused() {
    let named = pair().cells("domain-cpupool", &[3]);
    assert_eq!(refusal_of(&[named]), "domain-cpupool of /chosen/domU1 names phandle 0x3, which no CPU pool has");
    let words = "cpupool-cpus of /chosen/a names phandle 0x13, which no CPU has that can be used";
    assert_eq!(refusal_of(&[pool("a", 1, &[16, 19])]), words);
    let both = [pool("a", 1, &[16]), pool("b", 2, &[17, 16])];
    assert_eq!(refusal_of(&both), "/cpus/cpu@0 is in /chosen/a and in /chosen/b");
    assert_eq!(refusal_of(&[pool("a", 1, &[])]), "cpupool-cpus of /chosen/a has 0 bytes instead of a multiple of 4");
    assert_eq!(refusal_of(&[node("a").text("compatible", "xen,cpupool")]), "/chosen/a has no cpupool-cpus");
}
