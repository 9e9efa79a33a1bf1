//! A model in CycloneDX 1.6 ([reference](https://cyclonedx.org/docs/1.6/json/)).

use serde_json::{Map, Value, json};

use crate::provenance::dependency::{Dependency, LICENSE, Role};
use crate::provenance::ml_bom::Described;

/// What the property names of our own start with.
const PROPERTY: &str = "modelctl:";

pub(super) fn document(model: Described<'_>) -> Value {
    let tool = json!({
        "type": "application",
        "name": "modelctl",
        "version": env!("CARGO_PKG_VERSION"),
    });
    let components: Vec<_> = files(model)
        .into_iter()
        .chain(model.dependencies.iter().filter_map(dataset))
        .chain(frameworks(model))
        .collect();
    let named = components.iter().map(|found| found["bom-ref"].clone());
    let depends_on: Vec<_> = named.collect();
    json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": model.time().to_string(),
            "tools": { "components": [tool] },
            "component": component(model),
        },
        "components": components,
        "dependencies": [{ "ref": reference(model), "dependsOn": depends_on }],
    })
}

fn reference(model: Described<'_>) -> String {
    format!("model:{}", model.digest)
}

fn component(model: Described<'_>) -> Value {
    let mut found = Map::from_iter([
        ("type".to_owned(), "machine-learning-model".into()),
        ("bom-ref".to_owned(), reference(model).into()),
        ("name".to_owned(), model.name().into()),
        ("hashes".to_owned(), json!([sha256(&model.digest.hex())])),
        ("modelCard".to_owned(), model_card(model)),
    ]);
    let mut add = |name: &str, value: Option<Value>| {
        found.extend(value.map(|value| (name.to_owned(), value)));
    };
    add("version", model.version().map(Into::into));
    add("description", model.description().map(Into::into));
    let license = model.license();
    add("licenses", license.map(|id| json!([{ "expression": id }])));
    let ancestors: Vec<_> = model.dependencies.iter().filter_map(ancestor).collect();
    let pedigree = json!({ "ancestors": ancestors });
    add("pedigree", (!ancestors.is_empty()).then_some(pedigree));
    let properties = properties(model);
    add(
        "properties",
        (!properties.is_empty()).then(|| properties.into()),
    );
    found.into()
}

fn properties(model: Described<'_>) -> Vec<Value> {
    let traits = model.traits().into_iter();
    let traits = traits.map(|(name, value)| property(name, value.into()));
    let parameters = model.run.parameters.iter().map(|(name, value)| {
        let text = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        property(&format!("parameter:{name}"), text)
    });
    traits.chain(parameters).collect()
}

fn property(name: &str, value: String) -> Value {
    json!({ "name": format!("{PROPERTY}{name}"), "value": value })
}

fn model_card(model: Described<'_>) -> Value {
    let notes = &model.run.model;
    let mut parameters = Map::new();
    let approach = notes
        .approach
        .map(|approach| json!({ "type": approach.word() }));
    parameters.extend(approach.map(|approach| ("approach".to_owned(), approach)));
    let task = notes.task.as_deref();
    parameters.extend(task.map(|task| ("task".to_owned(), task.into())));
    let architecture = model.architecture();
    parameters.extend(architecture.map(|name| ("modelArchitecture".to_owned(), name.into())));
    let datasets = model.dependencies.iter().filter(|found| is_data(found));
    let datasets: Vec<_> = datasets
        .map(|found| json!({ "ref": data_reference(found) }))
        .collect();
    if !datasets.is_empty() {
        parameters.insert("datasets".to_owned(), datasets.into());
    }
    let mut card = Map::from_iter([("modelParameters".to_owned(), parameters.into())]);
    let metrics: Vec<_> = model
        .metrics()
        .map(|(name, test, figure)| json!({ "type": name, "value": figure.to_string(), "slice": test }))
        .collect();
    if !metrics.is_empty() {
        let analysis = json!({ "performanceMetrics": metrics });
        card.insert("quantitativeAnalysis".to_owned(), analysis);
    }
    if !notes.limitations.is_empty() {
        let considerations = json!({ "technicalLimitations": notes.limitations });
        card.insert("considerations".to_owned(), considerations);
    }
    card.into()
}

fn files(model: Described<'_>) -> Vec<Value> {
    let file = |file: &crate::model::ModelFile| {
        json!({
            "type": "file",
            "bom-ref": format!("file:{}", file.path),
            "name": file.path.as_str(),
            "hashes": [sha256(&file.descriptor.digest.hex())],
        })
    };
    model.files.iter().map(file).collect()
}

fn is_data(found: &Dependency) -> bool {
    use Role::{EvaluationData, TrainingData, ValidationData};
    matches!(found.role, TrainingData | ValidationData | EvaluationData)
}

fn data_reference(found: &Dependency) -> String {
    format!("{}:{}", found.role, found.name)
}

fn dataset(found: &Dependency) -> Option<Value> {
    if !is_data(found) {
        return None;
    }
    let mut data = described(found, "data");
    data.insert("bom-ref".to_owned(), data_reference(found).into());
    let license = found.annotations.get(LICENSE);
    let license = license.map(|license| json!([{ "expression": license }]));
    data.extend(license.map(|license| ("licenses".to_owned(), license)));
    Some(data.into())
}

fn ancestor(found: &Dependency) -> Option<Value> {
    let is_model = matches!(found.role, Role::BaseModel | Role::Adapter | Role::Teacher);
    is_model.then(|| described(found, "machine-learning-model").into())
}

fn described(found: &Dependency, kind: &str) -> Map<String, Value> {
    let mut component = Map::from_iter([
        ("type".to_owned(), kind.into()),
        ("name".to_owned(), found.name.clone().into()),
    ]);
    let role = property("role", found.role.to_string());
    let mut properties = vec![role];
    for (algorithm, digest) in &found.digest {
        match algorithm.as_str() {
            "sha256" => {
                component.insert("hashes".to_owned(), json!([sha256(digest)]));
            }
            _ => properties.push(property(algorithm, digest.clone())),
        }
    }
    component.insert("properties".to_owned(), properties.into());
    let uri = found.uri.as_deref();
    let (purls, others): (Vec<_>, Vec<_>) = uri.into_iter().partition(|u| u.starts_with("pkg:"));
    component.extend(
        purls
            .first()
            .map(|purl| ("purl".to_owned(), (*purl).into())),
    );
    let others = others
        .first()
        .map(|url| json!([{ "type": "distribution", "url": url }]));
    component.extend(others.map(|others| ("externalReferences".to_owned(), others)));
    component
}

fn frameworks(model: Described<'_>) -> Vec<Value> {
    let frameworks = model.run.environment.frameworks.iter();
    let framework = frameworks.map(|(name, version)| {
        json!({
            "type": "framework",
            "bom-ref": format!("framework:{name}"),
            "name": name,
            "version": version,
        })
    });
    framework.collect()
}

fn sha256(hex: &str) -> Value {
    json!({ "alg": "SHA-256", "content": hex })
}
