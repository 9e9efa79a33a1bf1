//! A chain for people, and for `--json`.

use std::collections::BTreeSet;

use modelctl::chain::{Chain, Input, Link, Origin};
use serde::Serialize;

use super::super::terminal::printable;

/// A walked chain in JSON.
#[derive(Serialize)]
pub(in super::super) struct Walked<'a> {
    chain: Told<'a>,
}

#[derive(Serialize)]
struct Told<'a> {
    whole: bool,
    links: usize,
    #[serde(flatten)]
    chain: &'a Chain,
}

impl<'a> Walked<'a> {
    pub(in super::super) fn new(chain: &'a Chain) -> Self {
        Self {
            chain: Told {
                whole: chain.is_whole(),
                links: chain.links().len(),
                chain,
            },
        }
    }
}

/// A line with what hangs below it.
struct Node {
    label: String,
    below: Vec<Node>,
}

/// Returns `chain` as a tree, line by line: each link with who signed it, every gap below the link
/// that has it.
pub(in super::super) fn drawn(chain: &Chain) -> Vec<String> {
    let root = node(chain.root());
    let mut lines = vec![printable(&root.label)];
    draw(&root.below, "", &mut lines);
    lines
}

fn node(link: &Link) -> Node {
    let role = link.role.map_or(String::new(), |role| format!("{role} "));
    let leaf = |label| Node {
        label,
        below: Vec::new(),
    };
    let gaps = link.gaps.iter();
    let mut below: Vec<_> = gaps
        .map(|gap| leaf(format!("GAP {}: {gap}", gap.reason().code())))
        .collect();
    below.extend(link.inputs.iter().map(|input| leaf(taken_in(input))));
    below.extend(link.links.iter().map(node));
    Node {
        label: format!("{role}{}  {}", link.label(), state(link)),
        below,
    }
}

/// Says what is known of a link.
fn state(link: &Link) -> String {
    let mut parts = Vec::new();
    if let Some(verdict) = link.verdict.as_ref().filter(|verdict| verdict.admits()) {
        let signers = verdict.evidence().into_iter();
        let signers: BTreeSet<_> = signers.map(|one| one.signer.to_string()).collect();
        let signers: Vec<_> = signers.into_iter().collect();
        parts.push(format!("verified: {}", signers.join(", ")));
    }
    match &link.origin {
        Origin::Vouched { verifier, .. } => parts.push(format!("vouched for by {verifier}")),
        Origin::Unstated => parts.push("no provenance: its origin is not stated".to_owned()),
        Origin::Elsewhere => parts.push("shown at another place of this tree".to_owned()),
        Origin::Stated { .. } | Origin::Unknown => {}
    }
    if !link.holds() {
        parts.push("BROKEN".to_owned());
    }
    parts.join("; ")
}

/// Returns what is shown of an input that is not followed.
fn taken_in(input: &Input) -> String {
    let role = input.role.map_or("input", |role| role.word());
    let mut digests = input
        .digest
        .iter()
        .map(|(name, hex)| format!("{name}:{hex:.12}…"));
    let digest = digests.next().unwrap_or_default();
    let label = input.label();
    format!("{role} {label}  {digest}").trim_end().to_owned()
}

fn draw(nodes: &[Node], indent: &str, lines: &mut Vec<String>) {
    for (index, node) in nodes.iter().enumerate() {
        let (branch, rest) = match index + 1 == nodes.len() {
            true => ("└── ", "    "),
            false => ("├── ", "│   "),
        };
        lines.push(format!("{indent}{branch}{}", printable(&node.label)));
        draw(&node.below, &format!("{indent}{rest}"), lines);
    }
}
