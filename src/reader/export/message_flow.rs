//! The way of messages from a snapshot to where they are written. One thread reads while another one
//! writes what was read before.

use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::error::ExportError;
use super::limits::PAGES_AHEAD;
use crate::domain::task::unwrap_task;
use crate::store::{
    ChangeMark, PageSender, ReadPath, SelectedMessage, Selection, Snapshot, StoreError,
};

/// Writes messages one by one.
pub(super) trait MessageSink: Send + 'static {
    fn write(&mut self, message: &SelectedMessage) -> Result<(), ExportError>;
}

/// Writes each selected message, in the order of time; conversation by conversation if the selection
/// names one or `is_by_conversation`. Returns the sink, and the mark of the messages.
pub(super) async fn write_messages<S: MessageSink>(
    snapshot: &mut dyn Snapshot,
    selection: &Selection,
    is_by_conversation: bool,
    mut sink: S,
) -> Result<(S, ChangeMark), ExportError> {
    let (sender, mut pages) = mpsc::channel::<Vec<SelectedMessage>>(PAGES_AHEAD);
    let writing = spawn_blocking(move || -> Result<S, ExportError> {
        while let Some(page) = pages.blocking_recv() {
            page.iter().try_for_each(|message| sink.write(message))?;
        }
        Ok(sink)
    });
    let read = read_messages(snapshot, selection, is_by_conversation, sender).await;
    // A failure to write ends the reading as well.
    let sink = unwrap_task(writing.await)?;
    Ok((sink, read?))
}

/// Sends each selected message.
async fn read_messages(
    snapshot: &mut dyn Snapshot,
    selection: &Selection,
    is_by_conversation: bool,
    pages: PageSender,
) -> Result<ChangeMark, StoreError> {
    let mut mark = ChangeMark::default();
    for path in read_paths(snapshot, selection, is_by_conversation).await? {
        let sent = snapshot.send_messages(selection, path, &pages).await?;
        mark.add_all(&sent);
    }
    Ok(mark)
}

/// Returns the indexes through which a selection is read.
async fn read_paths(
    snapshot: &mut dyn Snapshot,
    selection: &Selection,
    is_by_conversation: bool,
) -> Result<Vec<ReadPath>, StoreError> {
    Ok(match (&selection.conversation, selection.sender) {
        _ if is_by_conversation || selection.conversation.is_some() => {
            let conversations = snapshot.conversations(selection).await?;
            conversations
                .into_iter()
                .map(ReadPath::Conversation)
                .collect()
        }
        (_, Some(_)) => vec![ReadPath::Sender],
        (_, None) => vec![ReadPath::Time],
    })
}
