//! Configuration files.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| zoonet_fuzz::config::check(data));
