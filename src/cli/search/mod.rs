//! `backscroll search`: finds messages by their words.

mod answer;
mod json;
mod print;

use self::answer::{HitInContext, SearchAnswer};
use super::archive_args::ArchiveArgs;
use super::error::CliError;
use super::exit_outcome::ExitOutcome;
use super::filter_args::FilterArgs;
use super::open_archive::open_for_reader;
use super::output::print_json;
use crate::config::DatabaseUrl;
use crate::domain::clock::Clock;
use crate::domain::search::query::SearchQuery;
use crate::reader::{completeness, resolve};
use crate::store::{Archive, DisplayedMessage, HitOrder, Search};

/// The words to search for, and where.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The words to search for, in any script; upper and lower case and accents count as the same.
    /// `red car` finds messages with both words, `"red car"` with the words in sequence, `car*`
    /// with a word that begins so, `red -car` with the one and without the other, `red OR blue`
    /// with either. Quote the query for the shell
    #[arg(required = true, value_name = "QUERY")]
    query: Vec<String>,

    #[command(flatten)]
    filter: FilterArgs,

    /// Show so many messages of the same conversation before and after each hit
    #[arg(
        long,
        short = 'C',
        default_value_t = 0,
        value_name = "N",
        value_parser = clap::value_parser!(u64).range(..=1000)
    )]
    context: u64,

    /// Show at most so many hits
    #[arg(
        long,
        default_value_t = 20,
        value_name = "N",
        value_parser = clap::value_parser!(u64).range(1..=10_000)
    )]
    limit: u64,

    /// The order of the hits: by time, or by the number and rarity of the words. `relevance` takes
    /// longer for words that occur often
    #[arg(long, default_value = "newest", value_name = "ORDER")]
    by: OrderArg,

    /// Print JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    pub(super) archive: ArchiveArgs,
}

/// The order of hits on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum OrderArg {
    Newest,
    Relevance,
}

impl From<OrderArg> for HitOrder {
    fn from(order: OrderArg) -> Self {
        match order {
            OrderArg::Newest => Self::Newest,
            OrderArg::Relevance => Self::Relevance,
        }
    }
}

pub(super) async fn run(
    args: &Args,
    archive: &DatabaseUrl,
    clock: &dyn Clock,
) -> Result<ExitOutcome, CliError> {
    let text = args.query.join(" ");
    let query: SearchQuery = text
        .parse()
        .map_err(|error| CliError::Usage(format!("the query `{text}`: {error}")))?;
    let filter = args.filter.filter(clock.now())?;
    let store = open_for_reader(archive).await?;
    // The extent is read first: the index may only have grown when it is searched.
    let extent = store.index_extent().await?;
    if !extent.is_enabled {
        return Err(CliError::Usage(
            "search is off in this archive, and its index is empty: set `enabled = true` under \
             [search] in the configuration, then run `backscroll sync` or restart the service"
                .to_owned(),
        ));
    }
    let filter = resolve(&*store, filter).await?;
    let found = store
        .search(&query, &filter.selection, args.by.into(), args.limit)
        .await?;
    let answer = SearchAnswer {
        query: &query,
        order: args.by.into(),
        with_context: args.context > 0,
        hits: in_context(&*store, found.messages, args.context).await?,
        has_more: found.has_more,
        completeness: completeness(&*store, &filter).await?,
        extent,
    };
    store.close().await;
    if args.json {
        print_json(&json::AnswerJson::new(&text, &answer));
    } else {
        print::print_answer(&answer);
    }
    Ok(ExitOutcome::success_if(answer.is_complete()))
}

/// Reads the messages around each hit.
async fn in_context(
    store: &dyn Archive,
    messages: Vec<DisplayedMessage>,
    limit: u64,
) -> Result<Vec<HitInContext>, CliError> {
    let mut hits = Vec::with_capacity(messages.len());
    for message in messages {
        let [before, after] = match limit {
            0 => [vec![], vec![]],
            _ => Search::context(store, &message, limit).await?,
        };
        hits.push(HitInContext {
            message,
            before,
            after,
        });
    }
    Ok(hits)
}
