//! Embeds in the program: migrations, the words that a log filter may name, the commit and the
//! features.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

/// Names the commit where neither the source nor a repository does.
const COMMIT_VARIABLE: &str = "BACKSCROLL_COMMIT";
/// The commit of a source archive, and its time. `git archive` fills it in (`.gitattributes`).
const COMMIT_FILE: &str = "packaging/commit";

fn main() -> io::Result<()> {
    println!("cargo:rerun-if-changed=migrations");
    println!("cargo:rerun-if-changed=src");
    println!("cargo:rerun-if-changed=Cargo.lock");
    println!("cargo:rerun-if-changed={COMMIT_FILE}");
    println!("cargo:rerun-if-env-changed={COMMIT_VARIABLE}");
    // A commit that changes none of these files leaves the program, and its name, as they are.
    println!("cargo:rustc-env={COMMIT_VARIABLE}={}", commit());
    println!("cargo:rustc-env=BACKSCROLL_FEATURES={}", features());
    let mut modules = vec![env!("CARGO_PKG_NAME").to_owned()];
    find_modules(Path::new("src"), env!("CARGO_PKG_NAME"), &mut modules)?;
    let lock = fs::read_to_string("Cargo.lock").unwrap_or_default();
    let crates = lock.lines().filter_map(|line| line.strip_prefix("name = "));
    let crates: Vec<String> = crates
        .map(|name| name.trim_matches('"').replace('-', "_"))
        .collect();
    let targets =
        format!("const MODULES: &[&str] = &{modules:?};\nconst CRATES: &[&str] = &{crates:?};\n");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?);
    fs::write(out.join("log_targets.rs"), targets)
}

/// Returns the commit that this source is of, shortened; with a note if files differ from it.
fn commit() -> String {
    let named = env::var(COMMIT_VARIABLE)
        .ok()
        .filter(|name| !name.is_empty());
    let archived = || {
        let text = fs::read_to_string(COMMIT_FILE).ok()?;
        let commit = text.split_whitespace().next()?;
        (!commit.starts_with('$')).then(|| commit.to_owned())
    };
    if let Some(commit) = named.or_else(archived) {
        return commit.chars().take(12).collect();
    }
    // A repository in a folder above would be another one.
    let is_repository = Path::new(".git").exists();
    let Some(commit) = is_repository.then(|| git(&["rev-parse", "HEAD"])).flatten() else {
        return "unknown".to_owned();
    };
    let changes = git(&["status", "--porcelain", "--untracked-files=no"]);
    let note = match changes.as_deref() {
        Some("") => "",
        _ => ", with changes",
    };
    format!("{}{note}", &commit[..commit.len().min(12)])
}

/// Returns what a command of Git prints; `None` if it fails.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

/// Returns the names of the enabled features.
fn features() -> String {
    let enabled = env::vars().filter_map(|(name, _)| {
        let feature = name.strip_prefix("CARGO_FEATURE_")?.to_lowercase();
        (feature != "default").then(|| feature.replace('_', "-"))
    });
    let mut names: Vec<String> = enabled.collect();
    names.sort();
    if names.is_empty() {
        return "none".to_owned();
    }
    names.join(", ")
}

/// Adds the paths of the modules in `folder`, whose own path is `parent`.
fn find_modules(folder: &Path, parent: &str, modules: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let Some(name) = path.file_stem().and_then(|name| name.to_str()) else {
            continue;
        };
        let module = format!("{parent}::{name}");
        if path.is_dir() {
            modules.push(module.clone());
            find_modules(&path, &module, modules)?;
        } else if !["lib", "main", "mod"].contains(&name) {
            modules.push(module);
        }
    }
    modules.sort();
    modules.dedup();
    Ok(())
}
