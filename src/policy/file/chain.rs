//! What a policy asks of the models that a model was made from.

use std::collections::{BTreeMap, BTreeSet};

use super::authorities::Trusted;
use super::node::{Fields, Node};
use super::policies::named;
use super::{Mode, ScopedPolicy};
use crate::error::Result;
use crate::limits::{CHAIN_DEPTH, CHAIN_LINKS};
use crate::predicate::is_absolute_uri;
use crate::provenance::Role;

/// What is asked of the models that a model was made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainRule {
    /// Whether the chain is walked without being asked for.
    pub required: bool,
    /// The policies for models of certain roles, by name.
    pub roles: BTreeMap<Role, String>,
    /// By what all others are judged.
    pub others: Others,
    /// What a chain may end with.
    pub ends: BTreeSet<Role>,
    /// How many links one may lie below another.
    pub max_depth: usize,
    /// How many links a chain may have.
    pub max_nodes: usize,
    /// Whose word stands in for a part of the chain.
    pub vouchers: Vec<Vouching>,
}

/// By what models are judged for whose role no policy is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Others {
    /// As the model itself is.
    Alike,
    /// By whichever policy covers them; that there is none refuses them.
    Covered,
}

/// A verifier whose summaries are accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vouching {
    /// The verifier, as its summaries name it.
    pub verifier: String,
    /// Who signs for it.
    pub authorities: BTreeSet<String>,
}

/// Reads the table `chain` of a policy, and adds to `uses` where it names policies.
pub(super) fn rule<'a>(
    node: Node<'a>,
    known: &BTreeMap<String, Trusted>,
    uses: &mut Vec<Node<'a>>,
) -> Result<ChainRule> {
    let mut fields = node.table()?;
    let truth = |node: Option<Node<'_>>| node.map(|node| node.boolean()).transpose();
    let required = truth(fields.take("required"))?.unwrap_or(true);
    let roles = roles(fields.take("roles"), uses)?;
    let others = match truth(fields.take("require_policy"))? {
        Some(true) => Others::Covered,
        Some(false) | None => Others::Alike,
    };
    let ends = ends(fields.take("ends"))?;
    let max_depth = limit(fields.take("max_depth"), CHAIN_DEPTH)?;
    let max_nodes = limit(fields.take("max_nodes"), CHAIN_LINKS)?;
    let vouchers = match fields.take("vsa") {
        Some(node) => node
            .list()?
            .into_iter()
            .map(|n| vouching(n, known))
            .collect(),
        None => Ok(Vec::new()),
    };
    fields.finish()?;
    Ok(ChainRule {
        required,
        roles,
        others,
        ends,
        max_depth,
        max_nodes,
        vouchers: vouchers?,
    })
}

fn roles<'a>(node: Option<Node<'a>>, uses: &mut Vec<Node<'a>>) -> Result<BTreeMap<Role, String>> {
    let Some(node) = node else {
        return Ok(BTreeMap::new());
    };
    let mut roles = BTreeMap::new();
    for (name, policy) in node.table()?.named() {
        let Some(role) = Role::of_word(name).filter(|role| role.is_model()) else {
            return Err(node.wrong(&format!("`{name}` is none of {}", words())));
        };
        roles.insert(role, policy.text()?.to_owned());
        uses.push(policy);
    }
    match roles.is_empty() {
        true => Err(node.wrong("this table must not be empty")),
        false => Ok(roles),
    }
}

fn words() -> String {
    Role::MODELS.map(Role::word).join(", ")
}

fn ends(node: Option<Node<'_>>) -> Result<BTreeSet<Role>> {
    let mut ends = BTreeSet::new();
    let meanings = Role::MODELS.map(|role| (role.word(), role));
    for node in node
        .map(|node| node.list())
        .transpose()?
        .into_iter()
        .flatten()
    {
        if !ends.insert(node.one_of(&meanings)?) {
            return Err(node.wrong("this role stands here twice"));
        }
    }
    Ok(ends)
}

/// Reads a limit, which may be lower than the default and not higher: a policy cannot make a
/// verifier walk for ever.
fn limit(node: Option<Node<'_>>, most: usize) -> Result<usize> {
    let Some(node) = node else { return Ok(most) };
    match usize::try_from(node.integer()?) {
        Ok(limit) if (1..=most).contains(&limit) => Ok(limit),
        _ => Err(node.wrong(&format!("this is a number from 1 to {most}"))),
    }
}

fn vouching(node: Node<'_>, known: &BTreeMap<String, Trusted>) -> Result<Vouching> {
    let mut fields: Fields<'_> = node.table()?;
    let verifier = fields.need("verifier")?;
    let text = verifier.text()?;
    if !is_absolute_uri(text) {
        return Err(verifier.wrong("a verifier is named by a URI"));
    }
    let authorities = named(fields.need("authorities")?, known)?;
    fields.finish()?;
    Ok(Vouching {
        verifier: text.to_owned(),
        authorities,
    })
}

