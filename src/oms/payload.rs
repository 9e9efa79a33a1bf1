//! The statement that says which files a model has, as it is written and read.
//!
//! Lists are long: tens of thousands of files are megabytes of JSON, and were measured to be ten
//! times as much as a tree of values. So there is no tree: a list is written into the bytes to be
//! signed, and read out of them.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::digest::Digest;
use crate::error::{Error, Reason, Result};
use crate::json;
use crate::oms::resource::ResourceJson;
use crate::oms::serialization::SerializationJson;
use crate::oms::{
    Contents, PREDICATE, PREDICATE_V02, Resource, Serialization, invalid, is_model_signature,
    legacy,
};
use crate::statement::{Statement, Subject, TYPE_V1};

/// The field of the predicate that has the list.
const RESOURCES: &str = "resources";

/// Reads an authenticated payload: the statement, and what it lists if it is a model signature. That
/// one's statement is without the list, which is not kept twice.
pub(crate) fn read(payload: &[u8]) -> Result<(Statement, Option<Contents>)> {
    /// What has to be known first. Duplicates are found by whoever reads the rest.
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Kind<'a> {
        #[serde(borrow)]
        predicate_type: Cow<'a, str>,
    }
    let kind = serde_json::from_slice::<Kind<'_>>(payload);
    match kind.as_ref().map(|kind| kind.predicate_type.as_ref()) {
        Ok(PREDICATE_V02) => {
            let statement = Statement::parse(payload)?;
            let contents = legacy::read(&statement)?;
            Ok((statement, Some(checked(contents)?)))
        }
        Ok(kind) if is_model_signature(kind) => {
            let (statement, contents) = read_v1(payload)?;
            Ok((statement, Some(checked(contents)?)))
        }
        _ => Ok((Statement::parse(payload)?, None)),
    }
}

fn checked(contents: Contents) -> Result<Contents> {
    contents.check()?;
    Ok(contents)
}

/// A model signature as it is written.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StatementJson<'a> {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Subject>,
    predicate_type: String,
    #[serde(borrow)]
    predicate: PredicateJson<'a>,
}

/// The predicate: the list, and the rest, of which only the serialization has a meaning for version
/// 1 (section 5.2).
struct PredicateJson<'a> {
    resources: Vec<ResourceJson<'a>>,
    rest: Map<String, Value>,
}

impl<'de: 'a, 'a> Deserialize<'de> for PredicateJson<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PredicateVisitor)
    }
}

struct PredicateVisitor;

impl<'de> Visitor<'de> for PredicateVisitor {
    type Value = PredicateJson<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of files and how they were hashed")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        let mut resources = None;
        let mut rest = Map::new();
        while let Some(name) = fields.next_key::<String>()? {
            if name == RESOURCES {
                resources = Some(fields.next_value()?);
            } else {
                rest.insert(name, fields.next_value()?);
            }
        }
        let resources = resources.ok_or_else(|| A::Error::missing_field(RESOURCES))?;
        Ok(PredicateJson { resources, rest })
    }
}

fn read_v1(payload: &[u8]) -> Result<(Statement, Contents)> {
    let written: StatementJson<'_> = json::parse(payload, "the model signature")
        .map_err(|error| Error::new(Reason::StatementInvalid, error.to_string()))?;
    if written.kind != TYPE_V1 {
        return Err(invalid("is not an in-toto statement of version 1"));
    }
    let [subject] = written.subject.as_slice() else {
        return Err(invalid("does not have exactly one subject"));
    };
    let PredicateJson { resources, rest } = written.predicate;
    let serialization = rest.get("serialization").unwrap_or(&Value::Null);
    let serialization = SerializationJson::deserialize(serialization)
        .map_err(|error| invalid("has a malformed serialization").because(error))?;
    let serialization = Serialization::read(serialization)?;
    let resources = resources.into_iter();
    let contents = Contents {
        name: subject.name.clone().unwrap_or_default(),
        resources: resources
            .map(|resource| Resource::read(resource, &serialization))
            .collect::<Result<_>>()?,
        serialization,
    };
    if subject.digest.get(Digest::ALGORITHM) != Some(&contents.root().hex()) {
        return Err(invalid("has a subject that is not the digest of its list"));
    }
    let statement = Statement {
        kind: written.kind,
        subject: written.subject,
        predicate_type: written.predicate_type,
        predicate: Value::Object(rest),
    };
    Ok((statement, contents))
}

/// Returns the statement that lists `contents`.
pub(super) fn write(contents: &Contents) -> Result<Vec<u8>> {
    let written = Written {
        kind: TYPE_V1,
        subject: [Subject::named(&contents.name, &contents.root())],
        predicate_type: PREDICATE,
        predicate: WrittenPredicate {
            serialization: contents.serialization.to_json(),
            resources: WrittenResources(contents),
        },
    };
    let mut bytes = Vec::with_capacity(length(contents));
    serde_json::to_writer(&mut bytes, &written)
        .map_err(|error| Error::new(Reason::Internal, "cannot write a list").because(error))?;
    Ok(bytes)
}

/// Returns about how many bytes a list takes, so that they are not moved while they are written.
fn length(contents: &Contents) -> usize {
    let around = r#"{"name":"","algorithm":"blake2b","digest":""},"#.len();
    let resources = contents.resources.iter();
    let lengths = resources.map(|r| r.name().len() + 2 * r.digest().len() + around);
    lengths.sum::<usize>() + 4096
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    #[serde(rename = "_type")]
    kind: &'a str,
    subject: [Subject; 1],
    predicate_type: &'a str,
    predicate: WrittenPredicate<'a>,
}

#[derive(Serialize)]
struct WrittenPredicate<'a> {
    serialization: Value,
    resources: WrittenResources<'a>,
}

struct WrittenResources<'a>(&'a Contents);

impl Serialize for WrittenResources<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Contents {
            serialization,
            resources,
            ..
        } = self.0;
        let mut list = serializer.serialize_seq(Some(resources.len()))?;
        for resource in resources {
            list.serialize_element(&ResourceJson {
                name: resource.name(),
                algorithm: serialization.hash.name().into(),
                digest: hex::encode(resource.digest()).into(),
            })?;
        }
        list.end()
    }
}
