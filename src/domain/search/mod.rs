//! Full-text search: how texts and queries are cut into words, in every language.
//!
//! Both databases store the words that [`tokens`] returns, so a query finds the same messages in
//! both, and other programs can use the indexes.
//!
//! | question | file |
//! |---|---|
//! | Which letters count as the same? | [`fold`] |
//! | Which text of a message is searched, and how is it cut into words? | [`tokens`] |
//! | What does a query consist of, and which messages match? | [`query`] |
//! | How is a query parsed? | [`parse`] |
//! | How are the newest messages found first? | [`time_slice`] |
//! | Which parts of a text are marked as found? | [`highlight`] |

pub mod fold;
pub mod highlight;
pub mod parse;
pub mod query;
pub mod time_slice;
pub mod tokens;
