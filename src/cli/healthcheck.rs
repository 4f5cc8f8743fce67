//! `backscroll healthcheck`: asks the running service if it is alive.

use super::error::CliError;
use super::exit_outcome::ExitOutcome;
use super::output::print_line;
use crate::config::Config;
use crate::daemon::web::check_health;

pub(super) async fn run(config: &Config) -> Result<ExitOutcome, CliError> {
    let listen = config.status_page.listen.ok_or_else(|| {
        CliError::Usage(
            "the service answers no health checks, because [status_page] listen is \"\": set it to \
             an address like \"127.0.0.1:9464\""
                .to_owned(),
        )
    })?;
    match check_health(listen).await {
        Ok(()) => {
            print_line("alive");
            Ok(ExitOutcome::Success)
        }
        Err(error) => {
            print_line(format_args!("not alive: {error}"));
            Ok(ExitOutcome::Incomplete)
        }
    }
}
