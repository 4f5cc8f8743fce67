//! The options of the sandbox, one per command line flag.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Command, FromArgMatches};

use super::body_form::BodyForm;
use super::durations::{ClockSkew, DurationRange, parse_duration};
use super::fault::Fault;
use super::shape::{
    BoundRule, ChannelMessageType, CountForm, DeadHandleStatus, EmptyListForm, FromSignForm,
    ListField, PageOrder, PayloadField, ReceiverField, SnapshotMoment, TimeField, TimeForm,
    TokenHeaderForm, TotalForm, Web3mqEnvelope,
};
use super::share::Share;

const DAY: Duration = Duration::from_hours(24);

/// The history of the sandbox, the behaviour of its two providers, and the form of their answers.
#[derive(Args, Clone, Debug, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct Options {
    /// Seed of the random generator: the same seed at the same time gives the same history
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub seed: u64,
    /// Number of Agora messages in all projects together
    #[arg(long, default_value_t = 20_000, value_name = "N")]
    pub messages: usize,
    /// Number of Web3MQ messages in all topics of all accounts together
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    pub topic_messages: usize,
    /// Age of the oldest Agora message
    #[arg(long, default_value = "5d", value_parser = parse_duration, value_name = "DURATION")]
    pub span: Duration,
    /// Age of the oldest Web3MQ message
    #[arg(long, default_value = "60d", value_parser = parse_duration, value_name = "DURATION")]
    pub topic_span: Duration,
    /// Generate plain text and plain names, spread evenly over time (for measurements)
    #[arg(long)]
    pub plain: bool,
    /// Generate plain names and exchanges in which people answer each other (for demonstrations)
    #[arg(long, conflicts_with = "plain")]
    pub talk: bool,
    /// Number of Agora projects; their app ids are "sandbox", "sandbox-2" and so on
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub projects: usize,
    /// Number of Web3MQ accounts
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub users: usize,
    /// Serve this file as Agora's history: JSON lines of `ts_ms`, `from`, `to` (a channel) and
    /// `text`
    #[arg(long, value_name = "FILE")]
    pub corpus: Option<PathBuf>,
    /// Also serve the corpus as a Web3MQ group of the first account
    #[arg(long, requires = "corpus")]
    pub corpus_topic: bool,

    /// Token that Agora accepts from the uid "sandbox-uid"
    #[arg(long, default_value = "sandbox-token", value_name = "TEXT")]
    pub token: String,
    /// Headers in which Agora expects a token and its uid
    #[arg(long, value_enum, default_value_t)]
    pub token_headers: TokenHeaderForm,
    /// Time for which an Agora handle is "in progress": a duration, or a range to sample from
    #[arg(long, default_value = "300ms", value_name = "SPAN")]
    pub ready_after: DurationRange,
    /// Status of the answer when an Agora handle is read a second time
    #[arg(long, value_enum, default_value_t)]
    pub dead_handle: DeadHandleStatus,
    /// Time for which a ready handle can be read; later it is gone (410)
    #[arg(long, default_value = "60s", value_parser = parse_duration, value_name = "DURATION")]
    pub handle_ttl: Duration,
    /// Time at which the messages of a handle are selected
    #[arg(long, value_enum, default_value_t)]
    pub snapshot: SnapshotMoment,
    /// Answer every Nth count with "in progress"; 0: never
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub count_progress_every: u64,
    /// Retention of Agora messages; without it, nothing expires
    #[arg(long, value_parser = parse_duration, value_name = "DURATION")]
    pub retention: Option<Duration>,
    /// Delay before Agora shows a message
    #[arg(long, default_value = "0s", value_parser = parse_duration, value_name = "DURATION")]
    pub visibility_lag: Duration,
    /// Bound rule of `start_time`
    #[arg(long, value_enum, default_value_t)]
    pub start: BoundRule,
    /// Bound rule of `end_time`
    #[arg(long, value_enum, default_value_t)]
    pub end: BoundRule,
    /// Compare times in whole seconds: `end_time` then stands for its whole second
    #[arg(long)]
    pub seconds: bool,
    /// Answer a query for the messages to a user with the channel messages that the user received,
    /// too: those that others sent to channels in which the user has written
    #[arg(long)]
    pub user_receives_channels: bool,

    /// Field that names the recipient of an Agora message
    #[arg(long, value_enum, default_value_t)]
    pub receiver_field: ReceiverField,
    /// Field that holds the list of Agora messages
    #[arg(long, value_enum, default_value_t)]
    pub list_field: ListField,
    /// Form of an empty list, for both providers
    #[arg(long, value_enum, default_value_t)]
    pub empty_list: EmptyListForm,
    /// Field that holds the time of an Agora message
    #[arg(long, value_enum, default_value_t)]
    pub time_field: TimeField,
    /// Form of the time of an Agora message
    #[arg(long, value_enum, default_value_t)]
    pub time_form: TimeForm,
    /// Value of `message_type` in an Agora channel message
    #[arg(long, value_enum, default_value_t)]
    pub message_type: ChannelMessageType,
    /// Add undocumented fields to the messages of both providers
    #[arg(long)]
    pub extra_fields: bool,

    /// Maximum page size of Web3MQ; a larger `size` is reduced to it
    #[arg(long, default_value_t = 100, value_name = "N")]
    pub max_size: usize,
    /// Envelope of a Web3MQ page
    #[arg(long, value_enum, default_value_t)]
    pub envelope: Web3mqEnvelope,
    /// Field that holds the payload of a Web3MQ message
    #[arg(long, value_enum, default_value_t)]
    pub payload_field: PayloadField,
    /// Form of `from_sign` in a Web3MQ message
    #[arg(long, value_enum, default_value_t)]
    pub from_sign: FromSignForm,
    /// Fields of a Web3MQ message that are sent under another name
    #[arg(long, value_delimiter = ',', value_name = "FIELDS")]
    pub rename_fields: Vec<String>,
    /// Total that a Web3MQ page reports
    #[arg(long, value_enum, default_value_t)]
    pub total: TotalForm,
    /// Form of Agora's counts and Web3MQ's totals
    #[arg(long, value_enum, default_value_t)]
    pub count_form: CountForm,
    /// Web3MQ topic whose pages never end: behind the oldest message, the newest follows again
    #[arg(long, value_name = "TOPIC")]
    pub endless_topic: Option<String>,

    /// Encoding of the bodies of answers, unless faults are on
    #[arg(long, value_enum, default_value_t)]
    pub body_form: BodyForm,

    /// Order of the messages of a Web3MQ topic
    #[arg(long, value_enum, default_value_t)]
    pub topic_order: PageOrder,
    /// Offset of the clock of one sender in five in Web3MQ's groups, such as 1h or -1h
    #[arg(
        long,
        default_value = "0ms",
        allow_hyphen_values = true,
        value_name = "SKEW"
    )]
    pub sender_skew: ClockSkew,
    /// Maximum deviation of every Web3MQ sender's clock, in either direction
    #[arg(long, default_value = "0s", value_parser = parse_duration, value_name = "DURATION")]
    pub sender_jitter: Duration,

    /// Latency of each answer: a duration, or a range to sample from
    #[arg(long, default_value = "0ms", value_name = "SPAN")]
    pub latency: DurationRange,
    /// Maximum number of requests of each account in any one second; 0: no limit
    #[arg(long, default_value_t = 10, value_name = "N")]
    pub requests_per_second: u32,
    /// Send `Retry-After: 1` with a 429
    #[arg(long)]
    pub retry_after: bool,
    /// Share of requests that fail with a random fault
    #[arg(long, default_value = "0%", value_name = "SHARE")]
    pub faults: Share,
    /// Kinds of random faults; without it, all kinds
    #[arg(long, value_enum, value_delimiter = ',', value_name = "KINDS")]
    pub fault_kinds: Vec<Fault>,
    /// Refuse every request with status 401, and repeat its headers and its address in the error
    /// text: as they are, and in base64, hexadecimal and percent encoding
    #[arg(long)]
    pub echo: bool,
    /// Offset of the providers' clock, such as 90s or -90s
    #[arg(
        long,
        default_value = "0ms",
        allow_hyphen_values = true,
        value_name = "SKEW"
    )]
    pub clock_skew: ClockSkew,
    /// Offset of the `Date` header of the first answers, in addition to the clock's
    #[arg(
        long,
        default_value = "0ms",
        allow_hyphen_values = true,
        value_name = "SKEW"
    )]
    pub first_dates: ClockSkew,
    /// Number of answers that `--first-dates` applies to
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub first_answers: u64,
    /// Number of messages per second that each provider receives while the sandbox runs
    #[arg(long, default_value_t = 0.0, value_name = "RATE")]
    pub append_rate: f64,
    /// Interval at which Web3MQ messages advance from received to delivered to read; without it,
    /// never
    #[arg(long, value_parser = parse_duration, value_name = "DURATION")]
    pub advance_every: Option<Duration>,
}

