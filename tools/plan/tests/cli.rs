//! The program as others run it: arguments in, output and exit status out.

use lacuna::base::addr::{Frames, Mfn};
use lacuna::pdx::layouts::{self, Golden, Layout};
use serde_json::{Value, json};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const MIB: u64 = 1 << 20;

fn run<I: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = I>) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lacuna-plan")).args(args).output().expect("the program starts")
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

/// The one line that a failure prints, and nothing else.
fn failure(output: &Output, status: i32) -> String {
    assert_eq!(output.status.code(), Some(status), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    let line = String::from_utf8(output.stderr.clone()).expect("UTF-8");
    assert_eq!(line.lines().count(), 1, "{line}");
    line
}

fn bank_args(layout: &Layout) -> Vec<String> {
    let bank = |bank: &Range<Mfn>| format!("{:#x}:{:x}", bank.start.address().get(), bank.bytes());
    layout.banks.iter().flat_map(|range| ["--bank".into(), bank(range)]).collect()
}

fn plan(layout: &Layout, options: &[&str]) -> Value {
    let mut args = bank_args(layout);
    args.extend(["--json"].iter().chain(options).map(|&option| option.into()));
    serde_json::from_str(&stdout(&run(args))).expect("JSON")
}

/// Writes a device tree with these memory nodes and returns where.
fn device_tree(name: &str, banks: &[(u64, u64)]) -> PathBuf {
    let build = || {
        let mut fdt = vm_fdt::FdtWriter::new()?;
        let root = fdt.begin_node("")?;
        fdt.property_u32("#address-cells", 2)?;
        fdt.property_u32("#size-cells", 2)?;
        for &(start, size) in banks {
            let node = fdt.begin_node(&format!("memory@{start:x}"))?;
            fdt.property_string("device_type", "memory")?;
            fdt.property_array_u64("reg", &[start, size])?;
            fdt.end_node(node)?;
        }
        fdt.end_node(root)?;
        fdt.finish()
    };
    file(name, &build().expect("a valid tree"))
}

fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, bytes).expect("the scratch directory can be written");
    path
}

#[test]
fn the_json_is_exactly_as_documented() {
    let planned = |base: u64, end: u64| {
        json!({
            "ok": true, "max_pdx": end, "base_pdx": base, "groups_valid": 1, "groups_span": 1,
            "frametable_bytes": 0x40000, "contiguous_bytes": 0x40000,
            "chunks": [{"first_pdx": base, "end_pdx": end, "bytes": 0x40000}], "bank_pdx": [base],
        })
    };
    let reason = "frame numbers up to 0x47fff have no bit from 18 up that is zero in all of RAM";
    let wanted = json!({
        "banks": [{"start": 0x4000_0000, "size": 0x800_0000}],
        "kinds": {
            "none": planned(0x40000, 0x48000),
            "mask": {"ok": false, "reason": reason},
            "offset": planned(0, 0x8000),
        },
        "auto": "none",
    });
    assert_eq!(plan(&layouts::L6, &[]), wanted);
}

#[test]
fn page_indexes_are_the_published_ones() {
    let check = |layout: &Layout, kind: &str, golden: Option<&Golden>| {
        let kind = &plan(layout, &[])["kinds"][kind];
        assert_eq!(kind["ok"], golden.is_some(), "{}", layout.name);
        let Some(golden) = golden else { return };
        // The program shows banks from the lowest up, in whatever order they are given.
        let mut starts = golden.starts.to_vec();
        starts.sort_unstable();
        assert_eq!(kind["bank_pdx"], json!(starts), "{}", layout.name);
        assert_eq!(kind["max_pdx"], golden.max_pdx, "{}", layout.name);
    };
    for layout in layouts::ALL {
        check(layout, "mask", layout.mask.as_ref());
        check(layout, "offset", layout.offset.as_ref());
    }
}

