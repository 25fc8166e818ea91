//! Holds the house together: who may import whom, how long a file and a function may be, and what
//! only one place may do. Reads the source as text; each check is also shown to fail.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a check fails by panicking, and an index out of reach is such a failure"
)]

#[path = "architecture/code.rs"]
mod code;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use code::{Production, functions, paths};

/// Every module and what it may import, in the order of `src/lib.rs`. An entry with `::` allows
/// that one item. ARCHITECTURE.md shows this table; a failing test prints the block to paste.
const IMPORTS: &[(&str, &[&str])] = &[
    (
        "main",
        &[
            "admin",
            "allocator",
            "app",
            "checkpoint",
            "config",
            "doctor",
            "explain",
            "options::Problem",
        ],
    ),
    ("app", EVERYTHING),
    (
        "config",
        &[
            "assemble", "backoff", "encode", "failover", "lane", "metrics", "net", "options",
            "output", "record", "registry", "route", "select", "shutdown", "source", "tail",
            "template", "terminal",
        ],
    ),
    (
        "doctor",
        &[
            "app::reach",
            "config",
            "metrics",
            "net",
            "output",
            "record",
            "route",
            "shutdown",
            "source",
            "terminal",
        ],
    ),
    (
        "explain",
        &[
            "checkpoint",
            "config",
            "encode",
            "metrics",
            "options",
            "output",
            "record",
            "route",
            "select",
            "shutdown",
            "source",
            "terminal",
        ],
    ),
    (
        "source",
        &[
            "assemble", "backoff", "lane", "metrics", "net", "options", "record", "select",
            "shutdown",
        ],
    ),
    ("record", &[]),
    ("assemble", &["record"]),
    (
        "route",
        &["assemble", "encode", "failover", "metrics", "options", "output", "select", "template"],
    ),
    ("select", &["options", "record"]),
    ("failover", &["metrics", "options", "output"]),
    ("lane", &["metrics", "record"]),
    ("encode", &["json", "options", "output::Carriage", "record", "select", "template"]),
    ("template", &["options", "record"]),
    ("deliver", &["backoff", "encode", "lane", "metrics", "output", "record", "shutdown", "store"]),
    (
        "output",
        &[
            "json",
            "metrics",
            "net",
            "options",
            "record::Container",
            "record::NAMING_VARIABLES",
            "record::Stream",
            "record::Timestamp",
            "store",
            "template",
        ],
    ),
    ("store", &["record", "template"]),
    ("checkpoint", &["lane::Kept", "metrics", "options", "record", "shutdown"]),
    ("json", &[]),
    ("terminal", &[]),
    ("options", &[]),
    ("net", &["metrics", "options"]),
    ("backoff", &[]),
    ("shutdown", &["metrics"]),
    ("metrics", &[]),
    (
        "admin",
        &[
            "json", "metrics", "options", "percent", "record", "registry", "select", "shutdown",
            "tail",
        ],
    ),
    ("allocator", &[]),
    ("tail", &["lane", "metrics", "record", "shutdown", "source"]),
    ("registry", &["options", "percent"]),
    ("percent", &[]),
];

/// The allowance of the one module that wires all others.
const EVERYTHING: &[&str] = &["*"];

/// Modules whose children must not know each other: shared needs go to `net`.
const STRANGERS: &[&str] = &["source", "output"];

/// Beyond this a file holds more than one hop. Tests do not count.
const FILE_LINES: usize = 400;

/// The same as `too-many-lines-threshold` in clippy.toml.
const FUNCTION_LINES: usize = 60;

/// What may stand at the top of the repository, besides the tools' own dot files and toml files.
const TOP_LEVEL: &[&str] = &[
    "src",
    "deploy",
    "benches",
    "tests",
    "Dockerfile",
    "README.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "LICENSE-MIT",
    "LICENSE-APACHE",
    "Makefile",
    "Cargo.lock",
];

const BLOCK_START: &str = "<!-- imports -->";
const BLOCK_END: &str = "<!-- /imports -->";

