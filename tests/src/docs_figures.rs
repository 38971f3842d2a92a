//! `make docs-figures`: writes the figures that code decides into README and docs; with `--check`, says which differ.
//!
//! A figure stands between `<!--=KEY-->` and `<!--/-->`, a table between `<!--table BACKEND-->` and `<!--/table-->`. Keys are
//! `selftests BACKEND` and `suite NAME`, counted in the sources, and `bench BACKEND WHAT, MACHINE` from what `make bench`
//! measured last. That is looked at only if no source of the image is newer, so that nobody compares with yesterday.

use lacuna_tests::repository;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;
use std::{env, fs, io};

/// The suites of self-tests beside those that both backends have.
const OF_BACKEND: [(&str, &[&str]); 2] = [("mmu", &["mmu", "guests"]), ("mpu", &["mpu"])];
const OF_BOTH: [&str; 5] = ["pdx", "frametable", "pages", "vmap", "faults"];

/// What is known: figures by their keys, tables by their backends.
#[derive(Default)]
struct Known {
    figures: BTreeMap<String, String>,
    tables: BTreeMap<String, String>,
}

fn main() -> io::Result<ExitCode> {
    let is_check = env::args().nth(1).as_deref() == Some("--check");
    let known = Known::read()?;
    let mut pages = vec![repository().join("README.md")];
    pages.extend(fs::read_dir(repository().join("docs"))?.flatten().map(|entry| entry.path()));
    let mut differ = 0;
    for page in pages.iter().filter(|page| page.extension().is_some_and(|extension| extension == "md")) {
        let old = fs::read_to_string(page)?;
        let new = known.put_into(&old).unwrap_or_else(|what| panic!("{}: {what}", page.display()));
        if new == old {
            continue;
        }
        let name = page.strip_prefix(repository()).unwrap_or(page).display();
        if is_check {
            // A table that has grown moves all that follows: the first differences tell enough.
            let lines = old.lines().zip(new.lines()).enumerate().filter(|(_, (old, new))| old != new);
            for (line, (old, new)) in lines.take(5) {
                eprintln!("{name}:{}: is {old}\n{name}:{}: should be {new}", line + 1, line + 1);
            }
            differ += 1;
        } else {
            fs::write(page, new)?;
            println!("{name}: written");
        }
    }
    if differ > 0 {
        eprintln!("figures in {differ} documents differ: make docs-figures writes them");
    }
    Ok(if differ > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

impl Known {
    fn read() -> io::Result<Self> {
        let mut known = Self::default();
        for (backend, suites) in OF_BACKEND {
            let mut sum = 0;
            for suite in OF_BOTH.iter().chain(suites) {
                let count = selftests(suite)?;
                sum += count;
                known.figures.insert(format!("suite {suite}"), count.to_string());
            }
            known.figures.insert(format!("selftests {backend}"), sum.to_string());
            known.read_bench(backend)?;
        }
        Ok(known)
    }

    /// Reads what the bench of a backend measured last, if that is of these sources.
    fn read_bench(&mut self, backend: &str) -> io::Result<()> {
        let path = repository().join("target").join(format!("bench-{backend}.json"));
        let sources = ["kernel/src", "boot/src", "board/src"].map(|folder| newest(&repository().join(folder)));
        let newest = sources.into_iter().collect::<io::Result<Vec<_>>>()?.into_iter().max();
        let Ok(written) = fs::metadata(&path).and_then(|data| data.modified()) else { return Ok(()) };
        if newest.is_none_or(|newest| newest > written) {
            return Ok(());
        }
        let json: Value = serde_json::from_str(&fs::read_to_string(&path)?)?;
        let text = |figure: &Value, key: &str| figure[key].as_str().unwrap_or_default().to_string();
        let mut table = String::from("| what | on | figure | limit |\n|---|---|---|---|\n");
        for figure in json["figures"].as_array().into_iter().flatten() {
            let (what, machine) = (text(figure, "what"), text(figure, "machine"));
            let unit = text(figure, "unit");
            let in_unit = |key: &str| {
                let number = figure[key].as_u64().unwrap_or_default();
                grouped(if unit == "bytes" { number.div_ceil(1024) } else { number })
            };
            let (value, limit) = (in_unit("value"), in_unit("limit"));
            let unit = if unit == "bytes" { "KiB" } else { unit.as_str() };
            table += &format!("| {what} | {machine} | {value} {unit} | {limit} |\n");
            self.figures.insert(format!("bench {backend} {what}, {machine}"), value);
        }
        self.tables.insert(backend.into(), table);
        Ok(())
    }

    /// The page with all that is known in its place; what is wrong with it otherwise.
    fn put_into(&self, page: &str) -> Result<String, String> {
        let figures = replace(page, "<!--=", "<!--/-->", |key| {
            let is_bench = key.starts_with("bench ");
            match self.figures.get(key) {
                // Not measured since the sources changed, unless the whole backend was.
                None if is_bench && !self.tables.contains_key(key.split(' ').nth(1).unwrap_or_default()) => Ok(None),
                None => Err(format!("nothing is known of {key:?}")),
                found => Ok(found.cloned()),
            }
        })?;
        let tables = replace(&figures, "<!--table ", "<!--/table-->", |backend| {
            Ok(self.tables.get(backend).map(|table| format!("\n{table}")))
        })?;
        Ok(self.samples(&tables))
    }

    /// Puts the number of self-tests into samples of what an image prints, which can have no marks: of the backend that the
    /// sample's first line names.
    fn samples(&self, page: &str) -> String {
        let mut tests = None;
        let lines = page.split_inclusive('\n').map(|line| {
            for (backend, _) in OF_BACKEND {
                if line.starts_with("lacuna ") && line.contains(&format!("({backend}) at EL2")) {
                    tests = self.figures.get(&format!("selftests {backend}"));
                }
            }
            match tests {
                Some(tests) if line.starts_with("1..") => format!("1..{tests}\n"),
                Some(tests) if line.starts_with("lacuna: selftest: ") => {
                    format!("lacuna: selftest: {tests} passed, 0 failed\n")
                }
                _ => line.to_string(),
            }
        });
        lines.collect()
    }
}

/// Replaces what stands between `open` with a key and `-->`, and `close`, by what `of` makes of the key, if anything.
fn replace(
    page: &str,
    open: &str,
    close: &str,
    of: impl Fn(&str) -> Result<Option<String>, String>,
) -> Result<String, String> {
    let (mut done, mut rest) = (String::new(), page);
    while let Some((before, after)) = rest.split_once(open) {
        let (key, after) = after.split_once("-->").ok_or_else(|| format!("{open} without an end"))?;
        let (old, after) = after.split_once(close).ok_or_else(|| format!("{open}{key}--> without {close}"))?;
        // A paragraph may break within it.
        let words: Vec<&str> = key.split_whitespace().collect();
        let new = of(&words.join(" "))?.unwrap_or_else(|| old.into());
        done += &format!("{before}{open}{key}-->{new}{close}");
        rest = after;
    }
    Ok(done + rest)
}

/// How many tests the suite has: the names behind its own in `tests!(suite: …)`.
fn selftests(suite: &str) -> io::Result<usize> {
    let text = fs::read_to_string(repository().join(format!("kernel/src/selftest/{suite}.rs")))?;
    let list = text.split_once("\ntests!(").and_then(|(_, rest)| rest.split_once(')')).map_or("", |(list, _)| list);
    let names = list.split_once(':').map_or("", |(_, names)| names);
    Ok(names.split_whitespace().filter(|word| !word.starts_with('#')).count())
}

/// When the newest file below `folder` was written.
fn newest(folder: &Path) -> io::Result<SystemTime> {
    let mut open: Vec<PathBuf> = vec![folder.into()];
    let mut newest = SystemTime::UNIX_EPOCH;
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(&path)?.flatten().map(|entry| entry.path()));
        } else {
            newest = newest.max(fs::metadata(&path)?.modified()?);
        }
    }
    Ok(newest)
}

