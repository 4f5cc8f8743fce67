//! Embeds files in the program: migrations, and the words that a log filter may name.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo:rerun-if-changed=migrations");
    println!("cargo:rerun-if-changed=src");
    println!("cargo:rerun-if-changed=Cargo.lock");
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
