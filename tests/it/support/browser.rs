//! A headless browser, controlled through a pipe with the `DevTools` protocol. Scripts are
//! disabled.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

/// Chromium with one page. It is killed when the test ends.
pub(crate) struct Browser {
    process: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
    sent: u64,
    page: String,
    /// Events that were received while waiting for a response.
    events: VecDeque<Value>,
    _profile: TempDir,
}

/// The result of opening an address.
#[derive(Debug)]
pub(crate) struct PageVisit {
    /// The browser's errors: blocked by policy, not found, failed.
    pub(crate) errors: Vec<String>,
    /// Address and status of every request.
    pub(crate) responses: Vec<(String, i64)>,
    /// The widths of the page and of its visible part, in CSS pixels.
    pub(crate) width: f64,
    pub(crate) view: f64,
}

impl Browser {
    pub(crate) fn start() -> Self {
        let profile = TempDir::new().unwrap();
        // The browser reads commands from file descriptor 3 and writes to 4.
        let script = "exec chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run \
                      --remote-debugging-pipe --user-data-dir=\"$0\" 3<&0 4>&1 </dev/null >/dev/null 2>&1";
        let mut command = Command::new("sh");
        command
            .args(["-c", script])
            .arg(profile.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let (commands, answers) = (
            process.stdin.take().unwrap(),
            BufReader::new(process.stdout.take().unwrap()),
        );
        let (page, events) = (String::new(), VecDeque::new());
        let mut browser = Self {
            process,
            commands,
            answers,
            sent: 0,
            page,
            events,
            _profile: profile,
        };
        let target = browser.send_command("Target.createTarget", &json!({ "url": "about:blank" }));
        let attached = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = browser.send_command("Target.attachToTarget", &attached);
        browser
            .page
            .push_str(attached["sessionId"].as_str().unwrap());
        for domain in ["Page", "Log", "Runtime", "Network", "DOM"] {
            browser.send_command(&format!("{domain}.enable"), &json!({}));
        }
        browser.send_command(
            "Emulation.setScriptExecutionDisabled",
            &json!({ "value": true }),
        );
        browser
    }

    /// Sets the width of the screen and the colour scheme, `light` or `dark`.
    pub(crate) fn set_screen(&mut self, width: u32, scheme: &str) {
        let metrics =
            json!({ "width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500 });
        self.send_command("Emulation.setDeviceMetricsOverride", &metrics);
        let scheme = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.send_command("Emulation.setEmulatedMedia", &scheme);
    }

    /// Opens an address.
    pub(crate) fn open(&mut self, url: &str) -> PageVisit {
        self.events.clear();
        self.send_command("Page.navigate", &json!({ "url": url }));
        self.wait_for_load()
    }

    /// Types a text into the field that a selector finds and presses Enter.
    pub(crate) fn submit_text(&mut self, selector: &str, text: &str) -> PageVisit {
        self.events.clear();
        let field = self.find_nodes(selector)[0];
        self.send_command("DOM.focus", &json!({ "nodeId": field }));
        self.send_command("Input.insertText", &json!({ "text": text }));
        let enter = |kind: &str| json!({ "type": kind, "key": "Enter", "windowsVirtualKeyCode": 13, "text": "\r" });
        self.send_command("Input.dispatchKeyEvent", &enter("keyDown"));
        self.send_command("Input.dispatchKeyEvent", &enter("keyUp"));
        self.wait_for_load()
    }

    /// The number of elements that a selector finds.
    pub(crate) fn count(&mut self, selector: &str) -> usize {
        self.find_nodes(selector).len()
    }

    fn find_nodes(&mut self, selector: &str) -> Vec<i64> {
        let root =
            self.send_command("DOM.getDocument", &json!({ "depth": 0 }))["root"]["nodeId"].clone();
        let found = self.send_command(
            "DOM.querySelectorAll",
            &json!({ "nodeId": root, "selector": selector }),
        );
        found["nodeIds"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_i64)
            .collect()
    }

    /// Waits until the page and its resources are loaded.
    fn wait_for_load(&mut self) -> PageVisit {
        let is_there = |event: &Value| event["method"] == "Page.loadEventFired";
        while !self.events.iter().any(is_there) {
            let event = self.read_message();
            self.events.push_back(event);
        }
        let metrics = self.send_command("Page.getLayoutMetrics", &json!({}));
        let (mut complaints, mut request) = (vec![], vec![]);
        for event in std::mem::take(&mut self.events) {
            let params = &event["params"];
            match event["method"].as_str() {
                Some(
                    "Log.entryAdded"
                    | "Runtime.consoleAPICalled"
                    | "Runtime.exceptionThrown"
                    | "Network.loadingFailed",
                ) => {
                    complaints.push(params.to_string());
                }
                Some("Network.responseReceived") => {
                    let response = &params["response"];
                    request.push((
                        response["url"].as_str().unwrap().to_owned(),
                        response["status"].as_i64().unwrap(),
                    ));
                }
                _ => {}
            }
        }
        let length = |of: &str, side: &str| metrics[of][side].as_f64().unwrap();
        let (width, view) = (
            length("cssContentSize", "width"),
            length("cssLayoutViewport", "clientWidth"),
        );
        PageVisit {
            errors: complaints,
            responses: request,
            width,
            view,
        }
    }

    #[track_caller]
    fn send_command(&mut self, method: &str, params: &Value) -> Value {
        self.sent += 1;
        let mut command = json!({ "id": self.sent, "method": method, "params": params });
        if !self.page.is_empty() {
            command["sessionId"] = json!(self.page);
        }
        let mut bytes = command.to_string().into_bytes();
        bytes.push(0);
        self.commands
            .write_all(&bytes)
            .expect("chromium is there: tests/run installs it");
        loop {
            let answer = self.read_message();
            if answer["id"] == self.sent {
                assert!(answer.get("error").is_none(), "{method}: {answer}");
                return answer["result"].clone();
            }
            self.events.push_back(answer);
        }
    }

    #[track_caller]
    fn read_message(&mut self) -> Value {
        let mut bytes = Vec::new();
        self.answers.read_until(0, &mut bytes).unwrap();
        assert_eq!(
            bytes.pop(),
            Some(0),
            "chromium has ended or is not installed: tests/run installs it"
        );
        serde_json::from_slice(&bytes).unwrap()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
