#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| backscroll::provider::agora::fuzzing::answer(body));
