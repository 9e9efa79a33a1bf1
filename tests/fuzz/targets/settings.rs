//! Files that users write, or are given.

use std::path::Path;

use modelctl::fuzzing;
use modelctl::policy::file::PolicyFile;
use modelctl::provenance::{run_file, slsa};
use modelctl::reference::Reference;
use modelctl::sign::services::SigningConfig;
use modelctl::trust::sigstore::SigstoreRoot;

use super::{Target, text};

pub(super) const POLICY: Target = Target::new("policy", |bytes| {
    let Ok(policy) = PolicyFile::parse(bytes, Path::new("policy.toml")) else {
        return;
    };
    for name in ["registry.example.com/acme/bert", "oci:./models"] {
        let reference: Reference = name.parse().expect("it is one");
        if let Some(covering) = policy.covering(reference.location()) {
            assert!(
                covering
                    .scopes
                    .iter()
                    .any(|scope| scope.covers(reference.location()))
            );
        }
    }
    for scoped in &policy.policies {
        for authority in scoped.authorities() {
            assert!(policy.authorities.contains_key(authority), "{authority}");
        }
    }
})
// Regular expressions become automata, of a megabyte each at most.
.peak(64 << 20)
.fixtures(&["../docs/policy.toml"]);

pub(super) const RUN: Target = Target::new("run", |bytes| {
    let Some(text) = text(bytes) else { return };
    if let Ok(run) = run_file::parse(text, Path::new("run.toml")) {
        slsa::predicate(&run, &[]).ok();
    }
})
.fixtures(&["../examples/run.toml"]);

pub(super) const HOSTS: Target = Target::new("hosts", |bytes| {
    if let Some(text) = text(bytes) {
        let _ = fuzzing::hosts_file(text);
    }
})
.seeds(&[
    b"server = \"https://registry.example.com\"\n[host.\"https://mirror.example.com:5000/v2/proxy\"]\n  capabilities = [\"pull\", \"resolve\"]\n  override_path = true\n  dial_timeout = \"5s\"\n  [host.\"https://mirror.example.com:5000/v2/proxy\".header]\n    x-a = [\"b\"]\n",
    b"[host.\"http://127.0.0.1:5000\"]\ncapabilities = [\"pull\"]\nskip_verify = false\nca = [\"no/ca.pem\"]\nclient = [[\"no/c.pem\", \"no/k.pem\"]]\n",
]);

pub(super) const DOCKER_CONFIG: Target = Target::new("docker-config", |bytes| {
    let _ = fuzzing::docker_config(bytes);
})
.seeds(&[
    br#"{"auths":{"https://index.docker.io/v1/":{"auth":"dXNlcjpwYXNz"},"registry.example.com/acme":{"username":"u","password":"p"},"a.example:5000":{"identitytoken":"t"}},"credHelpers":{"b.example":"secretservice"},"credsStore":"desktop"}"#,
]);

pub(super) const SIGNING_CONFIG: Target = Target::new("signing-config", |bytes| {
    let _ = SigningConfig::parse(bytes, "it");
})
.seeds(&[br#"{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json","caUrls":[{"url":"https://fulcio.example.com","majorApiVersion":1,"validFor":{"start":"2026-01-01T00:00:00Z","end":"2027-01-01T00:00:00Z"},"operator":"a"}],"oidcUrls":[{"url":"https://oauth2.example.com/auth","majorApiVersion":1,"validFor":{"start":"2026-01-01T00:00:00Z"},"operator":"a"}],"rekorTlogUrls":[{"url":"https://rekor.example.com","majorApiVersion":2,"validFor":{"start":"2026-01-01T00:00:00Z"},"operator":"a"}],"tsaUrls":[{"url":"https://tsa.example.com/api/v1/timestamp","majorApiVersion":1,"validFor":{"start":"2026-01-01T00:00:00Z"},"operator":"a"}],"rekorTlogConfig":{"selector":"EXACT","count":1},"tsaConfig":{"selector":"ANY"}}"#]);

pub(super) const TRUSTED_ROOT: Target = Target::new("trusted-root", |bytes| {
    let _ = SigstoreRoot::from_json(bytes, "it");
})
.fixtures(&[
    "keyless/trusted_root.json",
    "keyless/cosign.trusted_root.json",
]);
