//! What may be in a model: the table `content` of a policy.

use std::collections::BTreeSet;

use super::node::Node;
use crate::content::{ContentRules, Danger, ExecutableBit, Format, Limits};
use crate::error::Result;

/// Names of several formats, as docs/content.md groups them.
const GROUPS: [(&str, Danger); 3] = [
    ("data", Danger::Data),
    ("opaque", Danger::Opaque),
    ("code", Danger::Code),
];

/// Reads what may be in a model. A policy that says nothing about it denies code, and what can carry
/// or hide it.
pub(super) fn content(node: Option<Node<'_>>) -> Result<ContentRules> {
    let Some(node) = node else {
        return Ok(ContentRules::without_code());
    };
    let mut fields = node.table()?;
    let allow = fields
        .take("allow")
        .map(|node| formats(&node))
        .transpose()?;
    let deny = fields.take("deny").map(|node| formats(&node)).transpose()?;
    let unknown = fields
        .take("unknown")
        .map(|node| allowed(&node))
        .transpose()?;
    let executable = fields.take("executable_bit");
    let executable = executable.map(|node| allowed(&node)).transpose()?;
    let limits = Limits {
        files: fields
            .take("max_files")
            .map(|node| count(&node))
            .transpose()?,
        file_bytes: size(fields.take("max_file_size"))?,
        total_bytes: size(fields.take("max_total_size"))?,
    };
    fields.finish()?;
    // Who lists what is allowed means nothing else; who only denies has not thought of the rest.
    let unknown = unknown.unwrap_or(allow.is_none());
    let formats = wanted(allow, deny.unwrap_or_default(), unknown);
    if formats.is_empty() {
        return Err(node.wrong("no file of any format would be allowed"));
    }
    let executable_bit = match executable {
        Some(false) => ExecutableBit::Deny,
        _ => ExecutableBit::Allow,
    };
    Ok(ContentRules::only(formats)
        .within(limits)
        .on_executable_bit(executable_bit))
}

/// Returns what is allowed, or else whatever is no code, without what is denied.
fn wanted(
    allow: Option<BTreeSet<Format>>,
    deny: BTreeSet<Format>,
    unknown: bool,
) -> BTreeSet<Format> {
    let all = allow.unwrap_or_else(|| ContentRules::without_code().allowed().collect());
    let mut wanted: BTreeSet<_> = all.difference(&deny).copied().collect();
    match unknown {
        true => wanted.insert(Format::Unknown),
        false => wanted.remove(&Format::Unknown),
    };
    wanted
}

/// Reads names of formats and of groups of them, none of which stands there twice.
fn formats(node: &Node<'_>) -> Result<BTreeSet<Format>> {
    let mut names = BTreeSet::new();
    let mut formats = BTreeSet::new();
    for node in node.list()? {
        let name = node.text()?;
        if !names.insert(name) {
            return Err(node.wrong(&format!("`{name}` stands here twice")));
        }
        formats.extend(meant(&node, name)?);
    }
    Ok(formats)
}

fn meant(node: &Node<'_>, name: &str) -> Result<Vec<Format>> {
    if name == Format::Unknown.code() {
        return Err(
            node.wrong("what is unknown is dealt with as `unknown = \"deny\"` or `\"allow\"` says")
        );
    }
    if let Some((_, danger)) = GROUPS.iter().find(|(group, _)| *group == name) {
        let all = Format::ALL.iter().copied();
        return Ok(all.filter(|format| format.danger() == *danger).collect());
    }
    let format = name
        .parse::<Format>()
        .map_err(|error| node.is_wrong(&error));
    Ok(vec![format?])
}

fn allowed(node: &Node<'_>) -> Result<bool> {
    node.one_of(&[("allow", true), ("deny", false)])
}

/// Reads a number of files: a model without any cannot be.
fn count(node: &Node<'_>) -> Result<u64> {
    let count = u64::try_from(node.integer()?)
        .ok()
        .filter(|count| *count > 0);
    count.ok_or_else(|| node.wrong("this must be 1 or more"))
}

