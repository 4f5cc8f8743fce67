//! Every flag of the sandbox.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Command, FromArgMatches};

use super::durations::{ClockSkew, DurationRange, parse_duration};
use super::fault::Fault;
use super::fault_sampler::Share;
use super::shape::{
    BoundRule, ChannelMessageType, DeadHandle, EmptyListForm, FromSignForm, ListField,
    PayloadField, ReceiverField, SnapshotMoment, TimeField, TimeForm, TotalForm, Web3mqEnvelope,
};

const DAY: Duration = Duration::from_hours(24);

/// What history the sandbox has, how its two providers behave, and in which shapes they answer.
#[derive(Args, Clone, Debug, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct Options {
    /// Draws everything that is random: the same seed at the same moment gives the same history
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub seed: u64,
    /// Agora messages, in all projects together
    #[arg(long, default_value_t = 20_000, value_name = "N")]
    pub messages: usize,
    /// Web3MQ messages, in all topics of all accounts together
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    pub topic_messages: usize,
    /// How far back from now the Agora history reaches
    #[arg(long, default_value = "5d", value_parser = parse_duration, value_name = "DURATION")]
    pub span: Duration,
    /// How far back from now the Web3MQ history reaches
    #[arg(long, default_value = "60d", value_parser = parse_duration, value_name = "DURATION")]
    pub topic_span: Duration,
    /// Plain text under plain names, spread evenly: for measuring
    #[arg(long)]
    pub plain: bool,
    /// Agora projects, with the app ids "sandbox", "sandbox-2" and so on
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub projects: usize,
    /// Web3MQ accounts
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub users: usize,
    /// Serve this file as Agora's history instead: JSON lines of `ts_ms`, `from`, `to` (a channel) and `text`
    #[arg(long, value_name = "FILE")]
    pub corpus: Option<PathBuf>,
    /// Serve the corpus as a Web3MQ group of the first account as well
    #[arg(long, requires = "corpus")]
    pub corpus_topic: bool,

    /// The token that Agora accepts from the uid "sandbox-uid"
    #[arg(long, default_value = "sandbox-token", value_name = "TEXT")]
    pub token: String,
    /// How long an Agora handle is "in progress": a duration, or a range to draw from
    #[arg(long, default_value = "300ms", value_name = "SPAN")]
    pub ready_after: DurationRange,
    /// The status of a second reading of an Agora handle
    #[arg(long, value_enum, default_value_t)]
    pub dead_handle: DeadHandle,
    /// How long a handle waits to be read once it is ready; then it is gone (410)
    #[arg(long, default_value = "60s", value_parser = parse_duration, value_name = "DURATION")]
    pub handle_ttl: Duration,
    /// When the messages behind a handle are chosen
    #[arg(long, value_enum, default_value_t)]
    pub snapshot: SnapshotMoment,
    /// Every Nth count is answered "in progress"; 0: none
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub count_progress_every: u64,
    /// Agora forgets what is older than this; without it, nothing
    #[arg(long, value_parser = parse_duration, value_name = "DURATION")]
    pub retention: Option<Duration>,
    /// Agora shows a message only this long after its time
    #[arg(long, default_value = "0s", value_parser = parse_duration, value_name = "DURATION")]
    pub visibility_lag: Duration,
    /// Whether `start_time` itself is in the range
    #[arg(long, value_enum, default_value_t)]
    pub start: BoundRule,
    /// Whether `end_time` itself is in the range
    #[arg(long, value_enum, default_value_t)]
    pub end: BoundRule,
    /// Compare whole seconds: `end_time` then stands for its whole second
    #[arg(long)]
    pub seconds: bool,

    /// The field that names an Agora message's receiver
    #[arg(long, value_enum, default_value_t)]
    pub receiver_field: ReceiverField,
    /// The field that holds the list of Agora messages
    #[arg(long, value_enum, default_value_t)]
    pub list_field: ListField,
    /// How a list without a message is sent, by both providers
    #[arg(long, value_enum, default_value_t)]
    pub empty_list: EmptyListForm,
    /// The field that holds an Agora message's time
    #[arg(long, value_enum, default_value_t)]
    pub time_field: TimeField,
    /// The form of an Agora message's time
    #[arg(long, value_enum, default_value_t)]
    pub time_form: TimeForm,
    /// What an Agora channel message calls itself
    #[arg(long, value_enum, default_value_t)]
    pub message_type: ChannelMessageType,
    /// Both providers' messages carry fields that no contract names
    #[arg(long)]
    pub extra_fields: bool,

    /// The largest page that Web3MQ serves; a larger `size` is cut to it
    #[arg(long, default_value_t = 100, value_name = "N")]
    pub max_size: usize,
    /// The envelope around a page of Web3MQ
    #[arg(long, value_enum, default_value_t)]
    pub envelope: Web3mqEnvelope,
    /// The field that holds a Web3MQ message's payload
    #[arg(long, value_enum, default_value_t)]
    pub payload_field: PayloadField,
    /// The form of a Web3MQ message's `from_sign`
    #[arg(long, value_enum, default_value_t)]
    pub from_sign: FromSignForm,
    /// What a page of Web3MQ says about the size of its topic
    #[arg(long, value_enum, default_value_t)]
    pub total: TotalForm,

    /// How long each answer takes: a duration, or a range to draw from
    #[arg(long, default_value = "0ms", value_name = "SPAN")]
    pub latency: DurationRange,
    /// Requests that each account may make in any one second; 0: no limit
    #[arg(long, default_value_t = 10, value_name = "N")]
    pub requests_per_second: u32,
    /// Send `Retry-After: 1` with a 429
    #[arg(long)]
    pub retry_after: bool,
    /// How many of the requests are met by a fault, drawn by the seed
    #[arg(long, default_value = "0%", value_name = "SHARE")]
    pub faults: Share,
    /// The kinds of faults to draw from; without it, all
    #[arg(long, value_enum, value_delimiter = ',', value_name = "KINDS")]
    pub fault_kinds: Vec<Fault>,
    /// How far the providers' clock is off, like 90s or -90s
    #[arg(
        long,
        default_value = "0ms",
        allow_hyphen_values = true,
        value_name = "SKEW"
    )]
    pub clock_skew: ClockSkew,
    /// Messages that each provider receives per second while the sandbox runs
    #[arg(long, default_value_t = 0.0, value_name = "RATE")]
    pub append_rate: f64,
    /// How often Web3MQ messages move on from received to delivered to read; without it, never
    #[arg(long, value_parser = parse_duration, value_name = "DURATION")]
    pub advance_every: Option<Duration>,
}

