//! A day of the daemon in less than a minute: daemon, sandbox and webhook receiver run in one
//! process on a simulated clock that advances as fast as they can follow. Sockets, files and the
//! database are real.
//!
//! The day runs in a process of its own, so that its memory can be measured.

mod archive;
mod simulation;

use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::Duration;

use backscroll::domain::alarm::Alarm;
use backscroll::domain::time::Millis;
use backscroll::sandbox::{Call, CallFilter, Fault};

use self::archive::EnduranceArchive;
use self::simulation::Simulation;
use crate::support::paused_clock::{hold_clock, paused_runtime};
use crate::support::truth;

/// A Thursday at midnight.
const BEGIN: Millis = Millis(1_795_651_200_000);
const HOUR: Duration = Duration::from_hours(1);
const AGORA: &str = "sandbox";
const WEB3MQ: &str = "web3mq-1";
/// The maximum growth of memory from the second hour to the last, in bytes. It includes the
/// sandbox, which keeps every request, and the database connections that are opened again after an
/// outage.
const FLAT: u64 = 16 << 20;
/// The maximum growth from the fourteenth hour to the twenty-second, without new connections.
const FLATTER: u64 = 3 << 20;

/// Account, stream and kind of an alarm, and the ranges of its beginning and its end in hours of
/// the day.
type Expected = (&'static str, &'static str, &'static str, [f64; 2], [f64; 2]);

const OUTAGES: [Expected; 6] = [
    (AGORA, "", "failing", [3.06, 3.1], [4.0, 4.3]),
    (WEB3MQ, "", "failing", [3.06, 3.1], [4.0, 4.3]),
    (AGORA, "", "parked", [6.0, 6.1], [7.0, 7.35]),
    (WEB3MQ, "", "failing", [9.06, 9.15], [10.0, 10.3]),
    (
        AGORA,
        "destination=lobby",
        "silent",
        [20.0, 20.6],
        [22.0, 22.4],
    ),
    (AGORA, "", "failing", [22.56, 22.62], [23.2, 23.5]),
];
const NO_ROOM: Expected = ("", "", "disk", [12.0, 12.1], [12.5, 12.7]);
const NO_SERVER: Expected = ("", "", "archive", [12.03, 12.4], [12.5, 12.7]);

/// The resident memory of this process in bytes.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

/// Runs the day's events. Returns the memory in the hours 2, 14, 22 and 24.
async fn live_through(simulation: &mut Simulation) -> [u64; 4] {
    simulation.run_until(2.0, true).await;
    let second = memory();
    simulation.run_until(3.0, true).await;
    // The providers are down.
    simulation.start_outage(&[CallFilter::Any], 503, None);
    simulation.run_until(4.0, true).await;
    simulation.end_outage();
    simulation.run_until(6.0, true).await;
    // Credentials are refused. Meanwhile the webhook is down for a while, and the daemon restarts.
    simulation.pager.is_down.store(true, Ordering::Relaxed);
    simulation.start_outage(
        &[
            CallFilter::Only(Call::Query),
            CallFilter::Only(Call::Read),
            CallFilter::Only(Call::Count),
        ],
        401,
        None,
    );
    simulation.run_until(6.4, true).await;
    assert!(
        simulation
            .pager
            .notifications()
            .iter()
            .all(|said| said[3] != "parked")
    );
    simulation.stop().await;
    simulation.start().await;
    simulation.run_until(6.5, true).await;
    simulation.pager.is_down.store(false, Ordering::Relaxed);
    simulation.run_until(7.0, true).await;
    simulation.end_outage();
    simulation.run_until(9.0, true).await;
    // Web3MQ no longer responds.
    simulation.start_outage(&[CallFilter::Only(Call::History)], 200, Some(Fault::Hang));
    simulation.run_until(10.0, true).await;
    simulation.end_outage();
    simulation.run_until(12.0, true).await;
    simulation.archive.start_outage();
    simulation.run_until(12.5, true).await;
    simulation.archive.end_outage();
    simulation.run_until(13.95, true).await;
    // Nobody sends messages to the lobby.
    simulation.run_until(14.0, false).await;
    let fourteenth = memory();
    simulation.run_until(22.0, false).await;
    let twenty_second = memory();
    simulation.run_until(22.5, true).await;
    // A flapping problem is one alarm.
    for (at, is_down) in [
        (22.75, true),
        (22.78, false),
        (23.0, true),
        (23.03, false),
        (23.25, true),
    ] {
        if is_down {
            simulation.start_outage(
                &[CallFilter::Only(Call::Count), CallFilter::Only(Call::Query)],
                500,
                None,
            );
        } else {
            simulation.end_outage();
        }
        simulation.run_until(at, true).await;
    }
    simulation.end_outage();
    simulation.run_until(24.0, true).await;
    [second, fourteenth, twenty_second, memory()]
}

fn in_hours(at: Millis) -> f64 {
    (at.0 - BEGIN.0) as f64 / HOUR.as_millis() as f64
}

/// Panics unless the alarms are the expected ones, each notified once at its beginning and once at
/// its end.
fn assert_alarms_belong(simulation: &Simulation, stood: &[Alarm], outage: Expected) {
    let read = |alarm: &Alarm| {
        let subject = alarm.subject.clone();
        let whose = [subject.account, subject.stream].map(Option::unwrap_or_default);
        (
            whose,
            subject.kind.name(),
            in_hours(alarm.since),
            alarm.until.map(in_hours),
        )
    };
    for Alarm {
        subject,
        since,
        until,
        text,
        ..
    } in stood
    {
        eprintln!(
            "{:.3} to {:.3}: {subject:?}: {text}",
            in_hours(*since),
            until.map_or(f64::NAN, in_hours)
        );
    }
    let stood: Vec<_> = stood.iter().map(read).collect();
    for (account, stream, kind, since, until) in OUTAGES.into_iter().chain([outage]) {
        let within = |at: f64, [earliest, latest]: [f64; 2]| earliest <= at && at <= latest;
        let found = stood.iter().filter(|(whose, found, begun, over)| {
            *whose == [account, stream]
                && *found == kind
                && within(*begun, since)
                && over.is_some_and(|at| within(at, until))
        });
        assert_eq!(
            found.count(),
            1,
            "{account} {stream} {kind} from {since:?} to {until:?}"
        );
    }
    assert_eq!(stood.len(), OUTAGES.len() + 1);
    let told = stood.iter().flat_map(|([account, stream], kind, ..)| {
        ["begun", "over"].map(|event| {
            [
                event.to_owned(),
                account.clone(),
                stream.clone(),
                (*kind).to_owned(),
            ]
        })
    });
    let (mut told, mut said): (Vec<[String; 4]>, _) =
        (told.collect(), simulation.pager.notifications());
    told.sort();
    said.sort();
    assert_eq!(said, told);
}

async fn day(archive: EnduranceArchive, outage: Expected) {
    let mut simulation = {
        let _still = hold_clock();
        Simulation::new(archive).await
    };
    simulation.start().await;
    let memory = live_through(&mut simulation).await;
    let edge = simulation.clock.now().minus(Duration::from_mins(2));
    simulation.stop().await;
    eprintln!(
        "KiB of memory in the hours 2, 14, 22, 24: {:?}",
        memory.map(|bytes| bytes >> 10)
    );

    let _still = hold_clock();
    let store = simulation.archive.open().await;
    assert_alarms_belong(&simulation, &store.alarms(Millis(0)).await.unwrap(), outage);
    let entries = simulation.archive.entries().await;
    let least = 3 * (24 * 60 + 24 * 28) - 8 * 60 - 20;
    assert!(entries.len() > least, "{} rows", entries.len());
    truth::assert_rows_equal_truth(simulation.sandbox.world(), &[AGORA, WEB3MQ], entries, edge);
    let status = store.status().await.unwrap();
    assert_eq!(status.len(), 3);
    for stream in status {
        assert_eq!(
            (stream.lost_seconds, stream.suspect_rows),
            (0, 0),
            "{stream:#?}"
        );
        // The stream is complete, except for the minutes of the shutdown.
        let mark = stream.watermark.unwrap();
        assert!(mark >= edge.second().plus(-300), "complete up to {mark}");
    }
    assert!(
        memory[3] <= memory[0] + FLAT && memory[2] <= memory[1] + FLATTER,
        "{memory:?} bytes of memory"
    );
}

/// Runs the day with SIGXFSZ ignored, so that a write to the full disk fails with an error.
const ALONE: &str =
    r#"trap "" XFSZ; exec "$0" --exact --ignored --nocapture endurance::day_with_sqlite_archive"#;

#[test]
fn day_of_outages_loses_nothing_and_raises_expected_alarms() {
    let this = std::env::current_exe().unwrap();
    let output = Command::new("sh")
        .args(["-c", ALONE])
        .arg(this)
        .env("RUST_BACKTRACE", "0")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    eprintln!("{said}");
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}"
    );
}

#[test]
#[ignore = "the test above has it run in a process of its own"]
fn day_with_sqlite_archive() {
    paused_runtime().block_on(day(EnduranceArchive::file(), NO_ROOM));
}

#[test]
#[ignore = "to be run by itself on a machine that is not busy: connections to a server that take real time are late there"]
fn day_with_postgres_archive() {
    paused_runtime().block_on(day(EnduranceArchive::server(), NO_SERVER));
}
