//! Model signatures: modelctl and the OpenSSF's `model_signing` accept each other's.

use std::fs;
use std::path::Path;

use crate::keys;
use crate::lab::Lab;

/// Models to sign: what is in them besides a `config.json`.
const TREES: [(&str, &[&str]); 5] = [
    ("small", &[]),
    (
        "nested",
        &["a/b/c/d/weights.bin", "a/b/weights.bin", "a/weights.bin"],
    ),
    // One name is another's beginning: the two tools order these differently.
    (
        "prefixes",
        &[
            "onnx/model.bin",
            "onnx-fp16/model.bin",
            "onnx.txt",
            "checkpoint-10/x",
            "checkpoint/x",
        ],
    ),
    (
        "unicode",
        &[
            "模型.bin",
            "naïve/été.txt",
            "emoji 🤗/x",
            "with space (copy).bin",
        ],
    ),
    (
        "hidden",
        &[".cache/weights.bin", ".env.example", "sub/.gitignore"],
    ),
];

/// Writes a model with these files; each says its own name.
fn write_tree(directory: &Path, files: &[&str]) {
    fs::create_dir_all(directory).unwrap();
    for name in [&["config.json", "empty"], files].concat() {
        let path = directory.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let content = if name == "empty" { "" } else { name };
        fs::write(path, content).unwrap();
    }
}

pub(crate) fn write_trees(lab: &Lab) -> Vec<&'static str> {
    for (name, files) in TREES {
        write_tree(&lab.path(name), files);
    }
    let many: Vec<String> = (0..2000)
        .map(|number| format!("{}/{number}", number % 7))
        .collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    write_tree(&lab.path("many"), &many);
    TREES
        .iter()
        .map(|(name, _)| *name)
        .chain(["many"])
        .collect()
}

#[test]
fn each_verifies_what_the_other_signed_and_refuses_what_was_changed() {
    let Some(lab) = Lab::with(["model_signing"]) else {
        return;
    };
    keys::write_pair(&lab, "signer");
    keys::write_pair(&lab, "other");
    for name in write_trees(&lab) {
        lab.run(format!("modelctl sign ./{name} --key signer.key"))
            .succeeds();
        lab.run(format!(
            "model_signing sign key --private_key signer.key --signature {name}.sig \
             --ignore-paths {name}/model.sig {name}"
        ))
        .succeeds();
        let theirs = |key: &str| {
            lab.run(format!(
                "model_signing verify key --public_key {key}.pub --signature {name}/model.sig {name}"
            ))
        };
        let ours = |key: &str| {
            lab.run(format!(
                "modelctl verify ./{name} --key {key}.pub --signature {name}.sig"
            ))
        };
        theirs("signer").succeeds();
        theirs("other").fails();
        ours("signer").succeeds();
        ours("other").refuses(3, "untrusted-signer");
        lab.write(&format!("{name}/evil.py"), "");
        theirs("signer").fails();
        ours("signer").refuses(3, "files-mismatch");
        fs::remove_file(lab.path(&format!("{name}/evil.py"))).unwrap();
        lab.write(&format!("{name}/config.json"), "{}");
        theirs("signer").fails();
        ours("signer").refuses(3, "files-mismatch");
    }
}

#[test]
fn a_push_makes_a_signature_that_model_signing_verifies_on_what_was_pulled() {
    let Some(lab) = Lab::with(["model_signing", "cosign"]) else {
        return;
    };
    keys::write_pair(&lab, "signer");
    lab.write("model/.gitattributes", "*.bin filter=lfs");
    for (number, registry) in lab.registries().into_iter().enumerate() {
        let reference = registry.reference("acme/oms:v1");
        let pinned = lab.push(&reference, "--sign --key signer.key");
        lab.run(format!(
            "cosign verify --key signer.pub --insecure-ignore-tlog {pinned}"
        ))
        .succeeds();
        let out = format!("out{number}");
        lab.run(format!(
            "modelctl pull {reference} {out} --verify --key signer.pub --require oms \
             --signature-out {out}.sig"
        ))
        .succeeds();
        for signature in [format!("{out}.sig"), format!("{out}/.modelctl/model.sig")] {
            let verify = format!(
                "model_signing verify key --public_key signer.pub --signature {signature} {out}"
            );
            lab.run(verify).succeeds();
        }
        lab.write(&format!("{out}/README.md"), "another");
        lab.run(format!(
            "model_signing verify key --public_key signer.pub --signature {out}.sig {out}"
        ))
        .fails();
    }
}

#[test]
fn a_signature_by_model_signing_is_demanded_at_a_push_and_travels() {
    let Some(lab) = Lab::with(["model_signing"]) else {
        return;
    };
    keys::write_pair(&lab, "publisher");
    let push = "modelctl push oci:./store:v1 ./model --require-signature --key publisher.pub";
    lab.run(push).refuses(3, "signature-missing");
    lab.run("model_signing sign key --private_key publisher.key --signature model/model.sig model")
        .succeeds();
    lab.run(push).succeeds();
    lab.run("modelctl pull oci:./store:v1 out").succeeds();
    // What a pull adds is no part of what was signed.
    lab.run(
        "model_signing verify key --public_key publisher.pub --signature out/model.sig \
         --ignore-paths out/.modelctl out",
    )
    .succeeds();
    lab.run("modelctl verify ./out --key publisher.pub --signature out/model.sig")
        .succeeds();
    lab.write("model/README.md", "another");
    lab.run(push).refuses(3, "subject-mismatch");
}
