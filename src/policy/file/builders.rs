//! Whose provenance, by which builder, is believed to be of which SLSA level.

use std::collections::{BTreeMap, BTreeSet};

use super::authorities::{Trusted, like};
use super::node::{Fields, Node};
use crate::error::Result;
use crate::policy::constraint::Glob;
use crate::policy::{Requirement, Rule};
use crate::predicate::is_absolute_uri;
use crate::slsa::{Builder, Builders, Level};

pub(super) fn builders(
    node: Option<Node<'_>>,
    known: &BTreeMap<String, Trusted>,
) -> Result<Builders> {
    let mut builders: Vec<Builder> = Vec::new();
    let Some(node) = node else {
        return Ok(Builders::default());
    };
    for node in node.list()? {
        let builder = builder(node, known)?;
        if builders.iter().any(|other| other.ties_with(&builder)) {
            let why = "this signer and builder stand twice, and it could not be said which counts";
            return Err(node.wrong(why));
        }
        builders.push(builder);
    }
    Ok(builders.into_iter().collect())
}

fn builder(node: Node<'_>, known: &BTreeMap<String, Trusted>) -> Result<Builder> {
    let mut fields = node.table()?;
    let authority = fields.need("authority")?;
    let name = authority.text()?;
    if !known.contains_key(name) {
        return Err(authority.wrong(&format!("there is no authority `{name}`")));
    }
    let id = fields.need("id")?;
    let types = match fields.take("build_types") {
        Some(node) => node.list()?.iter().map(uri).collect::<Result<_>>()?,
        None => Vec::new(),
    };
    let level = level(fields.need("level")?)?;
    fields.finish()?;
    let builder = Builder::new(name, glob(id)?, level).map_err(|error| id.is_wrong(&error))?;
    Ok(builder.of_types(types))
}

/// Reads the level that something is believed or asked to be of.
fn level(node: Node<'_>) -> Result<Level> {
    let level = Level::numbered(node.integer()?);
    level.ok_or_else(|| node.wrong("this must be a SLSA Build level: 1, 2 or 3"))
}

/// Reads a builder: one whose host could be anybody's would be nobody's word.
fn glob(node: Node<'_>) -> Result<Glob> {
    uri(&node)?;
    match node.text()?.contains('*') {
        true => like(node),
        false => Glob::new(node.text()?).map_err(|error| node.is_wrong(&error)),
    }
}

fn uri(node: &Node<'_>) -> Result<String> {
    let text = node.text()?;
    match is_absolute_uri(text) {
        true => Ok(text.to_owned()),
        false => Err(node.wrong("this must be a URI")),
    }
}

/// Reads `slsa_level`: provenance of that level by anyone who is listed. What others sign whom this
/// policy asks for is looked at too, so that a refusal says what it lacks.
pub(super) fn of_level(node: Node<'_>, rules: &[Rule], builders: &Builders) -> Result<Rule> {
    let level = level(node)?;
    reaching(node, level, builders)?;
    let mut names = builders.authorities_reaching(Level::One);
    let asked = rules.iter().filter_map(Rule::authorities).flatten();
    names.extend(asked.map(String::as_str));
    if names.is_empty() {
        return Err(node.wrong("there is neither a requirement nor `[[builders]]`: by whom?"));
    }
    Rule::new(Requirement::Provenance { level }).by(names, 1)
}

/// Returns who is listed for `level`. Nobody could meet a requirement of more than level 1 for which
/// nobody is.
fn reaching<'b>(node: Node<'_>, level: Level, builders: &'b Builders) -> Result<BTreeSet<&'b str>> {
    let names = builders.authorities_reaching(level);
    match names.is_empty() && level > Level::One {
        true => Err(node.wrong(&format!(
            "no entry of `[[builders]]` reaches level {}: nothing could meet this",
            level.number()
        ))),
        false => Ok(names),
    }
}

/// Reads which SLSA level is asked for.
pub(super) fn provenance(fields: &mut Fields<'_>) -> Result<Requirement> {
    let level = level(fields.need("level")?)?;
    Ok(Requirement::Provenance { level })
}

