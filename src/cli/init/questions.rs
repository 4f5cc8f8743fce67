//! Questions at the terminal.

use std::io::{self, IsTerminal, Write};

use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

use crate::cli::error::CliError;

/// A conversation over standard error and standard input. Answers may also come from a pipe, one a
/// line; then nothing is asked.
pub(super) struct Questions {
    is_terminal: bool,
}

impl Questions {
    pub(super) fn at_the_terminal() -> Self {
        let is_terminal = io::stdin().is_terminal();
        Self { is_terminal }
    }

    /// Returns the answer that is known, or asks for it. `flag` is named if there is no answer.
    pub(super) fn text(
        &self,
        question: &str,
        flag: &str,
        known: Option<String>,
    ) -> Result<String, CliError> {
        match known {
            Some(known) => Ok(known),
            None => self.ask(question, flag),
        }
    }

    /// Returns the secret in a variable, or asks for it. It has no flag: every user of a machine can
    /// read a command line. It is not shown while it is typed.
    pub(super) fn secret(&self, question: &str, variable: &str) -> Result<String, CliError> {
        if let Some(known) = std::env::var(variable)
            .ok()
            .filter(|known| !known.is_empty())
        {
            return Ok(known);
        }
        let hidden = self.is_terminal.then(HiddenInput::start).flatten();
        let answer = self.ask(question, variable);
        if hidden.is_some() {
            // The typed line break was hidden as well.
            let _ = writeln!(io::stderr());
        }
        answer
    }

    /// Returns the list that is known, or asks for one.
    pub(super) fn list(
        &self,
        question: &str,
        flag: &str,
        known: Vec<String>,
    ) -> Result<Vec<String>, CliError> {
        if !known.is_empty() {
            return Ok(known);
        }
        let answer = self.ask(question, flag)?;
        Ok(answer.split_whitespace().map(str::to_owned).collect())
    }

    /// Asks until one of the choices is answered.
    pub(super) fn choose<T: Copy>(
        &self,
        question: &str,
        flag: &str,
        choices: &[(&str, T)],
    ) -> Result<T, CliError> {
        loop {
            let answer = self.ask(question, flag)?.to_lowercase();
            if let Some((_, choice)) = choices.iter().find(|(name, _)| *name == answer) {
                return Ok(*choice);
            }
        }
    }

    /// Asks until there is an answer. Errors at the end of the input.
    fn ask(&self, question: &str, flag: &str) -> Result<String, CliError> {
        loop {
            if self.is_terminal {
                // An error is ignored: there may be an answer all the same.
                let _ = write!(io::stderr(), "{question}: ");
            }
            let mut line = String::new();
            if io::stdin().read_line(&mut line)? == 0 {
                return Err(CliError::Usage(format!(
                    "there is no answer to \"{question}\": give it with {flag}"
                )));
            }
            let answer = line.trim();
            if !answer.is_empty() {
                return Ok(answer.to_owned());
            }
        }
    }
}

/// A terminal that does not show what is typed, until this is dropped.
struct HiddenInput(rustix::termios::Termios);

impl HiddenInput {
    fn start() -> Option<Self> {
        let shown = tcgetattr(io::stdin()).ok()?;
        let mut hidden = shown.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Now, &hidden).ok()?;
        Some(Self(shown))
    }
}

impl Drop for HiddenInput {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}
