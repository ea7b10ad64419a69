//! Writes `manifests/yaml/` from the typed objects.

use std::{error::Error, fs, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("yaml");
    fs::create_dir_all(&folder)?;
    for (name, content) in silica_manifests::generated()? {
        fs::write(folder.join(name), content)?;
    }
    Ok(())
}
