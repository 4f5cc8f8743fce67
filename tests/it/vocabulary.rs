//! The vocabulary of the crate: one name means one type.

use std::collections::BTreeMap;
use std::path::Path;

use crate::support::source_tree::SourceTree;

/// The largest share of types that may have a namesake, in percent. A reader who meets a name looks
/// for one definition; with more namesakes than this, searching for a name stops being useful.
const MAX_NAMESAKES_PERCENT: usize = 12;

/// The arguments of a command are called so in every command's file.
const EXEMPT: &str = "Args";

#[test]
fn few_types_share_a_name() {
    let tree = SourceTree::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let mut definitions: BTreeMap<&str, usize> = BTreeMap::new();
    for name in tree.type_names().filter(|name| *name != EXEMPT) {
        *definitions.entry(name).or_default() += 1;
    }
    let all: usize = definitions.values().sum();
    assert!(all > 200, "the reader found {all} types");
    definitions.retain(|_, count| *count > 1);
    let shared: usize = definitions.values().sum();
    let share = format!("{shared} of {all} types share a name: {definitions:?}");
    assert!(shared * 100 <= all * MAX_NAMESAKES_PERCENT, "{share}");
}
