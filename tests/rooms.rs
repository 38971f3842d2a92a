//! Imports in `kernel/src` go downwards: from a room to the rooms listed below it, and never in a circle.
//!
//! The list of rooms is in `docs/architecture.md`, and only there. Sources are parsed, so that an import counts however it
//! is written: in a `use`, as a path in an expression or a type, or in the arguments of a macro.

use proc_macro2::{TokenStream, TokenTree};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, UseTree};

/// A module as the segments of its path: `guest::exit` is `["guest", "exit"]`.
type Module = Vec<String>;

/// What the sources say: which file each module is, and what each file imports.
struct House {
    files: BTreeMap<Module, String>,
    imports: BTreeMap<String, BTreeSet<String>>,
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The rooms, from the uppermost to the lowest: the first word of each line of the block after "Rooms, from top to bottom".
fn rooms() -> Vec<String> {
    let page = fs::read_to_string(repository().join("docs/architecture.md")).expect("docs/architecture.md");
    let (_, list) = page.split_once("Rooms, from top to bottom").expect("the list of rooms");
    let block = list.split("```").nth(1).expect("a block with the rooms");
    block.lines().skip(1).filter_map(|line| line.split_whitespace().next()).map(String::from).collect()
}

impl House {
    fn read() -> Self {
        let source = repository().join("kernel/src");
        let mut files = BTreeMap::new();
        collect(&source, &mut Vec::new(), &mut files);
        let macros = exported_macros(&source, &files);
        let mut house = Self { files, imports: BTreeMap::new() };
        for (module, file) in house.files.clone() {
            let text = fs::read_to_string(source.join(&file)).unwrap_or_else(|error| panic!("{file}: {error}"));
            let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
            let mut paths = Paths { found: BTreeSet::new(), macros: &macros };
            paths.visit_file(&parsed);
            let imported: BTreeSet<String> = paths
                .found
                .iter()
                .filter_map(|path| house.file_of(&module, path))
                .filter(|other| *other != file)
                .collect();
            house.imports.insert(file, imported);
        }
        house
    }

    /// The file whose module `path` names from within `module`, or names something in.
    fn file_of(&self, module: &[String], path: &[String]) -> Option<String> {
        let (first, rest) = path.split_first()?;
        let mut from: Module = match first.as_str() {
            "crate" | "lacuna" => Vec::new(),
            "self" => module.to_vec(),
            "super" => module[..module.len().saturating_sub(1)].to_vec(),
            // A module right below this one needs no prefix.
            name => {
                let below: Module = module.iter().cloned().chain([name.to_string()]).collect();
                self.files.get(&below)?;
                below
            }
        };
        for segment in rest {
            match segment.as_str() {
                "super" => drop(from.pop()),
                name => from.push(name.into()),
            }
        }
        // The longest part of the path that is a module: what follows is in it.
        (1..=from.len()).rev().find_map(|length| self.files.get(&from[..length])).cloned()
    }
}

/// The modules in `folder`, but for those of tests.
fn collect(folder: &Path, above: &mut Module, files: &mut BTreeMap<Module, String>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        if matches!(name.as_str(), "tests" | "fake") {
            continue;
        }
        if path.is_dir() {
            above.push(name);
            collect(&path, above, files);
            above.pop();
        } else if name != "lib" {
            let file = above.iter().map(|part| format!("{part}/")).collect::<String>() + &name + ".rs";
            let own = (name != "mod").then_some(name);
            files.insert(above.iter().cloned().chain(own).collect(), file);
        }
    }
}

/// Macros that are visible in the whole crate, by the module that defines each.
fn exported_macros(source: &Path, files: &BTreeMap<Module, String>) -> BTreeMap<String, Module> {
    let mut macros = BTreeMap::new();
    for (module, file) in files {
        let text = fs::read_to_string(source.join(file)).expect("a source file");
        for item in syn::parse_file(&text).expect("a source file that parses").items {
            if let Item::Macro(item) = item
                && item.attrs.iter().any(|attribute| attribute.path().is_ident("macro_export"))
            {
                macros.insert(item.ident.expect("a macro has a name").to_string(), module.clone());
            }
        }
    }
    macros
}

/// All paths of a file that can lead into another.
struct Paths<'a> {
    found: BTreeSet<Module>,
    macros: &'a BTreeMap<String, Module>,
}

