//! No mutation of what was signed is accepted as anything else.

use modelctl::bundle::Bundle;
use modelctl::legacy::Layer;
use modelctl::manifest::Descriptor;

use crate::corpus::Corpus;
use crate::mutation::mutated;
use crate::random::Random;
use crate::targets::Target;
use crate::targets::trust::{SIGNED, TRUST, fixture};

const MUTATIONS: usize = 10_000;

#[test]
fn no_mutation_of_a_signed_bundle_is_accepted_as_another_statement() {
    let target = Target::new("forgery", |_| {}).fixtures(&[
        "cosign/referrers-api/sign.bundle.json",
        "cosign/referrers-api/attest.bundle.json",
    ]);
    let (corpus, mut random) = (Corpus::of(&target), Random::new(0));
    let (mut read, mut accepted) = (0, 0);
    for _ in 0..MUTATIONS {
        let Ok(bundle) = Bundle::parse(&mutated(&corpus, &mut random)) else {
            continue;
        };
        read += 1;
        if let Ok(found) = TRUST.authenticate(&bundle) {
            accepted += 1;
            let statement = found.statement();
            assert!(SIGNED.contains(statement), "nobody signed {statement:?}");
        }
    }
    // Both happen: white space and hints may change, and what is signed may not.
    assert!(accepted > 0 && read > accepted, "{accepted} of {read}");
}

#[test]
fn no_mutation_of_a_signed_layer_is_accepted_as_another_statement() {
    let manifest: serde_json::Value =
        serde_json::from_slice(&fixture("cosign/legacy/sig.manifest.json")).unwrap();
    let described: Descriptor = serde_json::from_value(manifest["layers"][0].clone()).unwrap();
    let statement = |content: Vec<u8>| {
        let mut descriptor = Descriptor::of(described.media_type.clone(), &content);
        descriptor.annotations = described.annotations.clone();
        let layer = Layer::new(&descriptor, content.into()).unwrap();
        let found = TRUST.authenticate_legacy(&layer).ok()?;
        Some(found.statement().clone())
    };
    let signed = fixture("cosign/legacy/sig.payload.json");
    assert!(statement(signed.clone()).is_some());

    let target = Target::new("forgery", |_| {}).fixtures(&["cosign/legacy/sig.payload.json"]);
    let (corpus, mut random) = (Corpus::of(&target), Random::new(0));
    for _ in 0..MUTATIONS / 10 {
        let content = mutated(&corpus, &mut random);
        if content != signed {
            let shown = String::from_utf8_lossy(&content).into_owned();
            assert_eq!(statement(content), None, "{shown}");
        }
    }
}
