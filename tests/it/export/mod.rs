//! `backscroll export` on both databases: contents, later runs, checks, refusals.

/// Runs each of these tests on every database.
macro_rules! on_every_database {
    ($($test:ident),* $(,)?) => {
        mod sqlite {
            $(#[test]
            fn $test() {
                super::$test(&super::VerifyFixture::in_sqlite());
            })*
        }
        mod postgres {
            $(#[test]
            fn $test() {
                super::$test(&super::VerifyFixture::in_postgres());
            })*
        }
    };
}

mod check;
mod contents;
mod failures;
mod later_runs;
mod memory;
mod refusals;
mod transcript;
