#![no_main]

use std::path::Path;

use backscroll::config::{Config, UsedSecrets};

libfuzzer_sys::fuzz_target!(|text: &str| {
    // The target reads no files and no variables that a text may name.
    if text.contains("file") || text.contains("env") || text.contains("credential") {
        return;
    }
    match Config::parse(text, Path::new("config.toml"), UsedSecrets::None) {
        Ok(config) => assert!(!config.agora.is_empty() || !config.web3mq.is_empty()),
        Err(error) => assert!(error.to_string().contains("config.toml")),
    }
});