impl Paths<'_> {
    fn add(&mut self, path: Module) {
        // An exported macro is addressed at the root and belongs to the room that defines it.
        let at_root = path.first().is_some_and(|first| first == "crate");
        let name = if at_root { path.get(1) } else { path.first().filter(|_| path.len() == 1) };
        let whole = match name.and_then(|name| self.macros.get(name)) {
            Some(module) => ["crate".into()].into_iter().chain(module.iter().cloned()).collect(),
            None => path,
        };
        self.found.insert(whole);
    }

    fn add_tree(&mut self, tree: &UseTree, prefix: &[String]) {
        let with = |name: &syn::Ident| prefix.iter().cloned().chain([name.to_string()]).collect::<Module>();
        match tree {
            UseTree::Path(path) => self.add_tree(&path.tree, &with(&path.ident)),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.add_tree(tree, prefix)),
            UseTree::Name(name) => self.add(with(&name.ident)),
            UseTree::Rename(name) => self.add(with(&name.ident)),
            UseTree::Glob(_) => self.add(prefix.to_vec()),
        }
    }

    /// Paths in the arguments of a macro, which are tokens without a meaning yet.
    fn add_tokens(&mut self, tokens: TokenStream) {
        let mut path: Module = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Ident(ident) if colons == 2 || path.is_empty() => {
                    path.push(ident.to_string());
                    colons = 0;
                }
                other => {
                    if path.len() > 1 {
                        self.add(std::mem::take(&mut path));
                    }
                    path.clear();
                    colons = 0;
                    match other {
                        TokenTree::Ident(ident) => path.push(ident.to_string()),
                        TokenTree::Group(group) => self.add_tokens(group.stream()),
                        _ => {}
                    }
                }
            }
        }
        if path.len() > 1 {
            self.add(path);
        }
    }
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.meta.require_list().is_ok_and(|list| list.tokens.to_string().starts_with("test"))
    })
}

impl<'ast> Visit<'ast> for Paths<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes = match item {
            Item::Mod(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            Item::Fn(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            _ => return visit::visit_item(self, item),
        };
        if !is_test(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.add_tree(&item.tree, &[]);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.leading_colon.is_none() && path.segments.len() > 1 {
            self.add(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, called: &'ast syn::Macro) {
        self.add(called.path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        self.add_tokens(called.tokens.clone());
    }
}

/// The place in `rooms` of the room that `file` is in: the one with the longest name that the path starts with.
fn place(rooms: &[String], file: &str) -> Option<usize> {
    let module = file.trim_end_matches(".rs");
    let is_in =
        |room: &String| module.strip_prefix(room.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    (0..rooms.len()).filter(|&at| is_in(&rooms[at])).max_by_key(|&at| rooms[at].len())
}

#[test]
fn every_file_is_in_a_room_and_every_room_has_a_file() {
    let (rooms, house) = (rooms(), House::read());
    let mut empty: BTreeSet<&String> = rooms.iter().collect();
    for file in house.files.values().filter(|file| *file != "guest/mod.rs") {
        let at =
            place(&rooms, file).unwrap_or_else(|| panic!("kernel/src/{file} is in no room of docs/architecture.md"));
        empty.remove(&rooms[at]);
    }
    assert!(empty.is_empty(), "rooms of docs/architecture.md without a file: {empty:?}");
}

#[test]
fn imports_go_downwards() {
    let (rooms, house) = (rooms(), House::read());
    let mut upwards = String::new();
    for (file, imported) in &house.imports {
        for other in imported {
            if let (Some(from), Some(to)) = (place(&rooms, file), place(&rooms, other))
                && to < from
            {
                writeln!(
                    upwards,
                    "kernel/src/{file} imports kernel/src/{other}, but {} is above {}",
                    rooms[to], rooms[from]
                )
                .expect("a string takes what is written");
            }
        }
    }
    assert!(upwards.is_empty(), "{upwards}");
}

#[test]
fn a_types_name_stands_for_one_type() {
    let source = repository().join("kernel/src");
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in House::read().files.into_values() {
        let text = fs::read_to_string(source.join(&file)).expect("a source file");
        for item in syn::parse_file(&text).expect("a source file that parses").items {
            let name = match item {
                Item::Struct(item) => item.ident,
                Item::Enum(item) => item.ident,
                Item::Trait(item) => item.ident,
                Item::Type(item) => item.ident,
                Item::Union(item) => item.ident,
                _ => continue,
            };
            places.entry(name.to_string()).or_default().push(file.clone());
        }
    }
    places.retain(|_, files| files.len() > 1);
    assert!(places.is_empty(), "names of several types: {places:#?}");
}

/// Files of a folder may use what its `mod.rs` defines, which is the same module to everybody else. All other circles count.
#[test]
fn no_files_import_each_other_in_a_circle() {
    let house = House::read();
    let is_above = |file: &str, other: &str| {
        other.strip_suffix("mod.rs").is_some_and(|folder| !folder.is_empty() && file.starts_with(folder))
    };
    let below = |file: &String| -> Vec<String> {
        house.imports.get(file).into_iter().flatten().filter(|other| !is_above(file, other)).cloned().collect()
    };
    // Files from which nothing leads back are taken away, until there is none: what is left is in a circle or above one.
    let mut left: BTreeMap<String, Vec<String>> =
        house.files.values().map(|file| (file.clone(), below(file))).collect();
    loop {
        let done: Vec<String> = left
            .iter()
            .filter(|(_, to)| to.iter().all(|to| !left.contains_key(to)))
            .map(|(file, _)| file.clone())
            .collect();
        if done.is_empty() {
            break;
        }
        done.iter().for_each(|file| drop(left.remove(file)));
    }
    assert!(left.is_empty(), "in a circle, or above one: {:#?}", left);
}
