//! The memory of an export does not grow with the archive.

use std::process::{Command, Stdio};

use backscroll::domain::message::Message;

use crate::support::env::{BACKSCROLL, wait_until};
use crate::support::peak_memory::peak_memory_bytes;
use crate::support::verify_fixture::VerifyFixture;

const MAX_BYTES: u64 = 64 << 20;
/// The largest payload that a provider takes, and as many of them as would not fit into memory.
const PAYLOAD_BYTES: usize = 32 << 10;
const MESSAGES: usize = 3000;
const FORMATS: &[&str] = if cfg!(feature = "parquet") {
    &["jsonl", "csv", "html", "parquet"]
} else {
    &["jsonl", "csv", "html"]
};

// From a Postgres server, Parquet still takes more than this: the buffers of the driver come on top.
#[test]
fn long_messages_need_little_memory_in_sqlite() {
    let fixture = VerifyFixture::in_sqlite();
    let forged = fixture.forged();
    let long = |n: usize| {
        let mut message = Message { ..forged.clone() };
        message.payload.bytes = format!("{n:0>PAYLOAD_BYTES$}").into_bytes();
        message
    };
    for first in (0..MESSAGES).step_by(100) {
        fixture.insert_all_forged((first..first + 100).map(long).collect());
    }
    for format in FORMATS {
        let mut child = Command::new(BACKSCROLL)
            .args(["export", "--format", format, "--out", format, "--config"])
            .arg(fixture.env.write_config())
            .current_dir(fixture.env.dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut peak = 0;
        let mut status = None;
        wait_until("the end of the export", || {
            peak = peak.max(peak_memory_bytes(child.id()));
            status = child.try_wait().unwrap();
            status.is_some()
        });
        assert!(status.unwrap().success(), "{format}");
        assert!(peak > 0 && peak < MAX_BYTES, "{format}: {} MiB", peak >> 20);
    }
}
