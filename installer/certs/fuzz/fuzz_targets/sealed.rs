#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| silica_certs_fuzz::sealed(data));
