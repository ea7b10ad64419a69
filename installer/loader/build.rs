//! Links the C library's start code, which the standard library asks for elsewhere.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var_os("CARGO_FEATURE_FREESTANDING").is_some() {
        for argument in ["-Wl,-Bstatic", "-lc", "-lgcc", "-lgcc_eh", "-lc"] {
            println!("cargo::rustc-link-arg-bins={argument}");
        }
    }
}
