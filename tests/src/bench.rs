//! `make bench`: boots the image that counts and holds its figures against their limits.
//!
//! QEMU counts instructions as time (`-icount`), so the figures do not depend on the machine that this runs on. Prints
//! a table, writes `target/bench-mmu.json` or `target/bench-mpu.json`, and fails if a limit is exceeded.

use lacuna_tests::{
    Boot, Figure, Outcome, Unit, counted, counted_alone_with_two_cpus, counted_in_turns, counted_with_two_cpus,
    figures_of_turns, figures_of_two_cpus, guest_figures, image_bytes, mitigation_figures, output_directory, run_xen,
};
use serde_json::json;
use std::process::ExitCode;
use std::thread::{Builder, JoinHandle};
use std::{fs, io};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

const VIRT: &str = "virt 2 GiB";
const VERSAL_4: &str = "versal 4 GiB";
const VERSAL_40: &str = "versal 40 GiB";

/// Starts a counting boot in a thread of its own, which names the log.
fn start(name: &str, boot: Boot, bootargs: &str) -> io::Result<JoinHandle<Outcome>> {
    let boot =
        boot.bench_image().bootargs(&format!("loglevel=error {bootargs}")).option("-icount", "shift=0,sleep=off");
    start_boot(name, boot)
}

fn main() -> io::Result<ExitCode> {
    let backend = std::env::args().nth(1).unwrap_or_default();
    let figures = match Some(backend.as_str()) {
        Some("mmu") => mmu()?,
        Some("mpu") => mpu()?,
        Some("xen") => return compare_with_xen().map(|()| ExitCode::SUCCESS),
        _ => {
            eprintln!("usage: lacuna-bench mmu|mpu|xen");
            return Ok(ExitCode::from(2));
        }
    };
    for figure in &figures {
        println!("{figure}");
    }
    let json: Vec<_> = figures.iter().map(to_json).collect();
    fs::write(output_directory().join(format!("bench-{backend}.json")), format!("{:#}\n", json!({ "figures": json })))?;
    let is_good = figures.iter().all(Figure::is_within);
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn bytes(what: &'static str, machine: &'static str, value: u64, limit: u64) -> Figure {
    Figure { what, machine, value, limit, unit: Unit::Bytes }
}

fn count(what: &'static str, machine: &'static str, value: u64, limit: u64) -> Figure {
    Figure { what, machine, value, limit, unit: Unit::Instructions }
}

fn frametable(outcome: &Outcome) -> u64 {
    outcome.facts().number("frametable_kib") * KIB
}

/// A boot that fails ends the program.
fn join<const N: usize>(boots: [JoinHandle<Outcome>; N]) -> [Outcome; N] {
    boots.map(|boot| boot.join().expect("a boot that fails ends the program"))
}

fn mmu() -> io::Result<Vec<Figure>> {
    let boots = [
        start("virt", Boot::virt().memory("2G"), "")?,
        start("versal_4g", Boot::versal().memory("4G"), "")?,
        start("versal_40g", Boot::versal().memory("40G"), "")?,
        start("versal_40g_mask", Boot::versal().memory("40G"), "pdx-compress=mask")?,
    ];
    let [virt, versal_4, versal_40, mask] = join(boots);
    let guests = [
        start_guest("virt_guest", Boot::virt().memory("2G").plain_image(), "mitigations=off")?,
        start_guest("versal_guest", Boot::versal().memory("40G").plain_image(), "mitigations=off")?,
        start_guest("virt_mitigations", Boot::virt().memory("2G").plain_image(), "mitigations=auto")?,
    ];
    let [virt_guest, versal_guest, mitigations] = join(guests);
    let two = counted_with_two_cpus(Boot::virt().plain_image().bootargs("loglevel=error mitigations=off"));
    // Without a hypervisor nobody says how it ends.
    let alone = Builder::new().name("bench.alone".into()).spawn(|| counted_alone_with_two_cpus(Boot::virt()).run())?;
    // The image with self-tests has the call by which a vCPU gives its turn up.
    let turns = counted_in_turns(Boot::virt().bootargs("selftest=off loglevel=error mitigations=off"));
    let [two, alone, turns] = join([start_boot("virt_two_cpus", two)?, alone, start_boot("virt_turns", turns)?]);

    let mut figures = vec![
        bytes("image with self-tests", "any", image_bytes("LACUNA_IMAGE"), 640 * KIB),
        bytes("image without self-tests", "any", image_bytes("LACUNA_PLAIN_IMAGE"), 512 * KIB),
        bytes("frametable", VERSAL_4, frametable(&versal_4), 9 * MIB),
        bytes("frametable", VERSAL_40, frametable(&versal_40), 82 * MIB),
        bytes("pool beside the frametable", VERSAL_40, versal_40.figure("pool bytes"), 4 * MIB),
        count("first instruction to end of memory set-up", VIRT, virt.figure("boot"), 1_500_000),
        count("first instruction to end of memory set-up", VERSAL_40, versal_40.figure("boot"), 6_000_000),
        count("frame number to page index (mask)", VERSAL_40, mask.figure("pdx"), 8),
        count("lookup of a frametable entry", VERSAL_40, versal_40.figure("entry"), 12),
        count("allocation and release of a page", VERSAL_40, versal_40.figure("page alloc and free"), 500),
        count("vmap_contig and vunmap, 1 page", VERSAL_40, versal_40.figure("vmap and vunmap 4 KiB"), 698),
        count("vmap_contig and vunmap, 2 MiB", VERSAL_40, versal_40.figure("vmap and vunmap 2 MiB"), 900),
        count("vmap_contig and vunmap, 1 GiB", VERSAL_40, versal_40.figure("vmap and vunmap 1 GiB"), 1500),
    ];
    figures.extend(guest_figures(VIRT, 2_500_000, &virt_guest));
    figures.extend(guest_figures(VERSAL_40, 8_000_000, &versal_guest));
    figures.extend(figures_of_two_cpus(VIRT, &two, &alone));
    figures.extend(figures_of_turns(VIRT, &turns));
    figures.extend(mitigation_figures("virt cortex-a57", &virt_guest, &mitigations));
    Ok(figures)
}

/// Starts a boot with the guest that counts, in a thread of its own. The CPUs of both machines are older than what
/// would keep their branch predictors from guests: the cost of an exit is counted without mitigations, and theirs
/// beside it.
fn start_guest(name: &str, boot: Boot, mitigations: &str) -> io::Result<JoinHandle<Outcome>> {
    start_boot(name, counted(boot.bootargs(&format!("loglevel=error {mitigations}"))))
}

/// Starts a boot in a thread of its own.
fn start_boot(name: &str, boot: Boot) -> io::Result<JoinHandle<Outcome>> {
    Builder::new().name(format!("bench.{name}")).spawn(|| {
        let outcome = boot.run();
        outcome.expect_quiet_end();
        outcome
    })
}

/// Prints what the same guest counts under both hypervisors, each with the mitigations that it chooses: nothing here
/// has a limit.
fn compare_with_xen() -> io::Result<()> {
    let xen = |name: &str, boot: Boot| Builder::new().name(format!("bench.xen.{name}")).spawn(|| run_xen(boot));
    let boots = [
        start_guest("lacuna_virt", Boot::virt().memory("2G").plain_image(), "mitigations=auto")?,
        xen("virt", Boot::virt().memory("2G"))?,
        start_guest("lacuna_versal", Boot::versal().memory("4G").plain_image(), "mitigations=auto")?,
        xen("versal", Boot::versal().memory("4G"))?,
    ];
    let [virt, xen_virt, versal, xen_versal] = join(boots);
    println!("{:<44} {:<14} {:>10} {:>10} {:>8}", "instructions", "", "Lacuna", "Xen", "Xen/Lac.");
    for (machine, ours, theirs) in [(VIRT, virt, xen_virt), (VERSAL_4, versal, xen_versal)] {
        let (mut costs, guest) = (ours.costs(), ours.guest_facts());
        // Xen does not scrub what it gives to a guest when it boots with bootscrub=0.
        costs.start -= guest.number("zero_ns") + guest.number("clean_ns");
        for ((what, ours), (_, theirs)) in costs.rows().into_iter().zip(theirs.costs().rows()) {
            println!("{what:<44} {machine:<14} {ours:>10} {theirs:>10} {:>8.1}", theirs as f64 / ours.max(1) as f64);
        }
    }
    Ok(())
}

/// Instructions are those of the region table over a register file that only counts: with QEMU each access to the real
/// one is emulated.
fn mpu() -> io::Result<Vec<Figure>> {
    let boots = [
        start("mpu_directory", Boot::versal().memory("4G"), "pdx-compress=off")?,
        start("mpu_contiguous", Boot::versal().memory("4G"), "pdx-compress=off frametable=contiguous")?,
    ];
    let [directory, contiguous] = join(boots);
    let figure = |name: &str| directory.figure(&format!("mpu {name}"));
    let number = |what, value, limit| Figure { what, machine: "any", value, limit, unit: Unit::Times };
    Ok(vec![
        bytes("frametable, no compression, directory", VERSAL_4, frametable(&directory), 9 * MIB),
        bytes("frametable, no compression, contiguous", VERSAL_4, frametable(&contiguous), 68 * MIB),
        count("vmap_contig and vunmap inside a region", "any", figure("inside"), 150),
        number("its register writes", figure("inside writes"), 0),
        number("its synchronisations", figure("inside synchronisations"), 0),
        count("vmap_contig and vunmap of a new region", "any", figure("new"), 1000),
        number("its register writes", figure("new writes"), 4),
        number("its synchronisations", figure("new synchronisations"), 2),
        count("worst lookup among 32 regions", "any", figure("lookup 32"), 120),
        count("worst lookup among 255 regions", "any", figure("lookup 255"), 8 * figure("lookup 32") - 1),
    ])
}

fn to_json(figure: &Figure) -> serde_json::Value {
    let Figure { what, machine, value, limit, unit } = figure;
    let unit = match unit {
        Unit::Instructions => "instructions",
        Unit::Bytes => "bytes",
        Unit::Times => "times",
    };
    json!({ "what": what, "machine": machine, "value": value, "limit": limit, "unit": unit })
}
