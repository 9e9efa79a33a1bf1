//! Size: a real model, and a generated one that is far larger than the memory it may take.

use std::path::Path;

use crate::lab::{Lab, assert_same_files};
use crate::registry::Registry;
use crate::{keys, model, peers};

/// What a push or a pull may take at its peak, in KiB, whatever the model's size, beyond what the
/// command takes without moving any: its code, unoptimised, is half of what it is seen to take.
const PEAK: u64 = 40 << 10;

/// Runs the command that follows a file name, and writes its peak memory in KiB into that file.
const MEASURE: &str = "\
import os, sys
child = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(child, 0)
open(sys.argv[1], 'w').write(str(usage.ru_maxrss))
sys.exit(os.waitstatus_to_exitcode(status))
";

#[test]
fn the_real_model_comes_back_as_it_went() {
    let Some(lab) = Lab::with(["oras"]) else {
        return;
    };
    let Some(real) = peers::model() else { return };
    keys::write_pair(&lab, "release");
    for (round, registry) in lab.registries().iter().enumerate() {
        let name = registry.reference("acme/minilm:v1");
        let real = real.display();
        lab.run(format!(
            "modelctl push {name} {real} --sign --key release.key"
        ))
        .succeeds();
        lab.run(format!(
            "modelctl pull {name} pulled-{round} --verify --key release.pub"
        ))
        .succeeds();
        lab.run(format!("oras pull --plain-http -o by-oras-{round} {name}"))
            .succeeds();
        for copy in ["pulled", "by-oras"] {
            assert_same_files(
                Path::new(&real.to_string()),
                &lab.path(&format!("{copy}-{round}")),
            );
        }
    }
}

#[test]
fn a_large_model_takes_no_more_memory_than_a_small_one() {
    let gigabytes = match std::env::var("MODELCTL_BIG").as_deref() {
        Ok("0") => return peers::skip("the large model, as MODELCTL_BIG=0 asks"),
        Ok(number) => number.parse().expect("MODELCTL_BIG is a number of GiB"),
        Err(_) => 4,
    };
    let Some(lab) = Lab::with(["python3"]) else {
        return;
    };
    let Some(registry) = Registry::open() else {
        return;
    };
    keys::write_pair(&lab, "release");
    lab.write("measure.py", MEASURE);
    model::write_large(&lab.path("large"), gigabytes << 30);
    let name = registry.reference("acme/large:v1");

    let eight = "--concurrency 8";
    let push = peak(
        &lab,
        &format!("push {name} ./large --sign --key release.key {eight}"),
    );
    let pull = peak(
        &lab,
        &format!("pull {name} ./pulled --verify --key release.pub {eight}"),
    );
    assert_same_files(&lab.path("large"), &lab.path("pulled"));
    let still = peak(&lab, &format!("verify {name} --key release.pub --no-cache"));
    peers::say(&format!(
        "{gigabytes} GiB: push peaks at {push} KiB, pull at {pull} KiB, and verify at {still} KiB"
    ));
    for (command, peak) in [("push", push), ("pull", pull)] {
        let more = peak.saturating_sub(still);
        assert!(more <= PEAK, "{command} took {more} KiB more than verify");
    }
}

/// Runs modelctl and returns its peak memory in KiB.
fn peak(lab: &Lab, arguments: &str) -> u64 {
    let binary = lab.binary("modelctl");
    lab.run(format!(
        "python3 measure.py peak {} {arguments}",
        binary.display()
    ))
    .succeeds();
    std::fs::read_to_string(lab.path("peak"))
        .unwrap()
        .parse()
        .unwrap()
}
