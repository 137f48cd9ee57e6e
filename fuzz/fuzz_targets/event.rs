#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| ai_engine_fuzz::event::holds(input));
