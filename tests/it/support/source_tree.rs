//! Reads Rust source files far enough to tell which file uses which other file of the same crate.
//!
//! The reader knows tokens, `use` trees, module declarations and paths. It resolves an imported
//! name to the file that defines it: a re-export by a parent module does not count as a use of the
//! parent. Test code is left out.
//!
//! It does not know types: a method call on a value is no use of the file that defines the method.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::support::source_tokens::{tokenize, without_test_code};

/// A path of module names from the root of the crate; the root itself is empty.
pub(crate) type ModulePath = Vec<String>;

/// The files of a crate, by module path, without test code.
#[derive(Debug, Default)]
pub(crate) struct SourceTree {
    files: BTreeMap<ModulePath, SourceFile>,
}

/// One use of another file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Import {
    /// The file that uses the name.
    pub(crate) from: ModulePath,
    /// The file that defines the name.
    pub(crate) to: ModulePath,
    /// The path as written, made absolute: it may lead through a re-export.
    pub(crate) written: ModulePath,
}

/// The parsed content of one file.
#[derive(Debug, Default)]
struct SourceFile {
    /// Tokens outside of `use` declarations.
    tokens: Vec<String>,
    uses: Vec<UseLeaf>,
    /// Names of types, functions, constants and macros defined at the top level.
    items: BTreeSet<String>,
    /// Names of types and traits defined at the top level.
    types: Vec<String>,
}

/// One name brought into scope by a `use` declaration.
#[derive(Clone, Debug)]
struct UseLeaf {
    path: Vec<String>,
    /// `*` for a glob.
    alias: String,
    is_reexport: bool,
}

impl SourceTree {
    /// Reads all `.rs` files below a folder. `main.rs` is another crate and is left out.
    pub(crate) fn read(folder: &Path) -> Self {
        let files = rust_files(folder);
        Self::from_files(
            files
                .iter()
                .map(|(path, text)| (path.as_str(), text.as_str())),
        )
    }