/// A number with commas, from five digits on.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    if digits.len() < 5 {
        return digits;
    }
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::{Known, grouped, selftests};

    #[test]
    fn figures_and_tables_are_put_in_their_places() {
        let mut known = Known::default();
        known.figures.insert("selftests mmu".into(), "47".into());
        known.tables.insert("mmu".into(), "| a |\n".into());
        let page = "runs <!--=selftests mmu-->9<!--/--> tests\n<!--table mmu-->\nold\n<!--/table-->\n";
        let expected = "runs <!--=selftests mmu-->47<!--/--> tests\n<!--table mmu-->\n| a |\n<!--/table-->\n";
        assert_eq!(known.put_into(page).unwrap(), expected);
        assert_eq!(known.put_into(expected).unwrap(), expected);
    }

    #[test]
    fn samples_have_the_number_of_their_backend() {
        let mut known = Known::default();
        known.figures.insert("selftests mpu".into(), "46".into());
        let page = "1..3\nlacuna 0.1.0 (mpu) at EL2, image\n1..47\nlacuna: selftest: 47 passed, 0 failed\n";
        let expected = "1..3\nlacuna 0.1.0 (mpu) at EL2, image\n1..46\nlacuna: selftest: 46 passed, 0 failed\n";
        assert_eq!(known.put_into(page).unwrap(), expected);
    }

    #[test]
    fn a_key_that_nobody_knows_is_an_error_and_what_was_not_measured_stays() {
        let known = Known::default();
        assert!(known.put_into("<!--=selftests mmx-->1<!--/-->").is_err());
        assert!(known.put_into("<!--=selftests mmu-->1").is_err());
        let page = "<!--=bench mmu HVC, virt-->80<!--/-->";
        assert_eq!(known.put_into(page).unwrap(), page);
    }

    #[test]
    fn suites_are_counted_and_numbers_grouped() {
        assert!(selftests("pdx").unwrap() > 1);
        assert_eq!([0, 999, 1234, 12345, 1_234_567].map(grouped), ["0", "999", "1234", "12,345", "1,234,567"]);
    }
}