impl Options {
    /// Reads options from flags alone, as in `["--messages", "500", "--plain"]`.
    pub fn from_flags<I: IntoIterator<Item: Into<std::ffi::OsString> + Clone>>(
        flags: I,
    ) -> Result<Self, clap::Error> {
        let command = Self::augment_args(Command::new("sandbox").no_binary_name(true));
        Self::from_arg_matches(&command.try_get_matches_from(flags)?)
    }
}

/// What no flag at all means.
impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 1,
            messages: 20_000,
            topic_messages: 10_000,
            span: 5 * DAY,
            topic_span: 60 * DAY,
            plain: false,
            projects: 1,
            users: 1,
            corpus: None,
            corpus_topic: false,
            token: "sandbox-token".to_owned(),
            ready_after: DurationRange::fixed(Duration::from_millis(300)),
            dead_handle: DeadHandle::default(),
            handle_ttl: Duration::from_mins(1),
            snapshot: SnapshotMoment::default(),
            count_progress_every: 0,
            retention: None,
            visibility_lag: Duration::ZERO,
            start: BoundRule::default(),
            end: BoundRule::default(),
            seconds: false,
            receiver_field: ReceiverField::default(),
            list_field: ListField::default(),
            empty_list: EmptyListForm::default(),
            time_field: TimeField::default(),
            time_form: TimeForm::default(),
            message_type: ChannelMessageType::default(),
            extra_fields: false,
            max_size: 100,
            envelope: Web3mqEnvelope::default(),
            payload_field: PayloadField::default(),
            from_sign: FromSignForm::default(),
            total: TotalForm::default(),
            latency: DurationRange::default(),
            requests_per_second: 10,
            retry_after: false,
            faults: Share::default(),
            fault_kinds: Vec::new(),
            clock_skew: ClockSkew::default(),
            append_rate: 0.0,
            advance_every: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_flag_means_the_defaults() {
        assert_eq!(
            Options::from_flags::<[&str; 0]>([]).unwrap(),
            Options::default()
        );
    }

    #[test]
    fn flags_are_read() {
        let options = Options::from_flags([
            "--clock-skew",
            "-90s",
            "--dead-handle",
            "404",
            "--ready-after",
            "50ms..2500ms",
        ])
        .unwrap();
        assert_eq!(options.clock_skew.offset_ms, -90_000);
        assert_eq!(options.dead_handle, DeadHandle::NotFound);
        assert_eq!(options.ready_after.max, Duration::from_millis(2500));
        assert!(Options::from_flags(["--span", "soon"]).is_err());
    }
}
