//! The requests of Agora's history API, each with its credentials and its parsed answer.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Method, StatusCode, Url};
use tokio::time::{Instant, sleep};

use super::answers::{self, HistoryAnswer};
use super::conversations::ConversationKinds;
use super::credentials::Credentials;
use super::events::{self, FeedEvents};
use super::location::resolve_location;
use super::message::{self, MessagePage, ParsedMessage};
use super::query::{HistoryQuery, MessageFilter, OffsetOrder, QueryTime};
use super::requested::RequestedMessages;
use crate::domain::stream::Stream;
use crate::domain::window::Window;
use crate::provider::error::ProviderError;
use crate::provider::gate::Gate;
use crate::provider::http_client::{AnswerRetry, HttpClient};
use crate::provider::limits::agora::{IN_PROGRESS_WAIT, MAX_POLLS, QUERY_MARGIN};
use crate::provider::rate_limiter::Priority;
use crate::provider::transport::{ProviderRequest, ProviderResponse};

/// The history API of one Agora project.
#[derive(Debug)]
pub(super) struct AgoraApi {
    /// The account's name in the log.
    account: String,
    http: HttpClient,
    credentials: Credentials,
    /// `https://api.agora.io/dev/v2/project/<appid>`: `~` in a location stands for it.
    project: Url,
    kinds: ConversationKinds,
}

/// A range of a stream, as it is queried.
#[derive(Clone, Copy, Debug)]
pub(super) struct QueryRange<'a> {
    pub(super) stream: &'a Stream,
    /// The bounds that are sent: the range with its margin.
    pub(super) padded: Window,
    pub(super) order: OffsetOrder,
}

/// A query whose result the provider prepares.
#[derive(Debug)]
pub(super) struct PendingQuery {
    handle: Url,
    pub(super) created_at: Instant,
}

/// The result of reading a handle.
#[derive(Debug)]
pub(super) enum HandleState {
    Ready(MessagePage),
    InProgress,
    /// The handle has expired or was read already.
    Gone,
}

impl<'a> QueryRange<'a> {
    /// A range with its margin, counted from the oldest message.
    pub(super) fn ascending(stream: &'a Stream, range: Window) -> Self {
        let padded = range.padded(QUERY_MARGIN);
        Self {
            stream,
            padded,
            order: OffsetOrder::Ascending,
        }
    }
}

impl AgoraApi {
    /// `project` is the address of the project, see [`project_url`].
    pub(super) fn new(
        account: String,
        http: HttpClient,
        project: Url,
        credentials: Credentials,
        kinds: ConversationKinds,
    ) -> Self {
        Self {
            account,
            http,
            credentials,
            project,
            kinds,
        }
    }

    pub(super) fn gate(&self) -> &Gate {
        self.http.gate()
    }

    pub(super) fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    pub(super) fn account(&self) -> &str {
        &self.account
    }

