//! How much of the page cache a pull may take.

use std::path::Path;

use super::Io;

impl Io {
    /// Returns how to write so many bytes on this machine as it is now.
    ///
    /// Through the page cache if they take no more than half of the memory that is available: then
    /// whoever loads the model finds it there. Otherwise past it: the beginning would be dropped
    /// before anybody reads it, and with it what other programs have cached; and in a container the
    /// page cache counts as the container's memory.
    pub fn suiting(bytes: u64) -> Self {
        choose(bytes, available())
    }
}

fn choose(bytes: u64, available: Option<u64>) -> Io {
    match available {
        Some(available) if bytes > available / 2 => Io::Direct,
        _ => Io::Buffered,
    }
}

/// Returns how much memory can be had without pushing anything out, if the system says so.
fn available() -> Option<u64> {
    let machine = std::fs::read_to_string("/proc/meminfo").ok();
    let machine = machine.and_then(|text| machine_available(&text));
    let group = std::fs::read_to_string("/proc/self/cgroup").ok();
    let group = group.and_then(|text| group_limit(&text));
    machine.into_iter().chain(group).min()
}

/// Reads the line `MemAvailable: 24105000 kB` of `/proc/meminfo`.
fn machine_available(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|l| l.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// Returns the memory limit of the control group that `/proc/self/cgroup` names with `0::PATH`; a
/// container sees its own as `/`.
fn group_limit(text: &str) -> Option<u64> {
    let path = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let file = Path::new("/sys/fs/cgroup").join(path).join("memory.max");
    std::fs::read_to_string(file).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_twice_goes_through_the_cache() {
        assert_eq!(choose(50, Some(100)), Io::Buffered);
        assert_eq!(choose(51, Some(100)), Io::Direct);
        assert_eq!(choose(u64::MAX, None), Io::Buffered);
    }

    #[test]
    fn reads_what_the_kernel_says() {
        let text = "MemTotal:       24683972 kB\nMemAvailable:   24170 kB\n";
        assert_eq!(machine_available(text), Some(24_170 << 10));
        assert_eq!(machine_available("MemTotal: 5 kB\n"), None);
        assert_eq!(group_limit("1:name=systemd:/x\n"), None);
    }
}
