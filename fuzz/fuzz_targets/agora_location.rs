#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| backscroll::provider::agora::fuzzing::location(text));