    pub(super) fn answer_retry(&self) -> AnswerRetry<'_> {
        self.http.answer_retry()
    }

    /// Parses one message of a stream that was kept raw.
    pub(super) fn parse_raw(&self, stream: &Stream, raw: &str) -> ParsedMessage {
        message::parse_message(raw, &self.kinds, stream)
    }

    /// Asks for `limit` messages of a range, after skipping `offset`. The answer is a handle to
    /// read them with, once.
    pub(super) async fn create_query(
        &self,
        range: QueryRange<'_>,
        offset: u64,
        limit: u64,
    ) -> Result<PendingQuery, ProviderError> {
        const OPERATION: &str = "query";
        let malformed = |fault| ProviderError::Malformed {
            operation: OPERATION,
            fault,
        };
        let filter = MessageFilter {
            source: range.stream.scope.sender.as_deref(),
            destination: range.stream.scope.recipient.as_deref(),
            start_time: QueryTime(range.padded.from()),
            end_time: QueryTime(range.padded.to()),
        };
        let query = HistoryQuery {
            filter,
            offset,
            limit,
            order: range.order,
        };
        let body = serde_json::to_string(&query).map_err(|e| malformed(e.to_string()))?;
        let url = self.history_url("query");
        let request = || (Method::POST, url.clone(), Some(body.clone()));
        let answer = self.send(OPERATION, Priority::Normal, request).await?;
        let created_at = Instant::now();
        match ready_value(OPERATION, &answer, answers::parse_location)? {
            Some(location) => {
                let handle = resolve_location(&self.project, &location)?;
                Ok(PendingQuery { handle, created_at })
            }
            None => Err(malformed("in progress, without a handle".to_owned())),
        }
    }

    /// Reads a handle. Only one read of a finished query is answered. A page whose messages are of
    /// another request is an error; the bounds get a second margin, for a provider that takes its
    /// own bounds more liberally.
    pub(super) async fn read_handle(
        &self,
        query: &PendingQuery,
        range: QueryRange<'_>,
    ) -> Result<HandleState, ProviderError> {
        const OPERATION: &str = "read";
        let requested = RequestedMessages {
            stream: range.stream,
            bounds: range.padded.padded(QUERY_MARGIN),
        };
        let request = || (Method::GET, query.handle.clone(), None);
        // It goes first: the handle expires, and half of the page's price is paid.
        let answer = self.send(OPERATION, Priority::High, request).await?;
        // 404 too: the contract does not say how an expired handle is answered.
        if matches!(answer.status, StatusCode::GONE | StatusCode::NOT_FOUND) {
            return Ok(HandleState::Gone);
        }
        let page = ready_value(OPERATION, &answer, |body| {
            answers::parse_page(body, &self.kinds, requested)
        })?;
        Ok(page.map_or(HandleState::InProgress, HandleState::Ready))
    }

    /// Returns the number of messages between two bounds, by the provider's own meaning of a bound;
    /// `None` if its count cannot be believed.
    pub(super) async fn count(
        &self,
        stream: &Stream,
        bounds: Window,
        priority: Priority,
    ) -> Result<Option<u64>, ProviderError> {
        const OPERATION: &str = "count";
        let url = self.count_url(stream, bounds);
        let mut retry = self.http.answer_retry();
        for _ in 0..MAX_POLLS {
            let answer = self
                .send(OPERATION, priority, || (Method::GET, url.clone(), None))
                .await;
            match answer.and_then(|answer| ready_value(OPERATION, &answer, answers::parse_count)) {
                Ok(Some(count)) => {
                    self.gate().traffic().record_used_answer();
                    return Ok(count);
                }
                Ok(None) => sleep(IN_PROGRESS_WAIT).await,
                Err(error) => retry.backoff_or_fail(error).await?,
            }
        }
        let fault = format!("still in progress after {MAX_POLLS} polls");
        Err(ProviderError::NeverReady {
            operation: OPERATION,
            fault,
        })
    }

    /// Reads one of the event feeds. The provider removes what it answers.
    pub(super) async fn read_events(&self, feed: &str) -> Result<FeedEvents, ProviderError> {
        const OPERATION: &str = "events";
        let mut url = self.project.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.extend(["rtm", "vendor", feed]);
        }
        // It goes first: a backfill may have hundreds of requests waiting.
        let request = || (Method::GET, url.clone(), None);
        let answer = self.send(OPERATION, Priority::High, request).await?;
        if !answer.status.is_success() {
            return Err(answer.refusal(OPERATION));
        }
        events::parse_events(&answer.body).map_err(|fault| ProviderError::Malformed {
            operation: OPERATION,
            fault,
        })
    }

    /// Sends a request, and once more if the credentials were refused and have been renewed since.
    async fn send(
        &self,
        operation: &'static str,
        priority: Priority,
        request: impl Fn() -> (Method, Url, Option<String>),
    ) -> Result<ProviderResponse, ProviderError> {
        let with_credentials = || {
            let (method, url, body) = request();
            let mut headers = self.credentials.headers()?;
            let json = HeaderValue::from_static("application/json;charset=utf-8");
            headers.insert(CONTENT_TYPE, json);
            Ok(ProviderRequest {
                method,
                url,
                headers,
                body,
            })
        };
        let renewals = self.credentials.renewals();
        match self.http.send(operation, priority, with_credentials).await {
            Err(ProviderError::Credentials { .. }) if self.credentials.renew(renewals) => {
                tracing::info!(
                    account = self.account,
                    "credentials refused; retrying with the renewed token"
                );
                self.http.send(operation, priority, with_credentials).await
            }
            answer => answer,
        }
    }

    fn history_url(&self, endpoint: &str) -> Url {
        let mut url = self.project.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.extend(["rtm", "message", "history", endpoint]);
        }
        url
    }

    fn count_url(&self, stream: &Stream, bounds: Window) -> Url {
        let mut url = self.history_url("count");
        append_parameter(&mut url, "source", stream.scope.sender.as_deref());
        append_parameter(&mut url, "destination", stream.scope.recipient.as_deref());
        append_parameter(&mut url, "start_time", Some(&bounds.from().to_string()));
        append_parameter(&mut url, "end_time", Some(&bounds.to().to_string()));
        url
    }
}

/// Returns the address of the project `app_id` at the host `base_url`.
pub(super) fn project_url(base_url: &Url, app_id: &str) -> Url {
    let mut project = base_url.clone();
    if let Ok(mut path) = project.path_segments_mut() {
        path.pop_if_empty().extend(["dev", "v2", "project", app_id]);
    }
    project
}

/// Adds a percent-encoded parameter if there is a value. A space becomes `%20`: a server that
/// decodes strictly would take the form encoding's `+` for a plus sign.
fn append_parameter(url: &mut Url, name: &str, value: Option<&str>) {
    let Some(value) = value else { return };
    let value = utf8_percent_encode(value, NON_ALPHANUMERIC);
    let query = match url.query() {
        Some(query) => format!("{query}&{name}={value}"),
        None => format!("{name}={value}"),
    };
    url.set_query(Some(&query));
}

/// Returns the value of a successful answer; `None` while the provider still prepares it.
fn ready_value<T>(
    operation: &'static str,
    answer: &ProviderResponse,
    parse: impl FnOnce(&[u8]) -> HistoryAnswer<T>,
) -> Result<Option<T>, ProviderError> {
    if !answer.status.is_success() {
        return Err(answer.refusal(operation));
    }
    match parse(&answer.body) {
        HistoryAnswer::Ready(value) => Ok(Some(value)),
        HistoryAnswer::InProgress => Ok(None),
        HistoryAnswer::Failed { code, message } => Err(ProviderError::Failed {
            operation,
            code,
            message,
        }),
        HistoryAnswer::Malformed(fault) => Err(ProviderError::Malformed { operation, fault }),
    }
}
