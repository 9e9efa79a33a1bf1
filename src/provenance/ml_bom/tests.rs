use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::*;
use crate::manifest::Descriptor;
use crate::model::{Form, Kind, ModelDescriptor, Summary};
use crate::provenance::dependency::{LICENSE, Role};
use crate::provenance::run_file;

/// The bill of the example's model, in both formats.
fn bills() -> (Value, Value) {
    let text = include_str!("../../../examples/run.toml");
    let run = run_file::parse(text, Path::new("run.toml")).unwrap();
    let summary = Summary {
        format: Some("safetensors".to_owned()),
        architecture: Some("BertModel".to_owned()),
        ..Summary::default()
    };
    let config = ModelConfig::new(&summary, &[], ModelDescriptor::default());
    let digest = Digest::of(b"manifest");
    let files = [ModelFile {
        path: "model.safetensors".parse().unwrap(),
        kind: Kind::Weight,
        form: Form::Raw,
        descriptor: Descriptor::new("x", Digest::of(b"weights"), 7),
    }];
    let mut base = Dependency::new(Role::BaseModel, "bert").hashed(&Digest::of(b"base"));
    base.uri = Some("pkg:oci/bert@sha256%3A00?repository_url=r.example.com/bert".to_owned());
    let mut data = Dependency::new(Role::TrainingData, "reviews")
        .hashed(&Digest::of(b"data"))
        .annotated(LICENSE, "CC-BY-4.0");
    data.uri = Some("s3://acme/reviews".to_owned());
    let described = |format| {
        let model = Described {
            name: "repository",
            digest: &digest,
            files: &files,
            config: Some(&config),
            run: &run,
            dependencies: &[base.clone(), data.clone()],
            now: Timestamp::UNIX_EPOCH,
        };
        claim(format, model).unwrap().predicate
    };
    (described(Format::CycloneDx), described(Format::Spdx))
}

#[test]
fn cyclonedx_has_the_model_its_card_and_its_ancestors() {
    let (bill, _) = bills();
    let component = &bill["metadata"]["component"];
    assert_eq!(component["type"], "machine-learning-model");
    assert_eq!(component["name"], "bert-sst2");
    assert_eq!(
        component["hashes"][0]["content"],
        Digest::of(b"manifest").hex()
    );
    assert_eq!(component["licenses"][0]["expression"], "Apache-2.0");
    let ancestor = &component["pedigree"]["ancestors"][0];
    assert_eq!(ancestor["hashes"][0]["content"], Digest::of(b"base").hex());
    assert!(
        ancestor["purl"]
            .as_str()
            .unwrap()
            .starts_with("pkg:oci/bert@")
    );
    let card = &component["modelCard"];
    assert_eq!(card["modelParameters"]["modelArchitecture"], "BertModel");
    assert_eq!(card["modelParameters"]["approach"]["type"], "supervised");
    let metrics = card["quantitativeAnalysis"]["performanceMetrics"].as_array();
    assert_eq!(metrics.unwrap()[0]["value"], "0.931");
    assert_eq!(bill["metadata"]["timestamp"], "2026-01-31T12:17:42Z");
}

#[test]
fn every_reference_within_cyclonedx_leads_to_one_component() {
    let (bill, _) = bills();
    let components = bill["components"].as_array().unwrap();
    let names: Vec<_> = components.iter().map(|found| &found["bom-ref"]).collect();
    let distinct: BTreeSet<_> = names.iter().map(|name| name.as_str().unwrap()).collect();
    assert_eq!(distinct.len(), names.len());
    let card = &bill["metadata"]["component"]["modelCard"]["modelParameters"];
    let dataset = card["datasets"][0]["ref"].as_str().unwrap();
    assert!(distinct.contains(dataset), "{dataset}");
    let dependencies = &bill["dependencies"][0];
    assert_eq!(
        dependencies["ref"],
        bill["metadata"]["component"]["bom-ref"]
    );
    assert_eq!(
        dependencies["dependsOn"].as_array().unwrap().len(),
        names.len()
    );
}

#[test]
fn spdx_relates_the_model_to_what_it_came_from() {
    let (_, bill) = bills();
    let graph = bill["@graph"].as_array().unwrap();
    let ids: Vec<_> = graph.iter().filter_map(|e| e["spdxId"].as_str()).collect();
    let distinct: BTreeSet<_> = ids.iter().collect();
    assert_eq!(distinct.len(), ids.len(), "{ids:?}");
    let model = graph
        .iter()
        .find(|e| e["type"] == "ai_AIPackage" && e["name"] == "bert-sst2");
    let model = model.unwrap();
    assert_eq!(
        model["verifiedUsing"][0]["hashValue"],
        Digest::of(b"manifest").hex()
    );
    let mut kinds = BTreeSet::new();
    for relationship in graph.iter().filter(|e| e["type"] == "Relationship") {
        kinds.insert(relationship["relationshipType"].as_str().unwrap());
        let to = relationship["to"].as_array().unwrap();
        for end in to.iter().chain([&relationship["from"]]) {
            assert!(ids.contains(&end.as_str().unwrap()), "{end}");
        }
    }
    let expected = ["ancestorOf", "contains", "hasDeclaredLicense", "trainedOn"];
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), expected);
}
