//! What is in a model's files decides whether they are there after a pull.

use modelctl::content::{ContentRules, Format, Gate};
use modelctl::error::Reason;
use modelctl::pack::{PackOptions, Plan};
use modelctl::unpack::PullOptions;

use crate::memory::Memory;
use crate::model::{files, safetensors, write};
use crate::pull::{layer, manifest, options, pull_unchecked, pushed};

/// What CPython pickles of a call of `os.system`.
const PICKLE: &[u8] = b"\x80\x02cposix\nsystem\nX\x02\x00\x00\x00id\x85R.";

fn with(content: Gate) -> PullOptions {
    PullOptions {
        content,
        ..options()
    }
}

#[tokio::test]
async fn a_refused_file_is_never_visible_and_its_twin_is() {
    let rules = ContentRules::without_code();
    let broken = [safetensors(10), b"x".to_vec()].concat();
    for (name, content, reason, allowing) in [
        (
            "m.bin",
            PICKLE.to_vec(),
            Reason::ContentFormatDenied,
            Some(Format::Pickle),
        ),
        (
            "m.txt",
            PICKLE.to_vec(),
            Reason::ContentFormatDenied,
            Some(Format::Pickle),
        ),
        (
            "m.py",
            b"import os".to_vec(),
            Reason::ContentFormatDenied,
            Some(Format::Python),
        ),
        ("m.safetensors", broken, Reason::HeaderInvalid, None),
        (
            "m.gguf",
            b"GGUF\x09\0\0\0".to_vec(),
            Reason::HeaderInvalid,
            None,
        ),
    ] {
        let (store, around) = (Memory::default(), tempfile::tempdir().unwrap());
        let target = around.path().join("model");
        let layers = vec![
            layer(&store, "config.json", b"{}"),
            layer(&store, name, &content),
        ];
        let artifact = store.artifact(manifest(layers)).await;
        let refuse = with(Gate::Refuse(rules.clone()));
        let error = pull_unchecked(&store, artifact.clone(), &target, &refuse).await;
        let error = error.unwrap_err();
        assert_eq!(error.reason(), reason, "{name}: {error}");
        assert!(error.message().contains(name), "{error}");
        assert_eq!(std::fs::read_dir(around.path()).unwrap().count(), 0);

        let twin = match allowing {
            Some(format) => Gate::Refuse(rules.clone().allow(format)),
            None => Gate::Open,
        };
        let pulled = pull_unchecked(&store, artifact, &target, &with(twin)).await;
        assert!(pulled.unwrap().content.is_empty());
        assert_eq!(std::fs::read(target.join(name)).unwrap(), content);
    }
}

#[tokio::test]
async fn a_warning_names_the_file_and_keeps_it() {
    let (store, around) = (Memory::default(), tempfile::tempdir().unwrap());
    let artifact = pushed(&store, &[("m.bin", PICKLE.to_vec())]).await;
    let target = around.path().join("model");
    let warn = with(Gate::Warn(ContentRules::without_code()));
    let pulled = pull_unchecked(&store, artifact, &target, &warn)
        .await
        .unwrap();
    let [objection] = &pulled.content[..] else {
        panic!("{:?}", pulled.content);
    };
    assert_eq!(objection.path.as_ref().unwrap().as_str(), "m.bin");
    assert!(objection.message.contains("posix.system"), "{objection:?}");
    assert!(target.join("m.bin").exists());
}

#[tokio::test]
async fn an_ordinary_model_passes_the_strictest_rules() {
    let (store, around) = (Memory::default(), tempfile::tempdir().unwrap());
    let artifact = pushed(&store, &files()).await;
    let target = around.path().join("model");
    let strict = with(Gate::Refuse(ContentRules::strict()));
    pull_unchecked(&store, artifact, &target, &strict)
        .await
        .unwrap();

    let odd = pushed(&store, &[("weights.bin", vec![0x9f; 100])]).await;
    let error = pull_unchecked(&store, odd, &around.path().join("odd"), &strict).await;
    assert_eq!(error.unwrap_err().reason(), Reason::ContentFormatDenied);
}

#[tokio::test]
async fn a_publisher_is_told_what_each_file_is() {
    let model = tempfile::tempdir().unwrap();
    let mut all = files();
    all.push(("old.bin", PICKLE.to_vec()));
    write(model.path(), &all);
    let plan = Plan::read(model.path(), &PackOptions::default())
        .await
        .unwrap();
    let found = plan.examine().await.unwrap();
    assert_eq!(found.len(), all.len());
    let objections = ContentRules::without_code().judge(&found);
    let told: Vec<_> = objections
        .iter()
        .map(|o| o.path.as_ref().unwrap().as_str())
        .collect();
    assert_eq!(told, ["old.bin"]);
}