/// A source file: its path from the top of the repository, and what is in it.
#[derive(Debug)]
struct Source {
    path: String,
    text: String,
    production: Production,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        let (path, text) = (path.to_owned(), text.to_owned());
        Self { path, production: Production::of(&text), text }
    }

    /// `src/output/tcp.rs` → output, tcp. Empty for the root of the library.
    fn module(&self) -> Vec<String> {
        let module = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        if module == "lib" {
            return Vec::new();
        }
        module.split('/').map(str::to_owned).collect()
    }

    /// Paths into this crate, from its root, with the line they stand in.
    fn imports(&self) -> Vec<(Vec<String>, usize)> {
        let module = self.module();
        let roots: &[&str] =
            if self.path == "src/main.rs" { &["downspout"] } else { &["crate", "self", "super"] };
        let mut found = Vec::new();
        for path in paths(&self.production.tokens, roots) {
            let (root, mut rest) = path.segments.split_first().unwrap();
            let mut base: Vec<String> = match root.as_str() {
                "self" => module.clone(),
                "super" => module.split_last().map_or(Vec::new(), |(_, above)| above.to_vec()),
                _ => Vec::new(),
            };
            while rest.first().is_some_and(|segment| segment == "super") {
                base.pop();
                rest = &rest[1..];
            }
            base.extend_from_slice(rest);
            found.push((base, path.line));
        }
        found
    }

    fn at(&self, line: usize, what: &str) -> String {
        format!("{}:{line}: {what}", self.path)
    }
}

// ── the checks ──────────────────────────────────────────────────────────────────────────────

fn forbidden_imports(source: &Source, table: &[(&str, &[&str])]) -> Vec<String> {
    let module = source.module();
    let Some(own) = module.first() else {
        return Vec::new();
    };
    let Some((_, allowed)) = table.iter().find(|(name, _)| name == own) else {
        return vec![
            source.at(1, &format!("`{own}` has no row in IMPORTS of tests/architecture.rs")),
        ];
    };
    let allows = |path: &[String]| {
        path[0] == *own
            || *allowed == EVERYTHING
            || allowed.iter().any(|entry| match entry.split_once("::") {
                Some((first, item)) => path[0] == first && path.get(1).is_some_and(|at| at == item),
                None => path[0] == *entry,
            })
    };
    source
        .imports()
        .iter()
        .filter(|(path, _)| !path.is_empty() && !allows(path))
        .map(|(path, line)| {
            source.at(*line, &format!("`{own}` may not import `{}`", path.join("::")))
        })
        .collect()
}

/// `siblings`: the names of the modules in the same folder.
fn known_strangers(source: &Source, siblings: &BTreeSet<String>) -> Vec<String> {
    let module = source.module();
    let [parent, own, ..] = module.as_slice() else {
        return Vec::new();
    };
    if !STRANGERS.contains(&parent.as_str()) {
        return Vec::new();
    }
    let knows = |path: &[String]| match path {
        [first] => first == parent,
        [first, second, ..] => {
            first == parent && (second == "*" || (second != own && siblings.contains(second)))
        }
        [] => false,
    };
    source
        .imports()
        .iter()
        .filter(|(path, _)| knows(path))
        .map(|(path, line)| {
            let what =
                format!("`{own}` may not know `{}`: what both need goes to `net`", path.join("::"));
            source.at(*line, &what)
        })
        .collect()
}

fn excess_lines(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    if source.production.lines > FILE_LINES {
        let lines = source.production.lines;
        found.push(source.at(1, &format!("{lines} lines without tests, {FILE_LINES} at most")));
    }
    for function in functions(&source.production.tokens) {
        if function.lines > FUNCTION_LINES {
            let (name, lines) = (function.name, function.lines);
            let what = format!("`{name}` has {lines} lines, {FUNCTION_LINES} at most");
            found.push(source.at(function.line, &what));
        }
    }
    found
}

