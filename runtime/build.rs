//! Compiles the protobuf definitions without needing `protoc` on the machine.

use std::error::Error;
use std::path::PathBuf;

const FILES: [&str; 2] = ["process/process.proto", "filesystem/filesystem.proto"];
const INCLUDE: &str = "proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={INCLUDE}");
    let descriptors = PathBuf::from(std::env::var("OUT_DIR")?).join("descriptors.binpb");
    let mut compiler = protox::Compiler::new([INCLUDE])?;
    compiler
        .include_imports(true)
        .include_source_info(true)
        .open_files(FILES)?;
    std::fs::write(&descriptors, compiler.encode_file_descriptor_set())?;

    connectrpc_build::Config::new()
        .descriptor_set(&descriptors)
        .files(&FILES)
        .emit_rerun_directives(false)
        .include_file("_connectrpc.rs")
        .compile()?;
    Ok(())
}
