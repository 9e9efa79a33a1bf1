//! `modelctl policy init`.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;
use modelctl::content::{ContentRules, ExecutableBit};
use modelctl::error::{Error, Reason, Result};
use modelctl::manifest::Document;
use modelctl::model;
use modelctl::oms;
use modelctl::reference::{Location, Reference};
use modelctl::referrer::{self, Content};
use modelctl::statement;
use modelctl::trust::{SignerIdentity, TrustRoot};
use modelctl::verify::{Artifact, check_subject};
use serde_json::json;

use super::super::parse;
use super::super::report::{Failure, Report};
use super::super::stores::{MirrorArgs, RegistryArgs};
use super::super::terminal::Terminal;
use super::super::trust::SignersArgs;

/// Write a policy from what is attached to an artifact, as a starting point to be reviewed.
///
/// Those who are named by flags and did sign become authorities, and what they attached becomes
/// what is required. What others attached is named in comments and required of nobody. The policy
/// is printed on stdout; file names in it are relative to where it will be.
#[derive(Args)]
#[command(after_help = "Examples:
  modelctl policy init registry.example.com/acme/bert:v1 --key release.pub > policy.toml
  modelctl policy check policy.toml")]
pub(super) struct InitArgs {
    /// What to look at.
    #[arg(value_name = "REF", value_parser = parse::<Reference>)]
    reference: Reference,
    #[command(flatten)]
    signers: SignersArgs,
    #[command(flatten)]
    registry: RegistryArgs,
    #[command(flatten)]
    mirrors: MirrorArgs,
}

/// What is attached: by whom, and what nobody who is trusted signed.
#[derive(Default)]
struct Found {
    /// By predicate type, who states it.
    stated: BTreeMap<String, BTreeSet<usize>>,
    signers: Vec<SignerIdentity>,
    others: BTreeSet<String>,
    /// Whether all signatures say for which repository they were made.
    named: bool,
}

pub(super) async fn run(args: InitArgs, terminal: &Terminal) -> Result<Report, Failure> {
    let trust = args.signers.root(terminal).await?;
    let stores = args.registry.stores(terminal)?.through(&args.mirrors)?;
    let store = stores.read(args.reference.location())?;
    let artifact = Artifact::resolve(&*store, &args.reference).await?;
    let referrers = referrer::collect(&*store, artifact.document().descriptor()).await?;
    let contents = referrers.iter().map(referrer::Referrer::content);
    let found = Found::among(contents, &artifact, &trust);
    if !found.stated.contains_key(statement::SIGNATURE) {
        let message = format!("nobody who is named signed `{}`", args.reference);
        return Err(Error::new(Reason::SignatureMissing, message)
            .hint("`modelctl tree` shows what is attached; name its signer with `--key`")
            .into());
    }
    let text = found.policy(args.reference.location(), &content(&artifact));
    let data = json!({ "reference": artifact.pinned().to_string(), "policy": text });
    let mut report = Report::of(&data)?;
    report.stdout = text;
    Ok(report.say("review it: a policy is what you decide, not what is there"))
}