/// Refuses names of policies that are not there, or that admit everything.
pub(super) fn check_uses(uses: &[Node<'_>], policies: &[ScopedPolicy]) -> Result<()> {
    for node in uses {
        let name = node.text()?;
        match policies.iter().find(|policy| policy.name == name) {
            None => return Err(node.wrong(&format!("there is no policy `{name}`"))),
            Some(policy) if policy.mode == Mode::Warn => {
                return Err(node.wrong(&format!("the policy `{name}` only warns")));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::error::Reason;
    use crate::policy::file::PolicyFile;

    const HEAD: &str = "version = 1\ndefault = \"deny\"\n[authorities.a]\nkeys = [\"a.pub\"]\n\
        [[policies]]\nname = \"upstream\"\nscopes = [\"up.example/**\"]\n[[policies.require]]\n\
        kind = \"signature\"\nauthorities = [\"a\"]\n\
        [[policies]]\nname = \"loose\"\nscopes = [\"loose.example/**\"]\nmode = \"warn\"\n\
        [[policies.require]]\nkind = \"signature\"\nauthorities = [\"a\"]\n\
        [[policies]]\nname = \"ours\"\nscopes = [\"registry.example/**\"]\n[[policies.require]]\n\
        kind = \"signature\"\nauthorities = [\"a\"]\n[policies.chain]\n";

    fn read(chain: &str) -> Result<ChainRule> {
        let text = format!("{HEAD}{chain}");
        let file = PolicyFile::parse(text.as_bytes(), Path::new("policy.toml"))?;
        Ok(file.named("ours").unwrap().chain.clone().unwrap())
    }

    #[test]
    fn an_empty_table_asks_for_a_whole_chain_of_the_same_people() {
        let rule = read("").unwrap();
        assert!(rule.required && rule.ends.is_empty() && rule.roles.is_empty());
        assert_eq!(rule.others, Others::Alike);
        assert_eq!((rule.max_depth, rule.max_nodes), (CHAIN_DEPTH, CHAIN_LINKS));
    }

    #[test]
    fn every_field_is_read() {
        let rule = read(
            "required = false\nroles = { base_model = \"upstream\" }\nrequire_policy = true\n\
             ends = [\"base_model\", \"teacher\"]\nmax_depth = 3\nmax_nodes = 8\n\
             vsa = [{ verifier = \"https://acme.example/v\", authorities = [\"a\"] }]\n",
        );
        let rule = rule.unwrap();
        assert!(!rule.required);
        assert_eq!(rule.roles[&Role::BaseModel], "upstream");
        assert_eq!(rule.others, Others::Covered);
        assert_eq!(rule.ends, BTreeSet::from([Role::BaseModel, Role::Teacher]));
        assert_eq!((rule.max_depth, rule.max_nodes), (3, 8));
        assert_eq!(rule.vouchers[0].verifier, "https://acme.example/v");
        assert_eq!(
            rule.vouchers[0].authorities,
            BTreeSet::from(["a".to_owned()])
        );
    }

    #[test]
    fn what_would_not_be_enforced_is_refused_with_its_place() {
        for (line, why) in [
            (
                "roles = { base_model = \"upstraem\" }",
                "no policy `upstraem`",
            ),
            ("roles = { base_model = \"loose\" }", "only warns"),
            (
                "roles = { training_data = \"upstream\" }",
                "is none of base_model",
            ),
            ("roles = { bsae = \"upstream\" }", "is none of base_model"),
            ("roles = {}", "must not be empty"),
            ("ends = [\"training_code\"]", "none of base_model"),
            ("ends = [\"teacher\", \"teacher\"]", "twice"),
            ("ends = []", "must not be empty"),
            ("max_depth = 0", "from 1 to 16"),
            ("max_depth = 17", "from 1 to 16"),
            ("max_nodes = -1", "from 1 to 64"),
            ("max_nodes = 65", "from 1 to 64"),
            ("require_policies = true", "is `require_policy` meant?"),
            ("required = \"yes\"", "true or false"),
            ("vsa = [{ verifier = \"v\", authorities = [\"a\"] }]", "URI"),
            (
                "vsa = [{ verifier = \"https://v.example\", authorities = [\"b\"] }]",
                "`b`",
            ),
            (
                "vsa = [{ verifier = \"https://v.example\" }]",
                "`authorities` is missing",
            ),
        ] {
            let error = read(line).expect_err(line);
            assert_eq!(error.reason(), Reason::PolicyInvalid, "{line}");
            assert!(error.message().contains(why), "{line}: {error}");
            assert!(
                error.message().contains("line 23, column"),
                "{line}: {error}"
            );
        }
    }
}
