#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ractor_webrtc::fuzzing::run("pictures", data));