fn trespasses(source: &Source) -> Vec<String> {
    let module = source.module();
    let own = module.first().map(String::as_str);
    let mut found = Vec::new();
    for path in paths(&source.production.tokens, &["std", "tokio"]) {
        let segments: Vec<&str> = path.segments.iter().map(String::as_str).collect();
        match segments.as_slice() {
            ["std", "env", ..] if own != Some("config") => {
                found.push(source.at(path.line, "only `config` reads the environment"));
            }
            ["tokio", "spawn" | "task" | "*"] if own != Some("shutdown") => {
                found.push(source.at(path.line, SPAWNS));
            }
            ["tokio", "task", what, ..]
                if own != Some("shutdown")
                    && (what.starts_with("spawn")
                        || ["*", "JoinSet", "LocalSet"].contains(what)) =>
            {
                found.push(source.at(path.line, SPAWNS));
            }
            _ => {}
        }
    }
    if !UNSAFE.contains(&source.path.as_str()) {
        let unsafes = source.production.tokens.iter().filter(|token| token.text == "unsafe");
        found.extend(
            unsafes
                .map(|token| source.at(token.line, &format!("`unsafe` lives in {UNSAFE:?} only"))),
        );
    }
    found
}

/// What no crate wraps.
const UNSAFE: [&str; 2] = ["src/allocator.rs", "src/net/kernel.rs"];
const SPAWNS: &str = "only `shutdown::Tasks` spawns";

fn missing_header(source: &Source) -> Vec<String> {
    let plain_is_enough = source.path == "src/main.rs" && source.text.starts_with("// ");
    if source.text.starts_with("//! ") || plain_is_enough {
        return Vec::new();
    }
    vec![source.at(1, "begins without a `//!` header: what it is, what it never does")]
}

fn module_file(source: &Source) -> Vec<String> {
    if source.path.ends_with("/mod.rs") {
        return vec![source.at(1, "is a mod.rs: a module `foo` is foo.rs beside the folder foo")];
    }
    Vec::new()
}

/// `outputs`: the names of the files in `src/output`.
fn unlisted_outputs(output: &Source, outputs: &BTreeSet<String>) -> Vec<String> {
    let tokens = &output.production.tokens;
    let Some(start) = tokens.iter().position(|token| token.text == "DRIVERS") else {
        return vec![output.at(1, "has no table DRIVERS")];
    };
    let listed: BTreeSet<&str> = tokens[start..]
        .windows(2)
        .take_while(|pair| pair[0].text != ";")
        .filter(|pair| pair[1].text == ":")
        .map(|pair| pair[0].text.as_str())
        .collect();
    outputs
        .iter()
        .filter(|name| !listed.contains(name.as_str()))
        .map(|name| {
            output.at(tokens[start].line, &format!("DRIVERS has no row of src/output/{name}.rs"))
        })
        .collect()
}

fn strays<'a>(entries: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    entries
        .into_iter()
        .filter(|entry| {
            let of_a_tool =
                entry.starts_with('.') || Path::new(entry).extension().is_some_and(|e| e == "toml");
            !of_a_tool && !TOP_LEVEL.contains(entry)
        })
        .map(|entry| format!("{entry}: does not belong at the top of the repository"))
        .collect()
}

/// What the table allows, followed to the end, never leads back.
fn cycles(table: &[(&str, &[&str])]) -> Vec<String> {
    let mut left: BTreeMap<&str, BTreeSet<&str>> = table
        .iter()
        .filter(|(_, allowed)| *allowed != EVERYTHING)
        .map(|(name, allowed)| {
            let modules = allowed.iter().map(|entry| entry.split("::").next().unwrap());
            (*name, modules.collect())
        })
        .collect();
    // `app` is above all others.
    left.remove("main");
    loop {
        let settled: Vec<&str> = left
            .iter()
            .filter(|(_, allowed)| !allowed.iter().any(|module| left.contains_key(module)))
            .map(|(name, _)| *name)
            .collect();
        if settled.is_empty() {
            return left.keys().map(|name| format!("`{name}` is in or above a cycle")).collect();
        }
        left.retain(|name, _| !settled.contains(name));
    }
}