impl Options {
    /// True if no name and no text is odd.
    pub(super) fn is_ordinary(&self) -> bool {
        self.plain || self.talk
    }

    /// Parses options from flags, as in `["--messages", "500", "--plain"]`.
    pub fn from_flags<I: IntoIterator<Item: Into<std::ffi::OsString> + Clone>>(
        flags: I,
    ) -> Result<Self, clap::Error> {
        let command = Self::augment_args(Command::new("sandbox").no_binary_name(true));
        Self::from_arg_matches(&command.try_get_matches_from(flags)?)
    }
}

/// The options without any flag.
impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 1,
            messages: 20_000,
            topic_messages: 10_000,
            span: 5 * DAY,
            topic_span: 60 * DAY,
            plain: false,
            talk: false,
            projects: 1,
            users: 1,
            corpus: None,
            corpus_topic: false,
            token: "sandbox-token".to_owned(),
            token_headers: TokenHeaderForm::default(),
            ready_after: DurationRange::fixed(Duration::from_millis(300)),
            dead_handle: DeadHandleStatus::default(),
            handle_ttl: Duration::from_mins(1),
            snapshot: SnapshotMoment::default(),
            count_progress_every: 0,
            retention: None,
            visibility_lag: Duration::ZERO,
            start: BoundRule::default(),
            end: BoundRule::default(),
            seconds: false,
            user_receives_channels: false,
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
            rename_fields: Vec::new(),
            total: TotalForm::default(),
            count_form: CountForm::default(),
            endless_topic: None,
            body_form: BodyForm::default(),
            latency: DurationRange::default(),
            requests_per_second: 10,
            retry_after: false,
            faults: Share::default(),
            fault_kinds: Vec::new(),
            echo: false,
            topic_order: PageOrder::default(),
            sender_skew: ClockSkew::default(),
            sender_jitter: Duration::ZERO,
            clock_skew: ClockSkew::default(),
            first_dates: ClockSkew::default(),
            first_answers: 1,
            append_rate: 0.0,
            advance_every: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_without_flags_are_the_defaults() {
        assert_eq!(
            Options::from_flags::<[&str; 0]>([]).unwrap(),
            Options::default()
        );
    }

    #[test]
    fn flags_are_parsed() {
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
        assert_eq!(options.dead_handle, DeadHandleStatus::NotFound);
        assert_eq!(options.ready_after.max, Duration::from_millis(2500));
        assert!(Options::from_flags(["--span", "soon"]).is_err());
    }
}
