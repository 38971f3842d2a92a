//! The table of fatal lines in `docs/boot.md` is what the sources say.
//!
//! Both ways. Each line of the table must be a text of the sources. And each text of an error that can end the boot must be
//! in the table: those of `BootError`, and of every error that one of them is passed on as, which is when the text around it
//! has no words. An error inside of a sentence (`vmap: {0}`) is covered by the line with that sentence.
//!
//! In the table `…` stands for whatever is inserted, and a `;` between lines that share a row. A placeholder of a text stands
//! for one thing that is inserted; where that is a constant, the table has its value.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use syn::visit::{self, Visit};
use syn::{Attribute, Fields, Item, LitStr};

/// What stands for a placeholder.
const INSERTED: char = '¤';

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// An error type: its texts, and the types that it passes on or puts into a sentence.
#[derive(Default)]
struct Error {
    texts: Vec<String>,
    passed_on: BTreeSet<String>,
}

/// What the sources say.
#[derive(Default)]
struct Sources {
    errors: BTreeMap<String, Error>,
    /// All string literals, with placeholders.
    literals: Vec<String>,
}

/// `{…}` replaced; `{{` and `}}` are braces.
fn with_placeholders(text: &str) -> String {
    let mut result = String::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '{' if characters.peek() == Some(&'{') => result.extend(characters.next()),
            '{' => {
                characters.by_ref().find(|end| *end == '}');
                result.push(INSERTED);
            }
            _ => result.push(character),
        }
    }
    result
}

fn has_words(text: &str) -> bool {
    text.chars().any(char::is_alphabetic)
}

impl Sources {
    fn read() -> Self {
        let mut sources = Self::default();
        for folder in ["kernel/src", "board/src"] {
            sources.read_folder(&repository().join(folder));
        }
        sources
    }

    fn read_folder(&mut self, folder: &Path) {
        for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                self.read_folder(&path);
            } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs") {
                let text = fs::read_to_string(&path).expect("a source file");
                self.visit_file(&syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display())));
            }
        }
    }

    /// Adds a variant, or a struct, with these attributes.
    fn add(&mut self, name: &str, attributes: &[Attribute], fields: &Fields) {
        let Some(attribute) = attributes.iter().find(|attribute| attribute.path().is_ident("error")) else { return };
        let text = attribute.parse_args_with(|input: syn::parse::ParseStream<'_>| {
            let text = if input.peek(LitStr) { Some(input.parse::<LitStr>()?.value()) } else { None };
            input.parse::<proc_macro2::TokenStream>()?;
            Ok(text)
        });
        let text = text.expect("an error's text").map(|text| with_placeholders(&text));
        let error = self.errors.entry(name.into()).or_default();
        match text {
            Some(text) if has_words(&text) => error.texts.push(text),
            // Transparent, or nothing but what is inserted.
            _ => error.passed_on.extend(fields.iter().flat_map(|field| names(&field.ty))),
        }
    }

    /// All types that the boot's error is passed on from.
    fn fatal(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut open = vec!["BootError".to_string()];
        while let Some(name) = open.pop() {
            if found.insert(name.clone()) {
                open.extend(self.errors.get(&name).into_iter().flat_map(|error| error.passed_on.iter().cloned()));
            }
        }
        found
    }
}

/// The names in a type, and what stands behind those that are chosen by the backend.
fn names(of: &syn::Type) -> Vec<String> {
    struct Names(Vec<String>);
    impl<'ast> Visit<'ast> for Names {
        fn visit_path(&mut self, path: &'ast syn::Path) {
            let last = path.segments.last().map(|segment| segment.ident.to_string()).unwrap_or_default();
            match last.as_str() {
                "BackendError" => self.0.extend(["MmuStartError".into(), "MpuStartError".into()]),
                // Of `VmapError<E>`.
                "E" => self.0.extend(["MmuError".into(), "MpuError".into()]),
                _ => self.0.push(last),
            }
            visit::visit_path(self, path);
        }
    }
    let mut names = Names(Vec::new());
    names.visit_type(of);
    names.0
}

impl<'ast> Visit<'ast> for Sources {
    fn visit_item(&mut self, item: &'ast Item) {
        match item {
            Item::Enum(item) => {
                item.variants
                    .iter()
                    .for_each(|variant| self.add(&item.ident.to_string(), &variant.attrs, &variant.fields));
            }
            Item::Struct(item) => self.add(&item.ident.to_string(), &item.attrs, &item.fields),
            _ => {}
        }
        visit::visit_item(self, item);
    }

    fn visit_lit_str(&mut self, literal: &'ast LitStr) {
        self.add_literal(&literal.value());
    }

