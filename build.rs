//! The migrations are embedded in the program, which must be built again when one is added.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
