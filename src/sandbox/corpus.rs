//! A message history read from a file: JSON lines of `ts_ms`, `from`, `to` and `text`.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::agora::{AgoraHistory, AgoraMessage, RecipientKind};
use super::generate;
use super::options::Options;
use super::web3mq::Web3mqUser;
use crate::domain::time::Millis;

/// The reason why a corpus file cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum CorpusError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The path of the file.
        path: PathBuf,
        /// The error from the operating system.
        source: io::Error,
    },
    /// A line is not a valid message.
    #[error("{}:{line}: {source}", path.display())]
    BadLine {
        /// The path of the file.
        path: PathBuf,
        /// The line number, counted from 1.
        line: usize,
        /// The parse error.
        source: serde_json::Error,
    },
}

/// One line of a corpus file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CorpusLine {
    ts_ms: i64,
    from: String,
    to: String,
    text: String,
}

/// Reads a corpus file. Blank lines are skipped.
pub(super) fn read_lines(path: &Path) -> Result<Vec<CorpusLine>, CorpusError> {
    let unreadable = |source| CorpusError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let file = BufReader::new(File::open(path).map_err(unreadable)?);
    let mut lines = Vec::new();
    for (index, text) in file.lines().enumerate() {
        let text = text.map_err(unreadable)?;
        if text.trim().is_empty() {
            continue;
        }
        let bad = |source| CorpusError::BadLine {
            path: path.to_owned(),
            line: index + 1,
            source,
        };
        lines.push(serde_json::from_str(&text).map_err(bad)?);
    }
    Ok(lines)
}

/// Converts the corpus to the history of an Agora project with channels.
pub(super) fn agora_history(lines: Vec<CorpusLine>, options: &Options) -> AgoraHistory {
    let whole_seconds = options.time_form.is_whole_seconds();
    let message = |line: CorpusLine| AgoraMessage {
        src: line.from,
        dst: line.to,
        kind: RecipientKind::Channel,
        ms: if whole_seconds {
            Millis(line.ts_ms).second().start().0
        } else {
            line.ts_ms
        },
        payload: line.text.into_bytes(),
    };
    AgoraHistory::new(lines.into_iter().map(message).collect())
}

/// Adds the corpus to a Web3MQ account as one group.
pub(super) fn add_web3mq_topic(lines: &[CorpusLine], account: &mut Web3mqUser) {
    let topic = generate::group_id("corpus");
    account.add_topic(&topic);
    for line in lines {
        let from = generate::user_id(&line.from);
        account.insert(generate::text_message(
            &topic,
            from,
            line.ts_ms,
            line.text.as_bytes(),
        ));
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    #[test]
    fn corpus_lines_become_channel_messages() {
        let file = file(concat!(
            "{\"ts_ms\":5,\"from\":\"a\",\"to\":\"#c\",\"text\":\"hi\"}\n\n",
            "{\"ts_ms\":4,\"from\":\"b\",\"to\":\"#c\",\"text\":\"ho\"}\n",
        ));
        let lines = read_lines(file.path()).unwrap();
        let mut account = Web3mqUser::derive(1, 0);
        add_web3mq_topic(&lines, &mut account);
        assert_eq!(account.topics().values().map(Vec::len).sum::<usize>(), 2);
        let history = agora_history(lines, &Options::default());
        assert_eq!(
            history
                .messages()
                .iter()
                .map(|m| m.src.as_str())
                .collect::<Vec<_>>(),
            ["b", "a"]
        );
        assert!(
            history
                .messages()
                .iter()
                .all(|m| m.kind == RecipientKind::Channel)
        );
    }

    #[test]
    fn an_invalid_line_is_reported_with_file_and_line() {
        let file = file(
            "{\"ts_ms\":5,\"from\":\"a\",\"to\":\"#c\",\"text\":\"hi\"}\n{\"ts_ms\":\"five\"}\n",
        );
        let error = read_lines(file.path()).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("{}:2: ", file.path().display())),
            "{error}"
        );
        assert!(
            read_lines(Path::new("no such file"))
                .unwrap_err()
                .to_string()
                .starts_with("no such file: ")
        );
    }
}
