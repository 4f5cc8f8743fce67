//! Decoding of what readers filter by, and of coverage.

use super::columns::{flag, int, optional_second, optional_text, scope, second, text};
use super::record::{conversation, frontier};
use crate::domain::window::Runs;
use crate::store::driver::Driver;
use crate::store::error::StoreError;
use crate::store::model::{FoundConversation, StreamCoverage, StreamId};

/// Decodes a conversation that was found by its name. `latest` is the row of its latest message.
pub(in crate::store) fn found_conversation<DB: Driver>(
    row: &DB::Row,
    latest: Option<&DB::Row>,
) -> Result<FoundConversation, StoreError> {
    let participants =
        |row: &DB::Row| Ok((text::<DB>(row, "sender")?, text::<DB>(row, "recipient")?));
    let conversation = conversation::<DB>(row)?;
    Ok(FoundConversation {
        account: text::<DB>(row, "account")?,
        name: conversation.name,
        kind: conversation.kind,
        latest: latest.map(participants).transpose()?,
    })
}

/// Decodes the limits of a stream's history, without its sealed windows.
pub(in crate::store) fn stream_limits<DB: Driver>(
    row: &DB::Row,
) -> Result<StreamCoverage, StoreError> {
    Ok(StreamCoverage {
        stream: StreamId(int::<DB>(row, "id")?),
        account: text::<DB>(row, "account")?,
        key: text::<DB>(row, "key")?,
        scope: scope::<DB>(row)?,
        is_active: flag::<DB>(row, "active")?,
        wanted_from: second::<DB>(row, "wanted_from_s")?,
        followed_at: second::<DB>(row, "followed_at_s")?,
        first_sealed: optional_second::<DB>(row, "first_s")?,
        frontier: frontier::<DB>(row)?,
        error: optional_text::<DB>(row, "error")?,
        sealed: Runs::default(),
        suspect: Vec::new(),
    })
}
