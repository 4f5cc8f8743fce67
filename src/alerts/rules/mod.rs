//! The rules that detect problems. They report nothing to anybody: the board makes alarms of their
//! results.
//!
//! | question | file |
//! |---|---|
//! | can the archive's database and disk be used? | [`archive_health`] |
//! | can an account be worked on, and which of its streams are stuck? | [`pass_history`] |
//! | is history lost, or will it be? | [`lost_history`] |
//! | has a stream fallen silent? | [`silence`], by its [`weekly_activity`] |

pub mod archive_health;
pub mod lost_history;
pub mod pass_history;
pub mod silence;
pub mod weekly_activity;
