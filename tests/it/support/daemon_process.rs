//! The command as a child process, usually the daemon.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::config::EVERY_SECOND_SCHEDULE;
use crate::support::env::{BACKSCROLL, TestEnv, wait_until};

/// The longest acceptable shutdown, on a machine that is busy with tests.
const MAX_SHUTDOWN: Duration = Duration::from_secs(9);

/// The command under test, usually `run`. It is killed when the test ends.
pub(crate) struct DaemonProcess(pub(crate) Child);

impl DaemonProcess {
    /// Starts the daemon.
    pub(crate) fn start(env: &TestEnv) -> Self {
        Self::start_with_args(env, &["run"])
    }

    /// Starts the command with these arguments and the configuration.
    pub(crate) fn start_with_args(env: &TestEnv, args: &[&str]) -> Self {
        Self::spawn(env, args, &[])
    }

    /// Starts the daemon with additional environment variables.
    pub(crate) fn start_with_env(env: &TestEnv, variables: &[(&str, &str)]) -> Self {
        Self::spawn(env, &["run"], variables)
    }

    fn spawn(env: &TestEnv, args: &[&str], variables: &[(&str, &str)]) -> Self {
        let command = Command::new(BACKSCROLL)
            .envs(variables.iter().copied())
            .args(args)
            .arg("--config")
            .arg(env.write_config())
            .current_dir(env.dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        Self(command.unwrap())
    }

    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([name, &self.0.id().to_string()])
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// Kills the process and waits for its end.
    pub(crate) fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// Waits for the end of the process and returns its exit code and standard error.
    #[track_caller]
    pub(crate) fn wait_for_exit(&mut self) -> (Option<i32>, String) {
        let begun = Instant::now();
        let mut status = None;
        wait_until("the end of the process", || {
            status = self.0.try_wait().unwrap();
            status.is_some()
        });
        assert!(
            begun.elapsed() < MAX_SHUTDOWN,
            "shutdown took {:?}",
            begun.elapsed()
        );
        let mut said = String::new();
        self.0
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut said)
            .unwrap();
        (status.unwrap().code(), said)
    }
}

impl Drop for DaemonProcess {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn env_syncing_every_second(flags: &[&str]) -> TestEnv {
    TestEnv::new(flags).with_schedule("sync", EVERY_SECOND_SCHEDULE)
}

/// True if the archive's tables exist.
pub(crate) fn archive_is_ready(env: &TestEnv) -> bool {
    env.archive_path().exists()
        && env.query_number("SELECT count(*) FROM sqlite_schema WHERE name = 'runs'") == 1
}