fn size(node: Option<Node<'_>>) -> Result<Option<u64>> {
    node.map(|node| node.size()).transpose()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::error::{Error, Reason};
    use crate::policy::file::PolicyFile;

    fn read(table: &str) -> Result<ContentRules> {
        let text = format!(
            "version = 1\ndefault = \"deny\"\n[authorities.a]\nkeys = [\"a.pub\"]\n[[policies]]\nname = \
             \"it\"\nscopes = [\"oci:**\"]\n[[policies.require]]\nkind = \"signature\"\nauthorities = \
             [\"a\"]\n{table}\n"
        );
        let file = PolicyFile::parse(text.as_bytes(), Path::new("policy.toml"))?;
        Ok(file.policies[0].policy.content().unwrap().clone())
    }

    fn with(fields: &str) -> Result<ContentRules> {
        read(&format!("[policies.content]\n{fields}"))
    }

    fn names(rules: &ContentRules) -> Vec<&'static str> {
        rules.allowed().map(Format::code).collect()
    }

    #[test]
    fn a_policy_that_does_not_say_denies_code() {
        for rules in [read(""), with(""), with("unknown = \"allow\"")] {
            assert_eq!(rules.unwrap(), ContentRules::without_code());
        }
        let strict = with("allow = [\"data\"]").unwrap();
        assert_eq!(strict, ContentRules::strict());
    }

    #[test]
    fn what_is_listed_is_allowed_without_what_is_denied() {
        for (fields, expected) in [
            ("allow = [\"gguf\", \"json\"]", vec!["gguf", "json"]),
            (
                "allow = [\"gguf\", \"torch-zip\"]\nunknown = \"allow\"",
                vec!["gguf", "unknown", "torch-zip"],
            ),
            (
                "allow = [\"data\"]\ndeny = [\"onnx\", \"image\", \"code\"]",
                vec!["safetensors", "gguf", "json", "text", "tokenizer-model"],
            ),
            (
                "deny = [\"opaque\"]\nunknown = \"deny\"",
                names(&ContentRules::strict()),
            ),
        ] {
            assert_eq!(names(&with(fields).unwrap()), expected, "{fields}");
        }
    }

    #[test]
    fn limits_and_bits_are_read() {
        let fields = "max_files = 64\nmax_file_size = \"1.5GiB\"\n";
        with(fields).unwrap_err();
        let rules = with(
            "executable_bit = \"deny\"\nmax_files = 64\nmax_file_size = \"200GiB\"\n\
             max_total_size = \"2 TB\"",
        );
        let rules = rules.unwrap();
        assert_eq!(rules.executable_bit, ExecutableBit::Deny);
        assert_eq!(
            rules.limits,
            Limits {
                files: Some(64),
                file_bytes: Some(200 << 30),
                total_bytes: Some(2_000_000_000_000),
            }
        );
    }

    #[test]
    fn what_is_not_understood_is_an_error_with_its_place() {
        for fields in [
            "allow = []",
            "allow = \"gguf\"",
            "allow = [\"gguff\"]",
            "allow = [\"gguf\", \"gguf\"]",
            "allow = [\"unknown\"]",
            "deny = [\"unknown\"]",
            "allow = [\"gguf\"]\ndeny = [\"data\"]",
            "unknown = true",
            "unknown = \"warn\"",
            "executable_bit = \"refuse\"",
            "max_files = 0",
            "max_files = -1",
            "max_files = \"64\"",
            "max_file_size = 64",
            "max_file_size = \"64\"",
            "max_file_size = \"0B\"",
            "max_file_size = \"64 gib\"",
            "max_total_size = \"99999999999TiB\"",
            "max_size = \"1TiB\"",
        ] {
            let error: Error = with(fields).unwrap_err();
            assert_eq!(error.reason(), Reason::PolicyInvalid, "{fields}");
            let message = error.message();
            assert!(message.starts_with("`policy.toml`, line 1"), "{message}");
            assert!(message.contains(", column "), "{message}");
        }
    }
}
