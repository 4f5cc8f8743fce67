//! Commands at a terminal: interrupts, tables, and output that cannot be written.

use std::fs::File;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use backscroll::sandbox::{CallFilter, Fault, ScriptedAnswer};

use crate::support::config::{AGORA, to};
use crate::support::daemon_process::{DaemonProcess, env_syncing_every_second};
use crate::support::env::{BACKSCROLL, TestEnv, command_in, output_of, wait_until};

const FEW: [&str; 5] = ["--messages", "60", "--topic-messages", "40", "--plain"];

/// An environment in which every request hangs.
fn hanging_env() -> TestEnv {
    let env = TestEnv::new(&FEW).with_only(AGORA);
    env.script_answer(ScriptedAnswer {
        on: CallFilter::Any,
        fault: Some(Fault::Hang),
        times: 1_000_000,
        ..ScriptedAnswer::default()
    });
    env
}

#[test]
fn interrupted_sync_says_so_and_ends_within_a_second() {
    let env = hanging_env();
    let mut child = Command::new(BACKSCROLL)
        .args(["sync", "--config"])
        .arg(env.write_config())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_until("a request", || env.sandbox.rules().total.requests() > 0);
    let begun = Instant::now();
    let id = child.id().to_string();
    Command::new("kill").args(["-INT", &id]).status().unwrap();
    wait_until("the end of the process", || {
        child.try_wait().unwrap().is_some()
    });
    let took = begun.elapsed();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.contains("interrupted: "), "{printed}");
    // A second, and as much again for a machine that is busy with tests.
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[test]
fn two_signals_at_once_are_one_request() {
    let mut env = env_syncing_every_second(&FEW);
    env.config_mut().keep_provider(AGORA);
    for (first, second) in [("-TERM", "-TERM"), ("-TERM", "-INT")] {
        let before = env.sandbox.rules().total.requests();
        let mut daemon = DaemonProcess::start(&env);
        wait_until("a pass", || env.sandbox.rules().total.requests() > before);
        let id = daemon.0.id();
        let both = format!("kill {first} {id}; kill {second} {id}");
        Command::new("sh").args(["-c", &both]).status().unwrap();
        let (code, said) = daemon.wait_for_exit();
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("stopped"), "{said}");
    }
}

#[test]
fn output_to_a_full_disk_is_an_error_and_a_closed_pipe_is_none() {
    let env = TestEnv::new(&FEW);
    env.sync().assert_ok();
    for args in [
        &["status"][..],
        &["status", "--json"],
        &["plan"],
        &["verify"],
        &["man"],
        &["completions", "bash"],
    ] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let output = Command::new(BACKSCROLL)
            .args(args)
            .current_dir(env.dir.path())
            .stdout(full)
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {said}");
        assert!(
            said.contains("standard output cannot be written"),
            "{args:?}: {said}"
        );
        let mut closed = Command::new(BACKSCROLL)
            .args(args)
            .current_dir(env.dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(closed.stdout.take());
        let output = closed.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{args:?}: {output:?}");
    }
}

#[test]
fn tables_fit_the_terminal_and_have_no_trailing_blanks() {
    let name = "group:dc6dfb6cb100c52499319e79de0429ddf90fb4db-the-longest-name-there-is-here";
    let env = TestEnv::new(&FEW)
        .with_only(AGORA)
        .with_agora_streams(&[to("lobby"), to(name)]);
    env.sync().assert_ok();
    let table = |args: &[&str], columns: Option<&str>| {
        let mut command = command_in(env.dir.path(), args);
        if let Some(columns) = columns {
            command.env("COLUMNS", columns);
        }
        let printed = output_of(&mut command).assert_ok().stdout;
        assert!(
            printed.lines().all(|line| line.trim_end() == line),
            "{printed}"
        );
        printed
    };
    for args in [&["status"][..], &["plan"], &["sync"]] {
        let rows = |text: &str| -> Vec<String> {
            let rows = text.lines().take_while(|line| !line.is_empty());
            rows.map(str::to_owned).collect()
        };
        let narrow = table(args, Some("110"));
        assert!(
            rows(&narrow).iter().all(|row| row.chars().count() <= 110),
            "{narrow}"
        );
        // A pipe or a file gets the whole names.
        table(args, None);
    }
    assert!(table(&["status"], None).contains(name));
    assert!(table(&["status"], Some("110")).contains('…'));
}

#[test]
fn global_options_stand_last_under_their_heading() {
    let env = TestEnv::new(&FEW);
    for args in [&["--help"][..], &["sync", "--help"], &["status", "--help"]] {
        let help = env.run(args).assert_ok().stdout;
        let (own, global) = help.split_once("Global options:").expect(&help);
        for option in ["--config <FILE>", "--log <LEVELS>", "--log-format <FORMAT>"] {
            assert!(global.contains(option) && !own.contains(option), "{help}");
        }
        assert!(global.contains("/etc/backscroll/config.toml"), "{help}");
    }
}