/// With 56 bytes for a frame the sizes are those published for Xen.
#[test]
fn sizes_with_xens_numbers_are_the_published_ones() {
    /// Layout, compression, first page index and one past the last, contiguous MiB, MiB of each chunk.
    type Row = (&'static Layout, &'static str, [u64; 2], u64, &'static [u64]);
    const ROWS: [Row; 9] = [
        (&layouts::T8, "mask", [0, 0x7080000], 6300, &[56, 28, 28, 28]),
        (&layouts::T8, "offset", [0, 0x3080000], 2716, &[28, 28, 28, 28, 28]),
        (&layouts::L2, "mask", [0, 0x100000], 56, &[56]),
        (&layouts::L2, "offset", [0, 0x100000], 56, &[56]),
        (&layouts::L2, "none", [0, 0x880000], 476, &[28, 28]),
        (&layouts::L3, "mask", [0, 0x3180000], 2772, &[28, 448, 84]),
        (&layouts::L3, "offset", [0, 0x1180000], 980, &[28, 532]),
        (&layouts::L3, "none", [0, 0xc180000], 10836, &[28, 448, 84]),
        (&layouts::L4, "none", [0x40000, 0x180000], 70, &[42, 14]),
    ];
    for (layout, name, [base, max], contiguous, chunks) in ROWS {
        let kind = &plan(layout, &["--page-info-bytes", "56", "--group-pages=262144"])["kinds"][name];
        let sizes: Vec<_> = kind["chunks"].as_array().unwrap().iter().map(|chunk| &chunk["bytes"]).collect();
        let wanted: Vec<_> = chunks.iter().map(|mib| mib * MIB).collect();
        assert_eq!(json!(sizes), json!(wanted), "{} {name}", layout.name);
        assert_eq!(kind["frametable_bytes"], wanted.iter().sum::<u64>(), "{} {name}", layout.name);
        assert_eq!(kind["contiguous_bytes"], contiguous * MIB, "{} {name}", layout.name);
        assert_eq!([&kind["base_pdx"], &kind["max_pdx"]], [&json!(base), &json!(max)], "{} {name}", layout.name);
    }
    let tiny = &plan(&layouts::L6, &["--page-info-bytes", "56"])["kinds"]["none"];
    assert_eq!([&tiny["frametable_bytes"], &tiny["contiguous_bytes"]], [&json!(MIB * 7 / 4), &json!(MIB * 7 / 4)]);
}

#[test]
fn auto_names_the_kind_that_spans_least() {
    for (layout, kind) in [(&layouts::T8, "offset"), (&layouts::L2, "mask"), (&layouts::L4, "none")] {
        assert_eq!(plan(layout, &[])["auto"], kind, "{}", layout.name);
    }
}

#[test]
fn smaller_groups_skip_smaller_holes() {
    // 256 MiB of RAM, a hole of as much, and again: one group of 1 GiB, or two of 256 MiB.
    let banks = ["--json", "--bank", "40000000:10000000", "--bank", "60000000:10000000"];
    let chunks = |group: &str| {
        let json: Value =
            serde_json::from_str(&stdout(&run(banks.into_iter().chain(["--group-pages", group])))).unwrap();
        json["kinds"]["none"]["chunks"].as_array().unwrap().len()
    };
    assert_eq!((chunks("262144"), chunks("65536")), (1, 2));
}

#[test]
fn a_device_tree_gives_what_its_banks_give() {
    let path = device_tree("same.dtb", &[(0x8_0000_0000, 0x8000_0000), (0, 0x8000_0000)]);
    for format in ["--json", "--svg"] {
        let from_tree = stdout(&run([path.as_os_str(), format.as_ref()]));
        let from_banks = stdout(&run(bank_args(&layouts::L2).iter().map(String::as_str).chain([format])));
        assert_eq!(from_tree, from_banks);
    }
}

#[test]
fn a_broken_device_tree_is_refused_with_the_images_line() {
    let whole = std::fs::read(device_tree("whole.dtb", &[(0, 0x4000_0000)])).unwrap();
    let cases = [
        ("bad magic", file("magic.dtb", &[0; 64]), "lacuna: fatal: not a device tree: "),
        ("cut short", file("cut.dtb", &whole[..whole.len() - 8]), "lacuna: fatal: device tree is cut short: "),
        ("empty", file("empty.dtb", &[]), "lacuna: fatal: device tree is cut short: "),
        ("no memory", device_tree("none.dtb", &[]), "lacuna: fatal: device tree has no usable memory node"),
    ];
    for (name, path, wanted) in cases {
        let line = failure(&run([path]), 1);
        assert!(line.starts_with(wanted), "{name}: {line}");
    }
    let line = failure(&run([Path::new(env!("CARGO_TARGET_TMPDIR")).join("absent.dtb")]), 1);
    assert!(line.starts_with("lacuna-plan: ") && line.contains("absent.dtb"), "{line}");
}

#[test]
fn overlapping_banks_are_merged_with_a_warning_that_names_both() {
    let output = run(["--json", "--bank", "0:2000", "--bank", "0x1000:0x2000"]);
    let warning = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(
        warning,
        "lacuna: warning: memory of --bank 0x1000:0x2000 [0x1000, 0x3000) overlaps memory of --bank 0:2000 \
         [0x0, 0x2000): merged\n"
    );
    let json: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(json["banks"], json!([{"start": 0, "size": 0x3000}]));
}

#[test]
fn arguments_that_make_no_sense_get_one_line_and_status_2() {
    let cases: [(&[&str], &str); 23] = [
        (&[], "no memory given"),
        (&["--json"], "no memory given"),
        (&["--bank"], "--bank needs a value"),
        (&["--bank", "40000000"], "is not START:SIZE"),
        (&["--bank", "0:1g"], "is not START:SIZE"),
        (&["--bank", "+0:1000"], "is not START:SIZE"),
        (&["--bank", "0:10000000000000000"], "is not START:SIZE"),
        (&["--bank", "0:1000", "a.dtb"], "exclude each other"),
        (&["a.dtb", "b.dtb"], "not also \"b.dtb\""),
        (&["--json", "--svg", "--bank", "0:1000"], "exclude each other"),
        (&["--page-info-bytes", "0", "--bank", "0:1000"], "not a number from 1 to 4096"),
        (&["--page-info-bytes", "4097", "--bank", "0:1000"], "not a number from 1 to 4096"),
        (&["--page-info-bytes"], "--page-info-bytes needs a value"),
        (&["--group-pages", "262143", "--bank", "0:1000"], "not a power of two"),
        (&["--group-pages", "2048", "--bank", "0:1000"], "not a power of two"),
        (&["--group-pages", "18446744073709551616", "--bank", "0:1000"], "not a power of two"),
        (&["--image", "0:1000", "--bank", "0:1000"], "--image says something of a device tree"),
        (&["--bank", "0:1000", "--address-bits", "40"], "--address-bits says something of a device tree"),
        (&["--image", "1000:ffffffffffffffff", "a.dtb"], "is not START:SIZE"),
        (&["--tree", "+4", "a.dtb"], "is not a hexadecimal number"),
        (&["--address-bits", "31", "a.dtb"], "is not a number from 32 to 48"),
        (&["--address-bits", "49", "a.dtb"], "is not a number from 32 to 48"),
        (&["--colour", "--bank", "0:1000"], "there is no option \"--colour\""),
    ];
    for (args, wanted) in cases {
        let line = failure(&run(args), 2);
        assert!(line.starts_with("lacuna-plan: ") && line.contains(wanted), "{args:?}: {line}");
    }
}

#[test]
fn a_bank_without_a_whole_page_is_left_out_with_a_warning() {
    let output = run(["--json", "--bank", "40000000:8000000", "--bank", "100:200"]);
    let warning = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(warning.starts_with("lacuna: warning: memory of --bank 100:200 "), "{warning}");
    let json: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(json["banks"], json!([{"start": 0x4000_0000, "size": 0x800_0000}]));
}

#[test]
fn no_frametable_is_too_large_to_plan_on_paper() {
    // All of the architecture's address space, at both ends, with the largest entries.
    let ends = ["--json", "--page-info-bytes", "4096", "--bank", "0:1000", "--bank", "ffffffffff000:1000"];
    let json: Value = serde_json::from_str(&stdout(&run(ends))).unwrap();
    assert_eq!(json["kinds"]["none"]["contiguous_bytes"], 1_u64 << 52);
}

#[test]
fn the_picture_has_a_box_for_each_bank_and_each_chunk() {
    let many: Vec<_> = (0_u64..20).flat_map(|i| ["--bank".into(), format!("{:x}:80000000", (i * i) << 36)]).collect();
    let layouts = [&layouts::L6, &layouts::L4, &layouts::T8].map(|layout| (layout.banks.len(), bank_args(layout)));
    for (banks, args) in layouts.into_iter().chain([(20, many)]) {
        let output = |format: &str| stdout(&run(args.iter().map(String::as_str).chain([format])));
        let picture = output("--svg");
        let json: Value = serde_json::from_str(&output("--json")).unwrap();
        let kinds = json["kinds"].as_object().unwrap().values();
        let chunks: usize = kinds.filter_map(|kind| kind["chunks"].as_array()).map(Vec::len).sum();
        let count = |what: &str| picture.matches(what).count();
        assert_eq!((count("class=\"bank\""), count("class=\"chunk\"")), (banks, chunks));
        assert_eq!(count("chosen by auto"), 1);
        assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"));
        assert_eq!(count("<text"), count("</text>"));
    }
}

#[test]
fn the_text_shows_banks_kinds_and_the_choice() {
    let text = stdout(&run(bank_args(&layouts::L3)));
    for line in [
        "memory   3 banks, 40.0 GiB of RAM over 774.0 GiB of addresses",
        "         [0x0800000000, 0x1000000000)    32.0 GiB",
        "mask     mask compression, bits 24..25 removed",
        "frames   2 chunks, 80.0 MiB (contiguous: 140.0 MiB)",
        "auto     takes offset",
    ] {
        assert!(text.lines().any(|shown| shown == line), "no line {line:?} in\n{text}");
    }
    let help = stdout(&run(["--help"]));
    for option in ["--bank", "--json", "--svg", "--page-info-bytes", "--group-pages"] {
        assert!(help.contains(option), "{option}");
    }
}