    /// Builds the tree from paths relative to `src` and their texts.
    pub(crate) fn from_files<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut tree = Self::default();
        let mut test_modules = Vec::new();
        for (path, text) in files {
            let module = module_of(path);
            let (tokens, excluded) = without_test_code(&tokenize(text));
            test_modules.extend(excluded.into_iter().map(|name| child_of(&module, &name)));
            tree.files.insert(module, SourceFile::parse(&tokens));
        }
        tree.files
            .retain(|module, _| !test_modules.iter().any(|test| module.starts_with(test)));
        tree
    }

    /// The module paths of all files.
    pub(crate) fn modules(&self) -> impl Iterator<Item = &ModulePath> {
        self.files.keys()
    }

    /// The names of all types and traits, once for each definition.
    pub(crate) fn type_names(&self) -> impl Iterator<Item = &str> {
        self.files
            .values()
            .flat_map(|file| file.types.iter().map(String::as_str))
    }

    /// Every use of one file by another.
    pub(crate) fn imports(&self) -> BTreeSet<Import> {
        let mut imports = BTreeSet::new();
        for (module, file) in &self.files {
            self.collect_imports(module, file, &mut imports);
        }
        imports.retain(|import| import.from != import.to);
        imports
    }

    /// Groups of files that use each other, directly or through others. Each group is sorted.
    pub(crate) fn circles(&self) -> Vec<Vec<ModulePath>> {
        let mut reachable: BTreeMap<ModulePath, BTreeSet<ModulePath>> = BTreeMap::new();
        for Import { from, to, .. } in self.imports() {
            reachable.entry(from).or_default().insert(to);
        }
        let direct = reachable.clone();
        for module in self.files.keys() {
            let mut seen = BTreeSet::new();
            let mut next: Vec<&ModulePath> = direct.get(module).into_iter().flatten().collect();
            while let Some(other) = next.pop() {
                if seen.insert(other.clone()) {
                    next.extend(direct.get(other).into_iter().flatten());
                }
            }
            reachable.insert(module.clone(), seen);
        }
        let reaches = |from: &ModulePath, to: &ModulePath| {
            reachable.get(from).is_some_and(|set| set.contains(to))
        };
        let mut circles: BTreeSet<Vec<ModulePath>> = BTreeSet::new();
        for module in self.files.keys().filter(|module| reaches(module, module)) {
            let mates = self
                .files
                .keys()
                .filter(|other| reaches(module, other) && reaches(other, module));
            circles.insert(mates.cloned().collect());
        }
        circles.into_iter().collect()
    }

    fn collect_imports(
        &self,
        module: &ModulePath,
        file: &SourceFile,
        imports: &mut BTreeSet<Import>,
    ) {
        let mut add = |to: ModulePath, written: ModulePath| {
            imports.insert(Import {
                from: module.clone(),
                to,
                written,
            });
        };
        let inline = file.inline_paths();
        for leaf in &file.uses {
            let Some(written) = self.absolute(module, &leaf.path) else {
                continue;
            };
            let is_used = || file.tokens.contains(&leaf.alias);
            if leaf.is_reexport && !is_used() {
                continue;
            }
            match self.resolve(&written) {
                // A module that is imported counts by what is used of it.
                Some(target) if target.is_module && leaf.alias != "*" => {
                    let is_prefix = |path: &&Vec<String>| path.len() > 1 && path[0] == leaf.alias;
                    if !inline.iter().any(|path| is_prefix(&path)) {
                        add(target.module, written);
                    }
                }
                Some(target) => add(target.module, written),
                None => {}
            }
        }
        for path in &inline {
            let Some(written) = self.absolute(module, path) else {
                continue;
            };
            if let Some(target) = self.resolve(&written) {
                add(target.module, written);
            }
        }
    }

    /// Makes a path absolute that is written in a module. `None` if it leads out of the crate.
    fn absolute(&self, module: &[String], path: &[String]) -> Option<ModulePath> {
        self.absolute_within(module, path, 0)
    }

    fn absolute_within(
        &self,
        module: &[String],
        path: &[String],
        depth: usize,
    ) -> Option<ModulePath> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => Some(rest.to_vec()),
            "self" => Some([module, rest].concat()),
            "super" => {
                let (_, parent) = module.split_last()?;
                match rest.first().map(String::as_str) {
                    Some("super") => self.absolute_within(parent, rest, depth),
                    _ => Some([parent, rest].concat()),
                }
            }
            _ if self.files.contains_key(&child_of(module, first)) => Some([module, path].concat()),
            _ if depth < MAX_REEXPORTS => {
                let leaf = self
                    .files
                    .get(module)?
                    .uses
                    .iter()
                    .find(|leaf| leaf.alias == *first && leaf.path != path)?;
                let target = self.absolute_within(module, &leaf.path, depth + 1)?;
                Some([target.as_slice(), rest].concat())
            }
            _ => None,
        }
    }

    /// The file that defines the name that an absolute path leads to.
    fn resolve(&self, path: &[String]) -> Option<Target> {
        self.resolve_within(path, 0)
    }

    fn resolve_within(&self, path: &[String], depth: usize) -> Option<Target> {
        let mut module = ModulePath::new();
        for (at, name) in path.iter().enumerate() {
            let child = child_of(&module, name);
            if self.files.contains_key(&child) {
                module = child;
                continue;
            }
            let file = self.files.get(&module)?;
            if file.items.contains(name) || depth >= MAX_REEXPORTS {
                return Some(Target {
                    module,
                    is_module: false,
                });
            }
            if let Some(leaf) = file.uses.iter().find(|leaf| leaf.alias == *name) {
                let target = self.absolute_within(&module, &leaf.path, depth + 1)?;
                return self.resolve_within(&[&target, &path[at + 1..]].concat(), depth + 1);
            }
            for glob in file.uses.iter().filter(|leaf| leaf.alias == "*") {
                let Some(target) = self.absolute_within(&module, &glob.path, depth + 1) else {
                    continue;
                };
                if self
                    .files
                    .get(&target)
                    .is_some_and(|file| file.items.contains(name))
                {
                    return Some(Target {
                        module: target,
                        is_module: false,
                    });
                }
            }
            return Some(Target {
                module,
                is_module: false,
            });
        }
        Some(Target {
            module,
            is_module: true,
        })
    }
}

/// Bounds the length of a chain of re-exports, so that names that re-export each other end.
const MAX_REEXPORTS: usize = 8;

struct Target {
    module: ModulePath,
    /// True if the path names the module itself.
    is_module: bool,
}

