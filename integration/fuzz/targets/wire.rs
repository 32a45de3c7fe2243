//! Every parser of the wire.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| zoonet_fuzz::wire::check(data));
