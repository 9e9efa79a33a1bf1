//! A model in SPDX 3.0.1 ([AI profile](https://spdx.github.io/spdx-spec/v3.0.1/model/AI/AI/),
//! [dataset profile](https://spdx.github.io/spdx-spec/v3.0.1/model/Dataset/Dataset/)).
//!
//! Conformance is claimed to the core and software profiles only: the AI profile demands who
//! supplied a package and when it was released, which a run file need not say.

use serde_json::{Map, Value, json};

use crate::digest::Digest;
use crate::provenance::dependency::{Dependency, Role};
use crate::provenance::ml_bom::Described;

/// The blank node of what all elements share: who wrote them, and when.
const CREATION: &str = "_:creation";

pub(super) fn document(model: Described<'_>) -> Value {
    let graph = Graph {
        model,
        base: format!("urn:spdx:modelctl:{}", model.digest.hex()),
    };
    json!({
        "@context": "https://spdx.org/rdf/3.0.1/spdx-context.jsonld",
        "@graph": graph.elements(),
    })
}

/// A document on its way; its elements are named after the model's digest.
struct Graph<'a> {
    model: Described<'a>,
    base: String,
}

impl Graph<'_> {
    fn elements(&self) -> Vec<Value> {
        let root = self.id("model");
        let mut elements = vec![self.creation(), self.tool(), self.document(&root)];
        elements.push(self.model());
        let files: Vec<_> = self
            .model
            .files
            .iter()
            .map(|file| {
                let hash = (Digest::ALGORITHM, file.descriptor.digest.hex());
                self.element(
                    "software_File",
                    &format!("file/{}", file.path),
                    file.path.as_str(),
                    &[hash],
                )
            })
            .collect();
        elements.extend(self.relate("contains", &files));
        elements.extend(files.into_iter().map(Value::from));
        for (relationship, roles) in [
            ("trainedOn", &[Role::TrainingData][..]),
            ("testedOn", &[Role::ValidationData, Role::EvaluationData]),
            (
                "ancestorOf",
                &[Role::BaseModel, Role::Adapter, Role::Teacher],
            ),
        ] {
            let found = self.model.dependencies.iter();
            let found = found.filter(|found| roles.contains(&found.role));
            let found: Vec<_> = found.map(|found| self.dependency(found)).collect();
            match relationship {
                "ancestorOf" => elements.extend(found.iter().map(|one| self.ancestor(one))),
                _ => elements.extend(self.relate(relationship, &found)),
            }
            elements.extend(found.into_iter().map(Value::from));
        }
        elements.extend(self.license());
        elements
    }

    fn id(&self, name: &str) -> String {
        let plain = |c: char| match c.is_ascii_alphanumeric() || "-._/".contains(c) {
            true => c.to_string(),
            false => c.to_string().bytes().map(|b| format!("%{b:02X}")).collect(),
        };
        let name: String = name.chars().map(plain).collect();
        format!("{}/{name}", self.base)
    }

    fn creation(&self) -> Value {
        let time = self.model.time().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        json!({
            "type": "CreationInfo",
            "@id": CREATION,
            "specVersion": "3.0.1",
            "created": time,
            "createdBy": [self.id("modelctl")],
        })
    }

    fn tool(&self) -> Value {
        let name = format!("modelctl {}", env!("CARGO_PKG_VERSION"));
        self.element("SoftwareAgent", "modelctl", &name, &[]).into()
    }

    fn document(&self, root: &str) -> Value {
        let mut document = self.element("SpdxDocument", "document", self.model.name(), &[]);
        document.insert("rootElement".to_owned(), json!([root]));
        let profiles = json!(["core", "software", "simpleLicensing"]);
        document.insert("profileConformance".to_owned(), profiles);
        document.into()
    }

    fn model(&self) -> Value {
        let model = self.model;
        let hash = (Digest::ALGORITHM, model.digest.hex());
        let mut package = self.element("ai_AIPackage", "model", model.name(), &[hash]);
        let notes = &model.run.model;
        let mut add = |name: &str, value: Value| {
            let is_empty = value.is_null() || value == json!([]) || value == "";
            if !is_empty {
                package.insert(name.to_owned(), value);
            }
        };
        add("software_primaryPurpose", "model".into());
        add("software_packageVersion", model.version().into());
        add("description", model.description().into());
        let architecture: Vec<_> = model.architecture().into_iter().collect();
        add("ai_typeOfModel", architecture.into());
        let task: Vec<_> = notes.task.iter().cloned().collect();
        add("ai_domain", task.into());
        add("ai_limitation", notes.limitations.join("; ").into());
        let kind = model.run.kind.map(|kind| kind.name());
        add("ai_informationAboutTraining", kind.into());
        let parameters = model.run.parameters.iter();
        let parameters = parameters.map(|(name, value)| entry(name, &text_of(value)));
        add("ai_hyperparameter", parameters.collect());
        let metrics = model.metrics();
        let metrics = metrics.map(|(name, _, figure)| entry(&name, &figure.to_string()));
        add("ai_metric", metrics.collect());
        package.into()
    }

    fn dependency(&self, found: &Dependency) -> Map<String, Value> {
        let is_model = matches!(found.role, Role::BaseModel | Role::Adapter | Role::Teacher);
        let kind = if is_model {
            "ai_AIPackage"
        } else {
            "dataset_DatasetPackage"
        };
        let hashes = found.digest.iter();
        let hashes =
            hashes.filter(|(algorithm, _)| ["sha256", "md5"].contains(&algorithm.as_str()));
        let hashes: Vec<_> = hashes
            .map(|(a, digest)| (a.as_str(), digest.clone()))
            .collect();
        let id = format!("{}/{}", found.role, found.name);
        let mut package = self.element(kind, &id, &found.name, &hashes);
        if !is_model {
            package.insert("dataset_datasetType".to_owned(), json!(["noAssertion"]));
        }
        let uri = found.uri.as_ref();
        package.extend(uri.map(|uri| match uri.starts_with("pkg:") {
            true => ("software_packageUrl".to_owned(), uri.clone().into()),
            false => ("software_downloadLocation".to_owned(), uri.clone().into()),
        }));
        package
    }

    fn license(&self) -> Vec<Value> {
        let Some(license) = self.model.license() else {
            return Vec::new();
        };
        let kind = "simplelicensing_LicenseExpression";
        let mut element = self.element(kind, "license", license, &[]);
        let expression = "simplelicensing_licenseExpression";
        element.insert(expression.to_owned(), license.into());
        let elements = [element];
        let related = self.relate("hasDeclaredLicense", &elements);
        related
            .into_iter()
            .chain(elements.map(Value::from))
            .collect()
    }

    /// Relates the model to others, if there are any.
    fn relate(&self, kind: &str, others: &[Map<String, Value>]) -> Option<Value> {
        let others: Vec<_> = others.iter().map(|other| other["spdxId"].clone()).collect();
        let from = self.id("model").into();
        (!others.is_empty()).then(|| self.relationship(kind, kind, from, others))
    }

    fn ancestor(&self, other: &Map<String, Value>) -> Value {
        let from = other["spdxId"].clone();
        let name = format!("ancestorOf/{}", other["name"].as_str().unwrap_or_default());
        self.relationship(&name, "ancestorOf", from, vec![self.id("model").into()])
    }

    fn relationship(&self, name: &str, kind: &str, from: Value, to: Vec<Value>) -> Value {
        json!({
            "type": "Relationship",
            "spdxId": self.id(&format!("relationship/{name}")),
            "creationInfo": CREATION,
            "from": from,
            "relationshipType": kind,
            "to": to,
        })
    }

    fn element(
        &self,
        kind: &str,
        id: &str,
        name: &str,
        hashes: &[(&str, String)],
    ) -> Map<String, Value> {
        let mut element = Map::from_iter([
            ("type".to_owned(), kind.into()),
            ("spdxId".to_owned(), self.id(id).into()),
            ("creationInfo".to_owned(), CREATION.into()),
            ("name".to_owned(), name.into()),
        ]);
        if !hashes.is_empty() {
            let hash = |(algorithm, hex): &(&str, String)| json!({ "type": "Hash", "algorithm": algorithm, "hashValue": hex });
            let hashes = hashes.iter().map(hash).collect();
            element.insert("verifiedUsing".to_owned(), hashes);
        }
        element
    }
}

fn entry(key: &str, value: &str) -> Value {
    json!({ "type": "DictionaryEntry", "key": key, "value": value })
}

fn text_of(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}
