//! What servers may send.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| zoonet_fuzz::server::check(data));
