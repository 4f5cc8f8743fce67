//! The filter that readers' commands share.

use super::error::CliError;
use super::time_arg::TimeArg;
use crate::domain::time::Millis;
use crate::reader::MessageFilter;

/// The flags of the filter.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct FilterArgs {
    /// Only messages of this account
    #[arg(long, value_name = "NAME")]
    account: Option<String>,

    /// Only messages of this conversation: a channel, a group, a topic, or a pair of peers
    /// (`alice/bob`)
    #[arg(long, value_name = "NAME")]
    conversation: Option<String>,

    /// Only messages of this sender
    #[arg(long, value_name = "NAME")]
    sender: Option<String>,

    /// Only messages from this time on: `7d` (that long ago), `yesterday`, a date (UTC), or a time
    /// (RFC 3339)
    #[arg(long, value_name = "TIME")]
    since: Option<TimeArg>,

    /// Only messages before this time, in the same forms
    #[arg(long, value_name = "TIME")]
    until: Option<TimeArg>,
}

impl FilterArgs {
    /// Returns the filter as seen at `now`. Errors if its range of time is empty.
    pub(super) fn filter(&self, now: Millis) -> Result<MessageFilter, CliError> {
        let (since, until) = (
            self.since.map(|since| since.resolve(now)),
            self.until.map(|until| until.resolve(now)),
        );
        if let (Some(since), Some(until)) = (since, until)
            && since >= until
        {
            return Err(CliError::Usage(format!(
                "--since {since} is not before --until {until}: no message can be between them"
            )));
        }
        Ok(MessageFilter {
            account: self.account.clone(),
            conversation: self.conversation.clone(),
            sender: self.sender.clone(),
            since,
            until,
        })
    }
}
