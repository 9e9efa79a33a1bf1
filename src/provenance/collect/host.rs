//! The class of machine: what kind it is, never which one.

use std::path::Path;

/// Returns the machine's product name, which clouds set to the instance's type or their own name,
/// its architecture and number of cores.
pub(super) fn class(root: &Path) -> Option<String> {
    let product = std::fs::read_to_string(root.join("sys/class/dmi/id/product_name")).ok();
    let product = product.as_deref().map(str::trim).filter(|name| {
        !name.is_empty() && name.len() <= 100 && name.bytes().all(|b| (b' '..=b'~').contains(&b))
    });
    let cores = std::thread::available_parallelism().ok()?;
    let plain = format!("{}, {cores} cores", std::env::consts::ARCH);
    Some(match product {
        Some(product) => format!("{product}, {plain}"),
        None => plain,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_the_kind_of_machine_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let plain = class(root.path()).unwrap();
        assert!(plain.starts_with(std::env::consts::ARCH), "{plain}");
        let dmi = root.path().join("sys/class/dmi/id");
        std::fs::create_dir_all(&dmi).unwrap();
        std::fs::write(dmi.join("product_name"), "p5.48xlarge\n").unwrap();
        std::fs::write(dmi.join("product_serial"), "s3rial\n").unwrap();
        assert_eq!(class(root.path()).unwrap(), format!("p5.48xlarge, {plain}"));
    }
}