/// Refuses a rule that asks for a level of people too few of whom are listed for it.
pub(super) fn check_reached(node: Node<'_>, rule: &Rule, builders: &Builders) -> Result<()> {
    let Requirement::Provenance { level } = *rule.requirement() else {
        return Ok(());
    };
    let listed = reaching(node, level, builders)?;
    let asked = rule.authorities().into_iter().flatten();
    let can = asked.filter(|name| listed.contains(name.as_str())).count();
    match level > Level::One && can < rule.threshold() {
        true => Err(node.wrong(&format!(
            "{can} of these are listed in `[[builders]]` for level {}: nothing could meet this",
            level.number()
        ))),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::PolicyFile;
    use super::*;
    use crate::error::Reason;

    const GOOD: &str = r#"version = 1
default = "deny"
[authorities.ci]
keys = ["ci.pub"]
[authorities.release]
keys = ["release.pub"]
[authorities.idle]
keys = ["idle.pub"]
[[builders]]
authority = "ci"
id = "https://ci.example/hosted"
build_types = ["https://ci.example/train/v1"]
level = 2
[[builders]]
authority = "ci"
id = "https://ci.example/*/small"
level = 1
[[policies]]
name = "models"
scopes = ["r.example/**"]
slsa_level = 2
[[policies.require]]
kind = "signature"
authorities = ["release"]
[[policies.require]]
kind = "provenance"
level = 2
authorities = ["ci", "release"]
where = [{ path = "/buildDefinition/externalParameters/source", exists = true }]
"#;

    fn parse(text: &str) -> Result<PolicyFile> {
        PolicyFile::parse(text.as_bytes(), Path::new("etc/policy.toml"))
    }

    #[test]
    fn builders_and_the_levels_that_are_asked_for_are_read() {
        let file = parse(GOOD).unwrap();
        let read: Vec<_> = file.builders.iter().collect();
        assert_eq!(read.len(), 2);
        assert_eq!((read[0].authority(), read[0].level()), ("ci", Level::Two));
        let rules = file.policies[0].policy.rules();
        let level = Requirement::Provenance { level: Level::Two };
        assert_eq!(*rules[1].requirement(), level);
        assert_eq!(rules[1].constraints().len(), 1);
        // In short: by whoever is listed for it, and whoever else is asked for something.
        assert_eq!(*rules[2].requirement(), level);
        let names: Vec<_> = rules[2].authorities().unwrap().iter().collect();
        assert_eq!(names, ["ci", "release"]);
        assert_eq!(rules[2].threshold(), 1);
    }

    #[test]
    fn a_level_alone_is_a_policy() {
        let (head, _) = GOOD.split_once("[[policies.require]]").unwrap();
        let file = parse(head).unwrap();
        assert_eq!(file.policies[0].policy.rules().len(), 1);
        let one = head.replace("slsa_level = 2", "slsa_level = 1");
        assert_eq!(parse(&one).unwrap().policies[0].authorities().len(), 1);
        parse(&head.replace("slsa_level = 2\n", "")).unwrap_err();
    }

    /// Each is [`GOOD`] with one thing changed.
    const BREAKS: [(&str, &str, &str); 24] = [
        (
            "authority = \"ci\"",
            "authority = \"cy\"",
            "there is no authority `cy`",
        ),
        ("authority = \"ci\"\n", "", "`authority` is missing"),
        ("authority = \"ci\"", "authority = 1", "must be a string"),
        (
            "authority = \"ci\"",
            "authorities = [\"ci\"]",
            "`authority` is missing",
        ),
        (
            "id = \"https://ci.example/hosted\"\n",
            "",
            "`id` is missing",
        ),
        ("https://ci.example/hosted", "", "must not be empty"),
        ("https://ci.example/hosted", "hosted", "must be a URI"),
        ("https://ci.example/hosted", "*", "must be a URI"),
        (
            "https://ci.example/hosted",
            "https://*/hosted",
            "may stand for neither the host",
        ),
        (
            "https://ci.example/hosted",
            "https://ci.example/**",
            "there is no `**`",
        ),
        (
            "https://ci.example/hosted",
            "https://ci.example/h?",
            "only `*` means anything",
        ),
        (
            "[\"https://ci.example/train/v1\"]",
            "[]",
            "must not be empty",
        ),
        (
            "[\"https://ci.example/train/v1\"]",
            "[\"train\"]",
            "must be a URI",
        ),
        (
            "[\"https://ci.example/train/v1\"]",
            "\"x:y\"",
            "must be a list",
        ),
        ("build_types", "build_type", "is `build_types` meant?"),
        (
            "level = 2\n[[builders]]",
            "[[builders]]",
            "`level` is missing",
        ),
        (
            "level = 2\n[[builders]]",
            "level = 0\n[[builders]]",
            "1, 2 or 3",
        ),
        (
            "level = 2\n[[builders]]",
            "level = 4\n[[builders]]",
            "1, 2 or 3",
        ),
        (
            "level = 2\n[[builders]]",
            "level = \"2\"\n[[builders]]",
            "must be a whole number",
        ),
        (
            "level = 2\n[[builders]]",
            "level = 2\nwhy = 1\n[[builders]]",
            "no field `why`",
        ),
        (
            "https://ci.example/*/small",
            "https://ci.example/hosted",
            "stand twice",
        ),
        (
            "slsa_level = 2",
            "slsa_level = 3",
            "no entry of `[[builders]]` reaches level 3",
        ),
        ("slsa_level = 2", "slsa_level = 0", "1, 2 or 3"),
        (
            "kind = \"provenance\"\nlevel = 2",
            "kind = \"provenance\"",
            "`level` is missing",
        ),
    ];

    #[test]
    fn a_builder_that_is_not_understood_is_an_error_with_its_place() {
        parse(GOOD).unwrap();
        for (from, to, said) in BREAKS {
            let broken = GOOD.replacen(from, to, 1);
            assert_ne!(broken, GOOD, "{from}");
            let error = parse(&broken).expect_err(to);
            assert_eq!(error.reason(), Reason::PolicyInvalid, "{to}: {error}");
            let message = error.message();
            assert!(
                message.starts_with("`etc/policy.toml`, line "),
                "{to}: {message}"
            );
            assert!(message.contains(said), "{to}: {message}");
        }
    }

    #[test]
    fn a_level_that_nobody_is_listed_for_cannot_be_asked_of_anybody() {
        let idle = "level = 2\nauthorities = [\"idle\"]";
        let text = GOOD.replacen("level = 2\nauthorities = [\"ci\", \"release\"]", idle, 1);
        assert_ne!(text, GOOD);
        let error = parse(&text).unwrap_err();
        assert!(error.message().contains("0 of these are listed"), "{error}");
        let both = GOOD.replacen(
            "[\"ci\", \"release\"]\nwhere",
            "[\"ci\", \"release\"]\nthreshold = 2\nwhere",
            1,
        );
        let error = parse(&both).unwrap_err();
        assert!(error.message().contains("1 of these are listed"), "{error}");
        parse(&text.replacen(idle, "level = 1\nauthorities = [\"idle\"]", 1)).unwrap();
    }
}
