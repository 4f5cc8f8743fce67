//! The requests of Web3MQ's history API, each signed anew, with its parsed answer.

use std::sync::atomic::{AtomicU64, Ordering};

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};

use super::answers::{self, TopicPage};
use super::credentials::RequestSigner;
use super::lists::{self, ListPage};
use super::message::ParsedRow;
use super::streams::TopicMessages;
use crate::domain::message::UnparsableMessage;
use crate::domain::time::Millis;
use crate::provider::credentials_fingerprint::CredentialsParts;
use crate::provider::error::ProviderError;
use crate::provider::gate::Gate;
use crate::provider::http_client::{HttpClient, ParsedAnswer};
use crate::provider::json;
use crate::provider::rate_limiter::Priority;
use crate::provider::transport::{ClientSetupError, ProviderRequest, ProviderResponse};

const PUBLIC_KEY: HeaderName = HeaderName::from_static("web3mq-request-pubkey");
const DID_KEY: HeaderName = HeaderName::from_static("didkey");

/// The history API, as one Web3MQ user sees it.
#[derive(Debug)]
pub(super) struct Web3mqApi {
    /// The account's name in the log.
    account: String,
    http: HttpClient,
    signer: RequestSigner,
    headers: HeaderMap,
    /// The page size that is asked for, in messages: no more than the provider has shown to serve.
    page_size: AtomicU64,
    /// The mean size of a row read lately, in bytes of content; 0 before the first.
    row_bytes: AtomicU64,
}

impl Web3mqApi {
    pub(super) fn new(
        account: String,
        http: HttpClient,
        signer: RequestSigner,
        headers: HeaderMap,
        page_size: u32,
    ) -> Self {
        let page_size = AtomicU64::new(u64::from(page_size.max(1)));
        Self {
            account,
            http,
            signer,
            headers,
            page_size,
            row_bytes: AtomicU64::new(0),
        }
    }

    pub(super) fn gate(&self) -> &Gate {
        self.http.gate()
    }

    pub(super) fn account(&self) -> &str {
        &self.account
    }

    /// The parts that differ if the credentials do.
    pub(super) fn credentials(&self) -> CredentialsParts {
        let parts = self.signer.credentials();
        let headers = self
            .headers
            .values()
            .filter_map(|value| value.to_str().ok());
        headers.fold(parts, CredentialsParts::with)
    }

    /// The user whose topics these are.
    pub(super) fn user(&self) -> &str {
        self.signer.user()
    }

    pub(super) fn page_size(&self) -> u64 {
        self.page_size.load(Ordering::Relaxed)
    }

    /// The mean size of a row read lately, in bytes of content.
    pub(super) fn row_bytes(&self) -> u64 {
        self.row_bytes.load(Ordering::Relaxed).max(1)
    }

    /// The mean follows larger rows at once and smaller ones slowly.
    fn observe_size(&self, rows: &[ParsedRow]) {
        let bytes = |row: &ParsedRow| match row {
            Ok(message) => message.content_bytes(),
            Err(unparsable) => unparsable.raw.len() as u64,
        };
        let total: u64 = rows.iter().map(bytes).sum();
        let Some(bytes) = total.checked_div(rows.len() as u64) else {
            return;
        };
        let mean = self.row_bytes.load(Ordering::Relaxed);
        let mean = bytes.max((mean * 7 + bytes) / 8);
        self.row_bytes.store(mean, Ordering::Relaxed);
    }

    /// Records that the provider serves pages of no more than `served` messages.
    pub(super) fn shrink_pages(&self, served: u64) {
        let asked = self.page_size.fetch_min(served.max(1), Ordering::Relaxed);
        if served < asked {
            tracing::info!(
                account = self.account,
                asked,
                served,
                "the provider serves smaller pages than asked for"
            );
        }
    }

    /// Reads a page of a topic. Pages are numbered from 1, newest first.
    pub(super) async fn read_page(
        &self,
        topic: &str,
        page: u64,
        size: u64,
    ) -> Result<TopicPage, ProviderError> {
        const OPERATION: &str = "history";
        let topic = TopicMessages {
            user: self.user(),
            topic,
        };
        let url = |at| self.signer.history_url(topic.topic, at, page, size);
        let parse = |answer: &ProviderResponse| parse_page(OPERATION, topic, answer);
        let page = self.send(OPERATION, Priority::Normal, url, parse).await?;
        self.observe_size(&page.rows);
        Ok(page)
    }