fn block(table: &[(&str, &[&str])]) -> String {
    let mut lines = vec![BLOCK_START.to_owned(), "| module | may import |".to_owned()];
    lines.push("| --- | --- |".to_owned());
    for (name, allowed) in table {
        let names: Vec<String> = allowed.iter().map(|entry| format!("`{entry}`")).collect();
        let names = match *allowed {
            [] => "–".to_owned(),
            ["*"] => "everything".to_owned(),
            _ => names.join(", "),
        };
        lines.push(format!("| `{name}` | {names} |"));
    }
    lines.push(BLOCK_END.to_owned());
    lines.join("\n")
}

fn stale_block(page: &str, table: &[(&str, &[&str])]) -> Vec<String> {
    let block = block(table);
    if page.contains(&block) {
        return Vec::new();
    }
    vec![format!("ARCHITECTURE.md has an old table of imports, or none. Paste this:\n\n{block}\n")]
}

// ── the tree ────────────────────────────────────────────────────────────────────────────────

fn top() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// What git has or would take, so that nothing ignored counts.
fn files() -> Vec<String> {
    let arguments = ["ls-files", "--cached", "--others", "--exclude-standard", "-z"];
    let listing = Command::new("git").args(arguments).current_dir(top()).output().unwrap();
    assert!(listing.status.success(), "git ls-files: {}", String::from_utf8_lossy(&listing.stderr));
    let names = String::from_utf8(listing.stdout).unwrap();
    let exists = |name: &&str| top().join(name).is_file();
    names.split_terminator('\0').filter(exists).map(str::to_owned).collect()
}

fn rust_files() -> Vec<Source> {
    let rust = files().into_iter().filter(|name| {
        let known = ["src/", "tests/", "benches/"].iter().any(|folder| name.starts_with(folder));
        known && Path::new(name).extension().is_some_and(|extension| extension == "rs")
    });
    rust.map(|name| Source::new(&name, &fs::read_to_string(top().join(&name)).unwrap())).collect()
}

/// The files of the crate itself, without those that only its tests use.
fn production_files() -> Vec<Source> {
    let all: Vec<Source> =
        rust_files().into_iter().filter(|source| source.path.starts_with("src/")).collect();
    let for_tests: Vec<Vec<String>> = all
        .iter()
        .flat_map(|source| {
            let modules = source.production.test_modules.iter();
            modules.map(|name| {
                let mut module = source.module();
                module.push(name.clone());
                module
            })
        })
        .collect();
    let production = |source: &Source| {
        let module = source.module();
        !for_tests.iter().any(|test| module.starts_with(test))
    };
    all.into_iter().filter(production).collect()
}

/// The names of the modules right under `parent`.
fn children(sources: &[Source], parent: &str) -> BTreeSet<String> {
    let modules = sources.iter().map(Source::module);
    modules
        .filter(|module| module.len() > 1 && module[0] == parent)
        .map(|module| module[1].clone())
        .collect()
}

