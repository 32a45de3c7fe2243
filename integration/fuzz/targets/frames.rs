//! Frames in a stream.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| zoonet_fuzz::frames::check(data));