    fn visit_macro(&mut self, called: &'ast syn::Macro) {
        self.add_tokens(called.tokens.clone());
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if let syn::Meta::List(list) = &attribute.meta {
            self.add_tokens(list.tokens.clone());
        }
    }
}

impl Sources {
    fn add_literal(&mut self, text: &str) {
        self.literals.push(with_placeholders(text.trim_start().trim_start_matches("lacuna: fatal: ")));
    }

    fn add_tokens(&mut self, tokens: proc_macro2::TokenStream) {
        for token in tokens {
            match token {
                proc_macro2::TokenTree::Group(group) => self.add_tokens(group.stream()),
                proc_macro2::TokenTree::Literal(literal) => {
                    if let Ok(text) = syn::parse_str::<LitStr>(&literal.to_string()) {
                        self.add_literal(&text.value());
                    }
                }
                _ => {}
            }
        }
    }
}

/// The lines of the table, without what comes before a sentence: names of guests and nodes.
fn table() -> Vec<String> {
    let page = fs::read_to_string(repository().join("docs/boot.md")).expect("docs/boot.md");
    let (_, rows) = page.split_once("| stage | line | meaning |").expect("the table of fatal lines");
    let cells = rows.lines().skip(2).map_while(|row| row.strip_prefix("| ").or_else(|| row.strip_prefix("|")));
    let lines = cells.filter_map(|row| row.split('|').nth(1)).flat_map(|cell| cell.split(';').map(str::trim));
    // A line that ends in ` …` ends in the rest of the sentence, whatever that begins with.
    let bare = lines.filter(|line| has_words(line)).map(|line| line.trim_start_matches("…: "));
    bare.map(|line| line.strip_suffix(" …").map_or(line.to_string(), |line| format!("{line}…"))).collect()
}

/// Whether a line of the table is this text: `…` is anything, and a number may be what is inserted.
fn is(line: &str, text: &str) -> bool {
    let (line, text): (Vec<char>, Vec<char>) = (line.chars().collect(), text.chars().collect());
    matches(&line, &text)
}

fn matches(line: &[char], text: &[char]) -> bool {
    match (line, text) {
        ([], []) => true,
        (['…', rest @ ..], _) => (0..=text.len()).any(|taken| matches(rest, &text[taken..])),
        ([digit, ..], [INSERTED, after @ ..]) if digit.is_ascii_digit() => {
            let number = line.iter().take_while(|character| character.is_ascii_alphanumeric()).count();
            matches(&line[number..], after)
        }
        ([first, rest @ ..], [other, after @ ..]) => first == other && matches(rest, after),
        _ => false,
    }
}

/// Whether two texts with gaps can be the same: what the table has may stand for itself where the source inserts it.
fn can_be(line: &[char], text: &[char]) -> bool {
    match (line, text) {
        ([], []) => true,
        (['…', rest @ ..], _) => (0..=text.len()).any(|taken| can_be(rest, &text[taken..])),
        (_, [INSERTED, after @ ..]) => (0..=line.len()).any(|taken| can_be(&line[taken..], after)),
        ([first, rest @ ..], [other, after @ ..]) => first == other && can_be(rest, after),
        _ => false,
    }
}

/// The words of a text.
fn words(text: &str) -> BTreeSet<&str> {
    text.split(|character: char| !character.is_alphanumeric())
        .filter(|word| word.len() > 2 && has_words(word))
        .collect()
}

#[test]
fn every_text_that_ends_the_boot_is_in_the_table() {
    let (sources, table) = (Sources::read(), table());
    let fatal = sources.fatal();
    assert!(fatal.contains("BlobError") && fatal.contains("KernelError") && fatal.len() > 20, "{fatal:?}");
    let mut missing = Vec::new();
    for name in &fatal {
        for text in sources.errors.get(name).into_iter().flat_map(|error| &error.texts) {
            if !table.iter().any(|line| is(line, text)) {
                missing.push(format!("{name}: {text}"));
            }
        }
    }
    assert!(missing.is_empty(), "docs/boot.md has no line for:\n{}", missing.join("\n"));
}

#[test]
fn every_line_of_the_table_is_a_text_of_the_sources() {
    let (sources, table) = (Sources::read(), table());
    assert!(table.len() > 100, "{} lines", table.len());
    let unknown: Vec<&String> = table
        .iter()
        .filter(|line| {
            let characters: Vec<char> = line.chars().collect();
            !sources.literals.iter().any(|text| {
                let common = words(line).intersection(&words(text)).count();
                // Not by chance: a text that inserts much could be any line.
                2 * common >= words(line).len() && can_be(&characters, &text.chars().collect::<Vec<_>>())
            })
        })
        .collect();
    assert!(unknown.is_empty(), "lines of docs/boot.md that nothing prints: {unknown:#?}");
}
