//! `backscroll init`: asks for the credentials of an account, tries them, and writes a
//! configuration.

mod account_file;
mod questions;

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::account_file::{AccountFile, AgoraFile, Web3mqFile};
use self::questions::Questions;
use super::accounts::build_providers;
use super::error::CliError;
use super::exit_outcome::ExitOutcome;
use super::output::{print_line, print_with_hint};
use super::quota::SharedQuotas;
use super::table::sanitized;
use crate::config::{Config, ConfigError, UsedSecrets};
use crate::domain::clock::Clock;
use crate::provider::{Provider, ProviderKind};

/// The file that is written if none is named.
const DEFAULT_FILE: &str = "config.toml";
/// The mode of the file: it contains a secret.
const PRIVATE_MODE: u32 = 0o600;
/// The maximum number of chats that are printed. The configuration follows all of them.
const MAX_LISTED_CHATS: usize = 20;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Provider of the account
    #[arg(long, value_name = "PROVIDER")]
    provider: Option<ProviderName>,

    /// Name of the account in SQL and on the command line
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// Address of the provider's API, or of the Web3MQ node
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,

    /// Agora: the App ID of the project
    #[arg(long, value_name = "ID")]
    app_id: Option<String>,

    /// Agora: the customer ID
    #[arg(long, value_name = "ID")]
    customer_id: Option<String>,

    /// Web3MQ: the user whose chats are archived
    #[arg(long, value_name = "ID")]
    user_id: Option<String>,

    /// Channel, user, group or topic to follow; repeat it for each. All others are discovered
    #[arg(long = "follow", value_name = "NAME")]
    follow: Vec<String>,

    /// Archive that the configuration names
    #[arg(long, default_value = "sqlite://archive.db", value_name = "URL")]
    database: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum ProviderName {
    Agora,
    Web3mq,
}

pub(super) async fn run(
    args: Args,
    named: Option<PathBuf>,
    clock: Arc<dyn Clock>,
) -> Result<ExitOutcome, CliError> {
    let path = named.unwrap_or_else(|| PathBuf::from(DEFAULT_FILE));
    if path.exists() {
        return Err(CliError::Usage(format!(
            "{0} exists already: edit it, or name another file with --config",
            path.display()
        )));
    }
    let database = args.database.clone();
    let account = ask(args, &Questions::at_the_terminal())?;
    let text = account.to_toml(&database);
    let config = Config::parse(&text, &path, UsedSecrets::Accounts).map_err(invalid_answers)?;
    let providers = build_providers(&config, None, &clock)?;
    let shared = SharedQuotas::of(&config.database.url, &providers, &clock).await;
    for provider in &providers {
        let name = &provider.account().name;
        if let Err(error) = provider.check_credentials().await {
            print_with_hint(
                format_args!("account {name}: FAILED: {error}"),
                format_args!("{}; nothing was written", error.hint()),
            );
            return Ok(ExitOutcome::Incomplete);
        }
        print_line(format_args!("account {name}: the credentials are accepted"));
        print_chats(&**provider).await;
    }
    shared.close().await;
    write_private(&path, &text)?;
    print_next_steps(&path);
    Ok(ExitOutcome::Success)
}

/// Returns the error about answers. The lines of a file that does not exist help nobody.
fn invalid_answers(error: ConfigError) -> CliError {
    match error {
        ConfigError::Invalid { mistakes, .. } => {
            let mistakes: Vec<String> = mistakes
                .iter()
                .map(|mistake| mistake.kind.to_string())
                .collect();
            CliError::Usage(mistakes.join("\n"))
        }
        other => other.into(),
    }
}

/// Takes each answer from its flag, or asks for it.
fn ask(args: Args, questions: &Questions) -> Result<AccountFile, CliError> {
    let provider = match args.provider {
        Some(provider) => provider,
        None => questions.choose(
            "Provider (agora or web3mq)",
            "--provider",
            &[
                ("agora", ProviderName::Agora),
                ("web3mq", ProviderName::Web3mq),
            ],
        )?,
    };
    Ok(match provider {
        ProviderName::Agora => AccountFile::Agora(AgoraFile {
            base_url: args.base_url,
            app_id: questions.text("App ID", "--app-id", args.app_id)?,
            customer_id: questions.text("Customer ID", "--customer-id", args.customer_id)?,
            customer_secret: questions.secret("Customer secret", "AGORA_CUSTOMER_SECRET")?,
            channels: questions.list(
                "Channels or users whose messages are archived, separated by blanks",
                "--follow",
                args.follow,
            )?,
            name: args.name.unwrap_or_else(|| "agora".to_owned()),
        }),
        ProviderName::Web3mq => AccountFile::Web3mq(Web3mqFile {
            base_url: questions.text("Address of the node", "--base-url", args.base_url)?,
            user_id: questions.text("User ID (user:…)", "--user-id", args.user_id)?,
            private_key: questions.secret("Session key (64 hex digits)", "WEB3MQ_PRIVATE_KEY")?,
            topics: args.follow,
            name: args.name.unwrap_or_else(|| "web3mq".to_owned()),
        }),
    })
}

/// Prints what the provider lists for the account. Agora has no list: its event feeds would be
/// emptied by reading them.
async fn print_chats(provider: &dyn Provider) {
    if provider.account().provider == ProviderKind::Agora {
        print_line(
            "Agora lists no channels and users: those that appear in archived messages are followed \
             as well",
        );
        return;
    }
    let mut chats = BTreeSet::new();
    for directory in 0..provider.directories().count {
        let page = provider.read_directory(directory).await;
        chats.extend(page.streams.into_iter().map(|stream| stream.key));
        if let Some(error) = page.error {
            print_line(format_args!("a list of chats cannot be read: {error}"));
        }
    }
    print_line(format_args!("{} chats can be followed:", chats.len()));
    for chat in chats.iter().take(MAX_LISTED_CHATS) {
        print_line(format_args!("  {}", sanitized(chat)));
    }
    if chats.len() > MAX_LISTED_CHATS {
        let more = chats.len() - MAX_LISTED_CHATS;
        print_line(format_args!("  … and {more} more"));
    }
}

/// Writes a new file that only this user can read.
fn write_private(path: &Path, text: &str) -> Result<(), CliError> {
    let failed = |error: std::io::Error| {
        CliError::Usage(format!("{} cannot be written: {error}", path.display()))
    };
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(PRIVATE_MODE);
    let mut file = options.open(path).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)
}

fn print_next_steps(path: &Path) {
    let is_default = path == Path::new(DEFAULT_FILE);
    let config = if is_default {
        String::new()
    } else {
        format!(" --config {}", path.display())
    };
    print_line(format_args!(
        "
{} was written. Only this user can read it.

What next?
  backscroll plan{config}
                                       estimates requests, time and disk
  backscroll sync{config}
                                       archives the whole history
  backscroll run{config}
                                       goes on archiving, as a daemon",
        path.display()
    ));
}