impl Found {
    fn among<'a>(
        contents: impl Iterator<Item = &'a Content>,
        artifact: &Artifact,
        trust: &TrustRoot,
    ) -> Self {
        let mut found = Self {
            named: true,
            ..Self::default()
        };
        for content in contents {
            let Content::Bundle(raw) = content else {
                continue;
            };
            let Ok(bundle) = raw.bundle() else { continue };
            match trust.authenticate(&bundle) {
                Ok(by) if check_subject(&by, artifact.document()).is_ok() => {
                    found.count(by.statement(), by.signer());
                }
                _ => found.others.extend(bundle.claimed_predicate_type()),
            }
        }
        found
    }

    fn count(&mut self, statement: &modelctl::statement::Statement, signer: &SignerIdentity) {
        let known = self.signers.iter().position(|one| one.is_same(signer));
        let index = known.unwrap_or_else(|| {
            self.signers.push(signer.clone());
            self.signers.len() - 1
        });
        let predicate_type = &statement.predicate_type;
        self.stated
            .entry(predicate_type.clone())
            .or_default()
            .insert(index);
        if predicate_type == statement::SIGNATURE {
            let named = statement.subject.iter().any(|subject| {
                let annotations = subject.annotations.as_ref();
                annotations.is_some_and(|all| all.contains_key(modelctl::policy::REPOSITORY))
            });
            self.named &= named;
        }
    }

    fn policy(&self, location: &Location, content: &str) -> String {
        let mut text =
            "# Made by `modelctl policy init` from what is attached to one artifact. Review \
                        it: docs/policy.md\nversion = 1\ndefault = \"deny\"\n"
                .to_owned();
        for (index, signer) in self.signers.iter().enumerate() {
            text.push_str(&authority(index, signer));
        }
        let (name, scope) = scope(location);
        text.push_str(&format!(
            "\n[[policies]]\nname = {}\nscopes = [{}]\n",
            quoted(&name),
            quoted(&scope)
        ));
        if self.named && matches!(location, Location::Registry { .. }) {
            text.push_str(
                "names = \"repository\"  # its signatures say for which repository they are\n",
            );
        }
        text.push_str(content);
        for (predicate_type, by) in &self.stated {
            text.push_str(&requirement(predicate_type, by));
        }
        for other in &self.others {
            let claimed = quoted(other);
            text.push_str(&format!(
                "\n# Attached, too, but by nobody who was named: {claimed}\n"
            ));
        }
        text
    }
}

/// Returns the rules for content that the artifact meets by what its manifest says, with some room.
fn content(artifact: &Artifact) -> String {
    let Document::Manifest(manifest) = artifact.document().document() else {
        return String::new();
    };
    let Ok(files) = model::files(manifest) else {
        return String::new();
    };
    let rules = ContentRules::without_code().on_executable_bit(ExecutableBit::Deny);
    let executable_bit = match rules.judge_claims(&files).is_empty() {
        true => "deny",
        false => "allow",
    };
    let bytes = files
        .iter()
        .fold(0_u64, |sum, file| sum.saturating_add(file.descriptor.size));
    format!(
        "\n[policies.content]  # no code, by bytes; the rest as its manifest says, with some room\n\
         executable_bit = \"{executable_bit}\"\nmax_files = {}\nmax_total_size = \"{}GiB\"\n",
        (files.len() as u64).saturating_mul(2),
        (bytes >> 30).saturating_add(1).saturating_mul(2)
    )
}

/// Returns what an authority is called.
fn called(index: usize) -> String {
    format!("signer-{}", index + 1)
}

fn authority(index: usize, signer: &SignerIdentity) -> String {
    let name = called(index);
    let who = match signer {
        SignerIdentity::Key { name, .. } => format!("keys = [{}]", quoted(name)),
        SignerIdentity::Keyless {
            identity, issuer, ..
        } => format!(
            "identity = {}\nissuer = {}",
            quoted(identity),
            quoted(issuer)
        ),
        SignerIdentity::Certificate {
            name,
            subject,
            root: Some(_),
            ..
        } => format!(
            "ca_roots = [{}]\nsubject = {}",
            quoted(name),
            quoted(subject)
        ),
        SignerIdentity::Certificate { name, .. } => format!("certificate = {}", quoted(name)),
        // What a policy file cannot name is for whoever reviews it.
        other => format!("# {}", quoted(&other.to_string())),
    };
    format!("\n[authorities.{name}]\n{who}\n")
}

fn scope(location: &Location) -> (String, String) {
    match location {
        Location::Registry { host, repository } => (
            repository.clone(),
            format!("{}/{repository}", host.to_ascii_lowercase()),
        ),
        Location::Layout(_) => ("layouts".to_owned(), "oci:**".to_owned()),
    }
}

fn requirement(predicate_type: &str, by: &BTreeSet<usize>) -> String {
    let names: Vec<_> = by.iter().map(|index| quoted(&called(*index))).collect();
    let kind = match predicate_type {
        signature if oms::is_model_signature(signature) => "kind = \"model-signature\"".to_owned(),
        statement::SIGNATURE => "kind = \"signature\"".to_owned(),
        other => format!("kind = \"attestation\"\npredicate_type = {}", quoted(other)),
    };
    format!(
        "\n[[policies.require]]\n{kind}\nauthorities = [{}]\nthreshold = {}\n",
        names.join(", "),
        names.len()
    )
}

/// Returns `text` as a TOML string: what comes from a certificate or bundle must not end it.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
