//! The store: the contract of every archive, and the specifics of each database.

/// Runs each of these tests on every database.
macro_rules! on_every_database {
    ($($test:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $test() {
                super::$test(super::StoreFixture::in_sqlite().await).await;
            })*
        }
        mod postgres {
            $(#[tokio::test]
            async fn $test() {
                super::$test(super::StoreFixture::in_postgres().await).await;
            })*
        }
    };
}

mod account_summaries;
mod accounts;
mod alarms;
mod arrival_marks;
mod conformance;
mod connections;
mod cookbook;
mod copy_records;
mod coverage;
mod discovery;
mod extremes;
mod ledger;
mod ledger_truth;
mod pooler;
mod postgres;
mod query_plans;
mod quota;
mod read_only;
mod reading;
mod refetch;
mod schema_dump;
mod search;
mod search_index;
mod sql_docs;
mod sqlite_file;
mod throughput;
mod tls;
mod upgrade;
mod views;
