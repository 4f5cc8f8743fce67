//! The file of an SQLite archive and the write-ahead log beside it.

use backscroll::domain::message::Message;
use backscroll::store::{Archive, Commit};
use sqlx::ConnectOptions;

use crate::support::store_fixture::{StoreFixture, message, open_sqlite};

fn unsealed(fixture: &StoreFixture, messages: Vec<Message>) -> Commit {
    Commit {
        seal: None,
        ..fixture.commit_of(0, 100, messages)
    }
}

/// An archive that comes back to its path is the same archive.
#[tokio::test]
async fn archive_is_replaced_while_another_file_or_none_is_at_its_path() {
    let dir = tempfile::TempDir::new().unwrap();
    let path = dir.path().join("archive.db");
    let store = open_sqlite(&path).await;
    assert!(!store.is_replaced());
    std::fs::rename(&path, dir.path().join("other.db")).unwrap();
    assert!(store.is_replaced());
    let error = store.ping().await.unwrap_err();
    assert!(
        error.to_string().contains("was removed or replaced"),
        "{error}"
    );
    std::fs::rename(dir.path().join("other.db"), &path).unwrap();
    store.ping().await.unwrap();
}

/// A long reader keeps the log from being emptied. Beyond its limit, commits wait for the reader.
#[tokio::test(flavor = "multi_thread")]
async fn log_does_not_grow_past_its_limit_under_a_long_reader() {
    const LIMIT: u64 = 256 << 20;
    let fixture = StoreFixture::in_sqlite().await;
    let path = std::path::PathBuf::from(fixture.store.location());
    let log_bytes = || {
        std::fs::metadata(path.with_extension("db-wal"))
            .unwrap()
            .len()
    };
    let large = |n: i64| {
        let payload = |k: i64| {
            let mut large = message(n * 1000 + k, "");
            large.payload.bytes = vec![b'x'; 4 << 20];
            large.payload.bytes[..16].copy_from_slice(format!("{n:08}{k:08}").as_bytes());
            large
        };
        unsealed(&fixture, (0..8).map(payload).collect())
    };
    fixture.commit(&[large(0)]).await;
    let options = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(&path)
        .read_only(true);
    let mut reader = options.connect().await.unwrap();
    let mut read = sqlx::Connection::begin(&mut reader).await.unwrap();
    let count = "SELECT count(*) FROM times";
    sqlx::query(count).fetch_one(&mut *read).await.unwrap();
    let mut n = 1;
    while log_bytes() <= LIMIT {
        fixture.commit(&[large(n)]).await;
        n += 1;
    }
    let waiting = [large(n)];
    let mut commit = std::pin::pin!(fixture.commit(&waiting));
    let reads = async {
        for _ in 0..200 {
            sqlx::query(count).fetch_one(&mut *read).await.unwrap();
        }
    };
    tokio::select! {
        _ = &mut commit => panic!("the commit did not wait"),
        () = reads => {}
    }
    drop(read);
    sqlx::Connection::close(reader).await.unwrap();
    commit.await;
    assert!(log_bytes() < LIMIT / 2, "{}", log_bytes());
}
