//! The cookbook of docs/SQL.md: each of its queries is run on both databases by `backscroll sql`, on
//! one history, and has the answer that stands here.

mod answers;
mod columns;
mod history;
mod shipped;

use std::sync::Arc;

use backscroll::store::{Archive, IfMissing, PostgresStore};

use crate::support::env::{TestEnv, command_in, output_of};
use crate::support::postgres_server;
use crate::support::store_fixture::open_sqlite;
use answers::ANSWERS;

const SQL_MD: &str = include_str!("../../../../docs/SQL.md");

/// A question of the cookbook.
struct Question {
    title: &'static str,
    sqlite: &'static str,
    postgres: &'static str,
}

/// Returns the questions of the cookbook in order.
fn questions() -> Vec<Question> {
    let (_, cookbook) = SQL_MD.split_once("\n# Cookbook\n").expect("a cookbook");
    let sections = cookbook.split("\n### ").skip(1);
    let questions = sections.map(|section| {
        let (title, text) = section.split_once('\n').expect("a title");
        let block = |database: &str| {
            let info = format!("```sql{database}\n");
            let (_, rest) = text.split_once(&info)?;
            rest.split("```").next().map(str::trim)
        };
        let both = block("");
        let query = |database: &str| both.or_else(|| block(database)).expect(title);
        Question {
            title,
            sqlite: query(" sqlite"),
            postgres: query(" postgres"),
        }
    });
    questions.collect()
}

fn assert_answers(env: &TestEnv, query_of: impl Fn(&Question) -> &'static str) {
    env.write_config();
    let questions = questions();
    assert!(questions.len() >= 25, "{}", questions.len());
    let mut wrong = Vec::new();
    for question in &questions {
        let mut command = command_in(env.dir.path(), &["sql", "--format", "csv"]);
        let output = output_of(command.write_stdin(query_of(question)));
        let answer = output.stdout + &output.stderr;
        let expected = ANSWERS.iter().find(|(title, _)| *title == question.title);
        if expected.is_none_or(|(_, expected)| expected.trim_start() != answer) {
            wrong.push(format!("### {}\n{answer}", question.title));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(questions.len(), ANSWERS.len(), "answers without a question");
}

/// An SQLite archive with the history.
fn sqlite_history() -> TestEnv {
    let env = TestEnv::without_messages(&[]);
    env.block_on(async {
        let store = open_sqlite(&env.archive_path()).await;
        history::write(&store).await;
        store.close().await;
    });
    env
}

/// A database with the history, and its name.
fn postgres_history() -> (TestEnv, String) {
    let (url, database) = postgres_server::create_named_database();
    let env = TestEnv::without_messages(&[]).with_database(&url);
    env.block_on(async {
        let store = PostgresStore::connect(url.parse().unwrap(), IfMissing::Create);
        let store: Arc<dyn Archive> = Arc::new(store.await.unwrap());
        history::write(&*store).await;
        store.close().await;
    });
    (env, database)
}

#[test]
fn questions_are_answered_in_sqlite() {
    assert_answers(&sqlite_history(), |question| question.sqlite);
}

#[test]
fn questions_are_answered_in_postgres() {
    assert_answers(&postgres_history().0, |question| question.postgres);
}
