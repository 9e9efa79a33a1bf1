//! The GPUs and their driver: as `nvidia-smi` sees them, else as the kernel's files list them.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;

use crate::provenance::collect::program;
use crate::provenance::run::Accelerator;

/// What `nvidia-smi` is asked for. It shows what the job may use; the kernel shows all.
const QUERY: [&str; 2] = ["--query-gpu=name,driver_version", "--format=csv,noheader"];

pub(super) async fn facts(root: &Path, search_path: Option<&OsStr>) -> Vec<Accelerator> {
    match program::text("nvidia-smi", &QUERY, search_path).await {
        Some(table) => parse(&table),
        None => kernel(root),
    }
}

fn parse(table: &str) -> Vec<Accelerator> {
    let rows = table.lines().filter_map(|line| {
        let (name, driver) = line.rsplit_once(',')?;
        Some((name.trim().to_owned(), Some(driver.trim().to_owned())))
    });
    counted(rows)
}

fn counted(rows: impl Iterator<Item = (String, Option<String>)>) -> Vec<Accelerator> {
    let mut counts = BTreeMap::new();
    for row in rows.filter(|(name, _)| !name.is_empty()) {
        *counts.entry(row).or_insert(0) += 1;
    }
    let counts = counts.into_iter();
    counts
        .map(|((name, driver), count)| Accelerator {
            name,
            count,
            driver,
        })
        .collect()
}

fn kernel(root: &Path) -> Vec<Accelerator> {
    let nvidia = root.join("proc/driver/nvidia");
    let version = std::fs::read_to_string(nvidia.join("version")).unwrap_or_default();
    let is_version =
        |word: &&str| word.contains('.') && word.starts_with(|c: char| c.is_ascii_digit());
    let driver = version
        .split_whitespace()
        .find(is_version)
        .map(str::to_owned);
    let Ok(entries) = std::fs::read_dir(nvidia.join("gpus")) else {
        return Vec::new();
    };
    let names = entries.filter_map(|entry| {
        let text = std::fs::read_to_string(entry.ok()?.path().join("information")).ok()?;
        let name = text.lines().find_map(|line| line.strip_prefix("Model:"))?;
        Some((name.trim().to_owned(), driver.clone()))
    });
    counted(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_gpus_are_counted() {
        let found = parse("NVIDIA A100, 550.54.15\nNVIDIA A100, 550.54.15\nNVIDIA T4, 550.54.15\n");
        let told: Vec<_> = found
            .iter()
            .map(|gpu| (gpu.name.as_str(), gpu.count))
            .collect();
        assert_eq!(told, [("NVIDIA A100", 2), ("NVIDIA T4", 1)]);
        assert_eq!(found[0].driver.as_deref(), Some("550.54.15"));
        assert_eq!(parse("No devices were found\n"), []);
    }

    #[tokio::test]
    async fn without_the_program_the_kernel_is_read() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(facts(root.path(), None).await, []);
        let nvidia = root.path().join("proc/driver/nvidia");
        std::fs::create_dir_all(nvidia.join("gpus/0000:01:00.0")).unwrap();
        let version = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar\n";
        std::fs::write(nvidia.join("version"), version).unwrap();
        let information = "Model: \t\t NVIDIA H100\nIRQ: 1\n";
        std::fs::write(nvidia.join("gpus/0000:01:00.0/information"), information).unwrap();
        let found = facts(root.path(), None).await;
        assert_eq!(found[0].name, "NVIDIA H100");
        assert_eq!(found[0].driver.as_deref(), Some("550.54.15"));
    }
}