fn assert_none(found: impl IntoIterator<Item = String>) {
    let found: Vec<String> = found.into_iter().collect();
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn every_module_imports_only_what_the_table_allows() {
    assert_none(production_files().iter().flat_map(|source| forbidden_imports(source, IMPORTS)));
}

#[test]
fn every_row_of_the_table_is_a_module() {
    let modules: BTreeSet<String> =
        production_files().iter().filter_map(|source| source.module().first().cloned()).collect();
    let stale = IMPORTS.iter().filter(|(name, _)| !modules.contains(*name));
    assert_none(
        stale.map(|(name, _)| format!("IMPORTS has a row of `{name}`, which does not exist")),
    );
}

#[test]
fn no_two_sources_and_no_two_outputs_know_each_other() {
    let sources = production_files();
    assert_none(sources.iter().flat_map(|source| {
        let parent = source.module().first().cloned().unwrap_or_default();
        known_strangers(source, &children(&sources, &parent))
    }));
}

#[test]
fn the_table_has_no_cycle() {
    assert_none(cycles(IMPORTS));
}

#[test]
fn the_architecture_page_shows_the_table() {
    let page = fs::read_to_string(top().join("ARCHITECTURE.md")).unwrap_or_default();
    assert_none(stale_block(&page, IMPORTS));
}

#[test]
fn files_and_functions_stay_short() {
    assert_none(production_files().iter().flat_map(excess_lines));
}

#[test]
fn the_environment_tasks_and_unsafe_have_one_place_each() {
    assert_none(production_files().iter().flat_map(trespasses));
}

#[test]
fn every_file_begins_with_what_it_is() {
    let mut sources = production_files();
    sources.extend(rust_files().into_iter().filter(|source| !source.path.starts_with("src/")));
    assert_none(sources.iter().flat_map(missing_header));
}

#[test]
fn no_module_is_a_mod_rs() {
    assert_none(rust_files().iter().flat_map(module_file));
}

#[test]
fn every_output_is_in_the_table_of_drivers() {
    let sources = production_files();
    let output = sources.iter().find(|source| source.path == "src/output.rs").unwrap();
    assert_none(unlisted_outputs(output, &children(&sources, "output")));
}

#[test]
fn nothing_else_lies_at_the_top() {
    let files = files();
    let entries: BTreeSet<&str> =
        files.iter().map(|file| file.split('/').next().unwrap()).collect();
    assert_none(strays(entries));
}

// ── each check fails where it should ────────────────────────────────────────────────────────

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// How many findings a check has in a file with this path and text.
fn count(check: impl Fn(&Source) -> Vec<String>, path: &str, text: &str) -> usize {
    check(&Source::new(path, text)).len()
}

#[test]
fn a_forbidden_import_is_found() {
    let check = |source: &Source| forbidden_imports(source, IMPORTS);
    assert_eq!(count(check, "src/record.rs", "use crate::lane::Lane;"), 1);
    assert_eq!(count(check, "src/output/tcp.rs", "use crate::{net, record::Chunk};"), 1);
    assert_eq!(count(check, "src/output/tcp.rs", "fn f() { super::super::deliver::go() }"), 1);
    assert_eq!(count(check, "src/record.rs", "use super::lane;"), 1);
    assert_eq!(count(check, "src/main.rs", "fn main() { downspout::deliver::go() }"), 1);
    assert_eq!(count(check, "src/metrics.rs", "use crate::*;"), 1);
    assert_eq!(count(check, "src/surprise.rs", ""), 1);
    assert_eq!(count(check, "src/encode.rs", "use crate::output::{Carriage, Driver};"), 1);
    assert_eq!(count(check, "src/encode/json.rs", "use crate::output;"), 1);
}

#[test]
fn an_allowed_import_passes() {
    let check = |source: &Source| forbidden_imports(source, IMPORTS);
    assert_eq!(
        count(check, "src/encode/json.rs", "use super::Format; use crate::output::Carriage;"),
        0
    );
    assert_eq!(
        count(check, "src/record/timestamp.rs", "use super::Chunk; use crate::record::Line;"),
        0
    );
    assert_eq!(count(check, "src/app.rs", "use crate::deliver;"), 0);
    let test = "#[cfg(test)]\nmod tests { use crate::metrics::Metrics; }";
    assert_eq!(count(check, "src/record.rs", test), 0);
}

#[test]
fn a_sibling_that_is_known_is_found() {
    let siblings = names(&["tcp", "udp"]);
    let check = |source: &Source| known_strangers(source, &siblings);
    assert_eq!(count(check, "src/output/udp.rs", "use super::tcp::Link;"), 1);
    assert_eq!(count(check, "src/output/tcp/link.rs", "use crate::output::udp;"), 1);
    assert_eq!(count(check, "src/output/udp.rs", "use super::*;"), 1);
    assert_eq!(count(check, "src/output/udp.rs", "use crate::output;"), 1);
    assert_eq!(
        count(check, "src/output/tcp/link.rs", "use super::Tcp; use crate::output::Fault;"),
        0
    );
}

#[test]
fn a_long_file_and_a_long_function_are_found() {
    assert_eq!(count(excess_lines, "src/a.rs", &"// x\n".repeat(FILE_LINES)), 0);
    assert_eq!(count(excess_lines, "src/a.rs", &"// x\n".repeat(FILE_LINES + 1)), 1);
    let function = |lines| format!("fn f() {{\n{}}}\n", "    g();\n".repeat(lines));
    assert_eq!(count(excess_lines, "src/a.rs", &function(FUNCTION_LINES)), 0);
    assert_eq!(count(excess_lines, "src/a.rs", &function(FUNCTION_LINES + 1)), 1);
}

#[test]
fn a_trespass_is_found() {
    for text in [
        "use std::env;",
        "use std::{env::var, fmt};",
        "fn f() { tokio::spawn(g()); }",
        "use tokio::task;",
        "use tokio::task::JoinSet;",
        "fn f() { tokio::task::spawn_blocking(g); }",
        "fn f() { unsafe { g() } }",
    ] {
        assert_eq!(count(trespasses, "src/lane.rs", text), 1, "{text}");
    }
    assert_eq!(count(trespasses, "src/config/env.rs", "use std::env;"), 0);
    assert_eq!(count(trespasses, "src/shutdown.rs", "use tokio::task::JoinSet;"), 0);
    for path in UNSAFE {
        assert_eq!(count(trespasses, path, "fn f() { unsafe { g() } }"), 0);
    }
    assert_eq!(
        count(trespasses, "src/lane.rs", "fn f() { tokio::task::yield_now() } // unsafe"),
        0
    );
}

#[test]
fn a_file_without_a_header_is_found() {
    assert_eq!(count(missing_header, "src/lane.rs", "use std::fmt;"), 1);
    assert_eq!(count(missing_header, "src/lane.rs", "// Only a comment.\n"), 1);
    assert_eq!(count(missing_header, "src/main.rs", "// Arguments to exit code.\n"), 0);
    assert_eq!(count(missing_header, "src/lane.rs", "//! Bounded queues.\n"), 0);
}

#[test]
fn a_mod_rs_is_found() {
    assert_eq!(count(module_file, "src/output/mod.rs", ""), 1);
    assert_eq!(count(module_file, "src/output.rs", ""), 0);
}

#[test]
fn an_output_without_a_row_is_found() {
    let table = "mod tcp; pub const DRIVERS: &[&Driver] = &[&udp::DRIVER]; fn f() { tcp::open() }";
    let check = |source: &Source| unlisted_outputs(source, &names(&["tcp", "udp"]));
    assert_eq!(count(check, "src/output.rs", table), 1);
    assert_eq!(count(check, "src/output.rs", "mod tcp; mod udp;"), 1);
}

#[test]
fn a_stray_at_the_top_is_found() {
    assert_eq!(strays(["notes.txt", "docs"]).len(), 2);
    assert_eq!(strays(["src", "Cargo.toml", ".ci", "README.md"]).len(), 0);
}

#[test]
fn a_cycle_in_the_table_is_found() {
    assert!(!cycles(&[("a", &["b"]), ("b", &["c::D"]), ("c", &["a"])]).is_empty());
    assert!(cycles(&[("a", &["b"]), ("b", &[])]).is_empty());
}

#[test]
fn an_old_table_on_the_page_is_found() {
    let table: &[(&str, &[&str])] = &[("a", &["b"]), ("b", &[])];
    let page = format!("# Page\n\n{}\n", block(table));
    assert!(stale_block(&page, table).is_empty());
    assert_eq!(stale_block(&page, &table[..1]).len(), 1);
    assert_eq!(stale_block("", table).len(), 1);
}