    /// Reads a page of one of the lists of the user's chats.
    pub(super) async fn read_list_page(
        &self,
        list: &'static str,
        page: u64,
        size: u64,
    ) -> Result<ListPage, ProviderError> {
        let url = |at| self.signer.list_url(list, at, page, size);
        // It goes first: lists take a few requests one after the other, and a backfill may have
        // hundreds waiting.
        self.send(list, Priority::High, url, |answer| {
            parse_list_page(list, answer)
        })
        .await
    }

    /// Sends a request, signed anew for every attempt, until there is an answer that can be parsed.
    async fn send<T>(
        &self,
        operation: &'static str,
        priority: Priority,
        url: impl Fn(Millis) -> Result<Url, ProviderError>,
        parse: impl Fn(&ProviderResponse) -> Result<ParsedAnswer<T>, ProviderError>,
    ) -> Result<T, ProviderError> {
        let signed_request = || {
            let url = url(self.gate().clock().unique_timestamp())?;
            let headers = self.headers.clone();
            Ok(ProviderRequest {
                method: Method::GET,
                url,
                headers,
                body: None,
            })
        };
        let mut retry = self.http.answer_retry();
        loop {
            let signed_by_ms = self.gate().clock().signing_offset_ms();
            let answer = self.http.send(operation, priority, signed_request).await;
            let answer = answer.and_then(|answer| parse(&answer));
            if let Err(ProviderError::Refused { .. } | ProviderError::Failed { .. }) = &answer {
                self.gate().clock().record_refused_signature(signed_by_ms);
            }
            if let Some(value) = retry.accept(operation, answer).await? {
                return Ok(value);
            }
        }
    }
}

/// Returns the headers that are the same for every request of an account.
pub(super) fn account_headers(
    public_key: Option<String>,
    did_key: Option<String>,
) -> Result<HeaderMap, ClientSetupError> {
    let mut headers = HeaderMap::new();
    for (name, value) in [(PUBLIC_KEY, public_key), (DID_KEY, did_key)] {
        if let Some(value) = value {
            let invalid = |_| ClientSetupError::invalid_header(name.as_str());
            let value = HeaderValue::from_str(&value).map_err(invalid)?;
            headers.insert(name, value);
        }
    }
    Ok(headers)
}

fn parse_list_page(
    list: &'static str,
    answer: &ProviderResponse,
) -> Result<ParsedAnswer<ListPage>, ProviderError> {
    if !answer.status.is_success() {
        return Err(answer.refusal(list));
    }
    let page = lists::parse_list_page(&answer.body);
    let value = page.map_err(|error| error.into_provider_error(list))?;
    Ok(ParsedAnswer {
        value,
        odd_items: vec![],
    })
}

/// Parses an answer as a page of a topic. A page whose rows are mostly of another topic, or of a
/// list, answers another request.
fn parse_page(
    operation: &'static str,
    topic: TopicMessages<'_>,
    answer: &ProviderResponse,
) -> Result<ParsedAnswer<TopicPage>, ProviderError> {
    if !answer.status.is_success() {
        return Err(answer.refusal(operation));
    }
    let page = answers::parse_page(&answer.body, topic)
        .map_err(|error| error.into_provider_error(operation))?;
    if 2 * page.rows.iter().filter(|row| is_foreign(row)).count() > page.rows.len() {
        let fault = "the answer holds messages that were not asked for".to_owned();
        return Err(ProviderError::Malformed { operation, fault });
    }
    Ok(ParsedAnswer {
        odd_items: json::odd_items(&page.rows),
        value: page,
    })
}

/// True if a row belongs to another topic, or to a list of chats.
fn is_foreign(row: &ParsedRow) -> bool {
    let is_list_entry = |unparsable: &UnparsableMessage| lists::is_list_entry(&unparsable.raw);
    json::is_not_requested(row) || row.as_ref().is_err_and(is_list_entry)
}
