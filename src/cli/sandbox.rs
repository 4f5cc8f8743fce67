//! `backscroll sandbox`: serves the APIs of both providers.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::error::CliError;
use super::exit_outcome::ExitOutcome;
use super::output::print_line;
use crate::daemon::signals;
use crate::domain::clock::Clock;
use crate::sandbox::{Options, Sandbox};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Loopback address to listen on; port 0 takes any free port
    #[arg(long, default_value = "127.0.0.1:8787", value_name = "ADDR")]
    listen: SocketAddr,

    /// Write a configuration that archives everything in the sandbox, to a new file
    #[arg(long, value_name = "FILE")]
    write_config: Option<PathBuf>,

    /// Archive that this configuration names
    #[arg(long, default_value = "sqlite://sandbox.db", value_name = "URL")]
    database: String,

    #[command(flatten)]
    options: Options,
}

pub(super) async fn run(args: Args, clock: Arc<dyn Clock>) -> Result<ExitOutcome, CliError> {
    if let Some(path) = args.write_config.as_ref().filter(|path| path.exists()) {
        return Err(CliError::Usage(format!(
            "--write-config: {} exists already: name another file, or remove it",
            path.display()
        )));
    }
    let stop = CancellationToken::new();
    signals::cancel_on_signal(stop.clone())?;
    let sandbox = Sandbox::start(args.options, args.listen, clock).await?;
    print_line(format_args!(
        "Both providers are served at {}",
        sandbox.base_url()
    ));
    if let Some(path) = &args.write_config {
        sandbox.write_config(path, &args.database)?;
        print_line(format_args!(
            "To archive them:  backscroll sync --config {}",
            path.display()
        ));
    }
    print_line(format_args!(
        "Rules kept and broken: curl {}/sandbox/rules",
        sandbox.base_url()
    ));
    stop.cancelled().await;
    sandbox.stop().await;
    Ok(ExitOutcome::Success)
}
