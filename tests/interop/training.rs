//! A real model, trained a little further: its provenance made, pushed, judged by cosign, pulled and
//! explained.

use std::fs;
use std::path::Path;

use crate::keys;
use crate::lab::{Lab, assert_same_files};
use crate::peers;

/// The toy step: it moves the last weights a little, as training would, and writes the run down with
/// the helper that stands in `examples/`.
const TRAIN: &str = r#"
import json, pathlib, struct, sys
import modelctl_run

weights = pathlib.Path("tuned/model.safetensors")
rate, base = float(sys.argv[1]), sys.argv[2]
with modelctl_run.Run("run.toml", type="fine-tune", data=["reviews"],
                      base=[{"reference": base, "key": "maker.pub"}],
                      parameters={"learning_rate": rate, "epochs": 1}) as run:
    content = bytearray(weights.read_bytes())
    for at in range(len(content) - 4096, len(content), 4):
        value, = struct.unpack_from("<f", content, at)
        struct.pack_into("<f", content, at, value + rate)
    weights.write_bytes(content)
    run.evaluate("toy", {"loss": 0.25}, maximum={"loss": 0.5}, dataset="reviews")
"#;

/// Copies the files of `from` into the new directory `to`.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn a_real_model_is_tuned_pushed_judged_by_cosign_pulled_and_explained() {
    let Some(lab) = Lab::with(["cosign", "python3"]) else {
        return;
    };
    let Some(real) = peers::model() else { return };
    copy(&real, &lab.path("tuned"));
    fs::create_dir(lab.path("reviews")).unwrap();
    lab.write("reviews/one.txt", "it was good\n");
    let helper = include_str!("../../examples/modelctl_run.py");
    lab.write("modelctl_run.py", helper);
    lab.write("train.py", TRAIN);
    keys::write_pair(&lab, "maker");
    keys::write_pair(&lab, "tuner");
    for registry in lab.registries() {
        let base = registry.reference("acme/base:v1");
        let from = real.display();
        lab.run(format!(
            "modelctl push {base} {from} --sign --key maker.key"
        ))
        .succeeds();
        lab.run(format!("python3 train.py 0.001 {base}")).succeeds();
        let tuned = registry.reference("acme/tuned:v1");
        let pushed = lab
            .run(format!(
                "modelctl push {tuned} ./tuned --sign --key tuner.key --training-run run.toml \
                 --ml-bom cyclonedx"
            ))
            .succeeds();
        let digest = pushed.stdout.trim().split_once('@').unwrap().1.to_owned();
        let pinned = format!("{}@{digest}", registry.reference("acme/tuned"));

        let trust = "--key tuner.pub --insecure-ignore-tlog";
        lab.run(format!("cosign verify {trust} {pinned}"))
            .succeeds();
        for predicate_type in [
            "slsaprovenance1",
            "cyclonedx",
            "https://in-toto.io/attestation/test-result/v0.1",
        ] {
            let verify = format!("cosign verify-attestation {trust} --type {predicate_type}");
            lab.run(format!("{verify} {pinned}")).succeeds();
        }
        let stranger = "--key maker.pub --insecure-ignore-tlog --type slsaprovenance1";
        lab.run(format!("cosign verify-attestation {stranger} {pinned}"))
            .fails();

        let pull = format!("modelctl pull {tuned} ./pulled --force --verify --key tuner.pub");
        lab.run(pull).succeeds();
        assert_same_files(&lab.path("tuned"), &lab.path("pulled"));
        let explained = lab
            .run(format!(
                "modelctl inspect {tuned} --provenance --key tuner.pub"
            ))
            .succeeds()
            .stdout;
        for told in [
            digest.as_str(),
            "acme/base:v1@sha256:",
            "PASSED toy/loss 0.25",
            "python",
        ] {
            assert!(explained.contains(told), "{told}:\n{explained}");
        }
        assert!(!explained.contains("not verified"), "{explained}");
    }
}
