//! `backscroll sql` as a user runs it, on both databases.

/// Makes one test per function and database.
macro_rules! on_every_database {
    ($($test:ident),* $(,)?) => {
        mod sqlite {
            $(#[test]
            fn $test() {
                super::$test(&super::QueryEnv::in_sqlite());
            })*
        }
        mod postgres {
            $(#[test]
            fn $test() {
                super::$test(&super::QueryEnv::in_postgres());
            })*
        }
    };
}

mod formats;
mod hostile;
mod named_archive;
mod prompt;
mod queries;
mod query_env;