impl SourceFile {
    fn parse(tokens: &[String]) -> Self {
        let mut file = Self::default();
        let mut depth = 0_usize;
        let mut at = 0;
        while at < tokens.len() {
            let next = tokens.get(at + 1).map(String::as_str).unwrap_or_default();
            match tokens[at].as_str() {
                "use" if next != "<" => {
                    let is_reexport = is_public(&tokens[..at]);
                    let end = at
                        + tokens[at..]
                            .iter()
                            .position(|token| token == ";")
                            .unwrap_or(tokens.len() - at);
                    let mut leaves = Vec::new();
                    parse_use_tree(&tokens[at + 1..end], &[], &mut leaves);
                    file.uses
                        .extend(leaves.into_iter().map(|(path, alias)| UseLeaf {
                            path,
                            alias,
                            is_reexport,
                        }));
                    at = end;
                    continue;
                }
                "{" => depth += 1,
                "}" => depth = depth.saturating_sub(1),
                "fn" | "const" | "static" if depth == 0 => {
                    file.items.insert(next.to_owned());
                }
                "struct" | "enum" | "trait" | "type" | "union" if depth == 0 => {
                    file.items.insert(next.to_owned());
                    file.types.push(next.to_owned());
                }
                "macro_rules" => {
                    file.items.extend(tokens.get(at + 2).cloned());
                }
                _ => {}
            }
            file.tokens.push(tokens[at].clone());
            at += 1;
        }
        file
    }

    /// Paths of two or more names outside of `use` declarations: `crate::a::B`, `super::f`,
    /// `module::item`.
    fn inline_paths(&self) -> BTreeSet<Vec<String>> {
        let tokens = &self.tokens;
        let mut paths = BTreeSet::new();
        let mut at = 0;
        while at < tokens.len() {
            let is_start = is_name(&tokens[at])
                && !matches!(
                    at.checked_sub(1).map(|at| tokens[at].as_str()),
                    Some("::" | "." | "in")
                );
            let mut path = Vec::new();
            let mut end = at;
            while is_start && tokens.get(end).is_some_and(|token| is_name(token)) {
                path.push(tokens[end].clone());
                end += 1;
                if tokens.get(end).is_none_or(|token| token != "::") {
                    break;
                }
                end += 1;
            }
            if path.len() > 1 {
                paths.insert(path);
            }
            at = end.max(at + 1);
        }
        paths
    }
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

fn child_of(module: &[String], name: &str) -> ModulePath {
    [module, &[name.to_owned()]].concat()
}

/// The module path of a file, given its path relative to `src`.
pub(crate) fn module_of(path: &str) -> ModulePath {
    let mut names: ModulePath = path
        .trim_end_matches(".rs")
        .split('/')
        .map(str::to_owned)
        .collect();
    if names
        .last()
        .is_some_and(|last| last == "mod" || (last == "lib" && names.len() == 1))
    {
        names.pop();
    }
    names
}

/// The paths, relative to a folder, and the texts of all `.rs` files below it, without `main.rs`.
pub(crate) fn rust_files(folder: &Path) -> Vec<(String, String)> {
    let mut files = Vec::new();
    collect_files(folder, folder, &mut files);
    files
}

fn collect_files(root: &Path, folder: &Path, files: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect_files(root, &path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs")
            && !path.ends_with("src/main.rs")
        {
            let name = path
                .strip_prefix(root)
                .expect("below the root")
                .to_str()
                .expect("UTF-8")
                .to_owned();
            files.push((name, std::fs::read_to_string(&path).expect("a source file")));
        }
    }
}

/// True if the tokens before a `use` make it a re-export: `pub` or `pub(…)`.
fn is_public(before: &[String]) -> bool {
    match before.last().map(String::as_str) {
        Some("pub") => true,
        Some(")") => before
            .iter()
            .rposition(|token| token == "(")
            .is_some_and(|at| at > 0 && before[at - 1] == "pub"),
        _ => false,
    }
}

/// Reads `a::{b, c as d, self, *}` into full paths and the names that they are known by.
fn parse_use_tree(tokens: &[String], prefix: &[String], leaves: &mut Vec<(Vec<String>, String)>) {
    let mut path = prefix.to_vec();
    let mut at = 0;
    while at < tokens.len() {
        match tokens[at].as_str() {
            "::" => {}
            "{" => {
                for part in split_at_commas(&tokens[at + 1..tokens.len() - 1]) {
                    parse_use_tree(part, &path, leaves);
                }
                return;
            }
            "*" => {
                leaves.push((path, "*".to_owned()));
                return;
            }
            "as" => {
                leaves.push((path, tokens[at + 1].clone()));
                return;
            }
            "self" if !path.is_empty() => {}
            name => path.push(name.to_owned()),
        }
        at += 1;
    }
    if let Some(alias) = path.last().cloned() {
        leaves.push((path, alias));
    }
}

fn split_at_commas(tokens: &[String]) -> Vec<&[String]> {
    let mut depth = 0_i32;
    let parts = tokens.split(|token| {
        depth += i32::from(token == "{") - i32::from(token == "}");
        token == "," && depth == 0
    });
    parts.filter(|part| !part.is_empty()).collect()
}
