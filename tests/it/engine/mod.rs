//! The engine: complete archives without duplicates, for every history and every interruption.

/// Runs each of these tests on every database.
macro_rules! on_every_database {
    ($($test:ident),* $(,)?) => {
        mod sqlite {
            $(#[test]
            fn $test() {
                super::$test(super::VerifyFixture::in_sqlite());
            })*
        }
        mod postgres {
            $(#[test]
            fn $test() {
                super::$test(super::VerifyFixture::in_postgres());
            })*
        }
    };
}

mod arrival_order;
mod changed_settings;
mod corpus;
mod discovery;
mod endless_windows;
mod flag_combinations;
mod forecast;
mod idempotency;
mod kill;
mod large_windows;
mod live_history;
mod model;
mod overlaps;
mod paging;
mod received_channels;
mod reconcile;
mod stragglers;
mod suspect_windows;
mod truth;
mod verify;
mod verify_manifest;
