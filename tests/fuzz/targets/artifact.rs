//! Documents of registries and layouts.

use modelctl::fuzzing;
use modelctl::manifest::{Document, Manifest, media_type};
use modelctl::model::{self, ModelConfig};

use super::Target;

pub(super) const MANIFEST: Target = Target::new("manifest", |bytes| {
    for kind in [media_type::MANIFEST, media_type::DOCKER_MANIFEST] {
        let Ok(document) = Document::parse(bytes, kind, "it") else {
            continue;
        };
        document.children();
        let manifest = document.into_manifest("it").expect("it was one");
        check_files(&manifest);
        let written = manifest.to_bytes().expect("it was read");
        let again = Document::parse(&written, kind, "it").expect("it was written");
        assert_eq!(again, Document::Manifest(manifest));
    }
})
.fixtures(&[
    "cosign/referrers-api/sign.manifest.json",
    "cosign/fallback-tag/attest.manifest.json",
    "cosign/legacy/sig.manifest.json",
    "cosign/legacy/att.manifest.json",
])
.seeds(&[MODEL.as_bytes(), ORAS.as_bytes()]);

const MODEL: &str = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","artifactType":"application/vnd.cncf.model.manifest.v1+json","config":{"mediaType":"application/vnd.cncf.model.config.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},"layers":[{"mediaType":"application/vnd.cncf.model.weight.v1.raw","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0,"annotations":{"org.cncf.model.filepath":"model.safetensors"}},{"mediaType":"application/vnd.cncf.model.doc.v1.tar+gzip","digest":"sha256:a3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":10,"annotations":{"org.cncf.model.filepath":"docs/README.md"}}]}"#;

const ORAS: &str = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","artifactType":"application/x-model","config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2,"data":"e30="},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0,"annotations":{"org.opencontainers.image.title":"a/b.bin","io.deis.oras.content.unpack":"true"}}],"subject":{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":3}}"#;

/// Whatever files a manifest names can be created below one directory, side by side.
fn check_files(manifest: &Manifest) {
    let Ok(files) = model::files(manifest) else {
        return;
    };
    let mut names: Vec<_> = files.iter().map(|file| file.path.collision_key()).collect();
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count, "two files have one name");
    for file in &files {
        super::word::check_path(&file.path);
    }
}

pub(super) const INDEX: Target = Target::new("index", |bytes| {
    for kind in [media_type::INDEX, media_type::DOCKER_INDEX] {
        let Ok(document) = Document::parse(bytes, kind, "it") else {
            continue;
        };
        document.children();
        let Document::Index(index) = document else {
            panic!("an index was read as something else");
        };
        let written = index.to_bytes().expect("it was read");
        let again = Document::parse(&written, kind, "it").expect("it was written");
        assert_eq!(again, Document::Index(index));
    }
})
.fixtures(&[
    "cosign/referrers-api/referrers.json",
    "cosign/referrers-api-no-annotations/referrers.json",
    "cosign/fallback-tag/referrers.json",
]);

pub(super) const LAYOUT_INDEX: Target = Target::new("layout-index", |bytes| {
    if let Ok(written) = fuzzing::layout_index(bytes) {
        let again = fuzzing::layout_index(&written).expect("it was written");
        assert_eq!(written, again);
    }
})
.fixtures(&["keyless/layout/index.json"]);

pub(super) const MODEL_CONFIG: Target = Target::new("model-config", |bytes| {
    if let Ok(config) = ModelConfig::parse(bytes) {
        let written = config.to_bytes().expect("it was read");
        assert_eq!(ModelConfig::parse(&written).expect("it was written"), config);
    }
})
.seeds(&[br#"{"descriptor":{"createdAt":"2026-01-01T00:00:00Z","authors":["a"],"family":"llama","name":"m","version":"1","title":"t","description":"d","docURL":"https://example.com","sourceURL":"https://example.com","datasetsURL":["https://example.com"],"revision":"r","vendor":"v","licenses":["MIT"]},"modelfs":{"type":"layers","diffIds":["sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]},"config":{"architecture":"transformer","format":"safetensors","paramSize":"8b","precision":"bf16","quantization":"q4_0","capabilities":{"inputTypes":["text"],"outputTypes":["text"],"knowledgeCutoff":"2026-01-01T00:00:00Z","reasoning":true,"toolUsage":false,"reward":false,"languages":["en"]}}}"#]);

pub(super) const RECEIPT: Target = Target::new("receipt", |bytes| {
    if let Ok(receipt) = fuzzing::receipt(bytes) {
        let written = serde_json::to_vec(&receipt).expect("it was read");
        assert_eq!(fuzzing::receipt(&written).expect("it was written"), receipt);
        for file in &receipt.files {
            super::word::check_path(&file.path);
        }
    }
});
