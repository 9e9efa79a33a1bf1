use super::*;

const HEAD: &str = "version = 1\ndefault = \"deny\"\n";

const GOOD: &str = r#"version = 1
default = "deny"
[instances.acme]
trusted_root = "root.json"
[authorities.release]
keys = ["release.pub", { file = "old.pub", valid_until = 2026-01-01T00:00:00Z }]
[authorities.ci]
identity_glob = "https://github.com/acme/models/.github/workflows/release.yml@refs/tags/v*"
issuer = "https://token.actions.githubusercontent.com"
claims = { sourceRepositoryUri = "https://github.com/acme/models" }
instance = "acme"
[authorities.corp]
ca_roots = ["root.pem"]
subject = "CN=release,O=Acme"
[authorities.audit]
identity = "audit@acme.example"
issuer = "https://accounts.example.com"
[revocations]
reference = "registry.example.com/acme/revocations:v1"
authorities = ["audit"]
max_age = "24h"
[[policies]]
name = "models"
scopes = ["registry.example.com/acme/**"]
mode = "enforce"
names = "tag"
remap = { "mirror.corp/acme" = "registry.example.com/acme" }
max_signature_age = "365d"
min_signature_age = "1h"
downgrade = "deny"
[policies.content]
allow = ["data", "numpy"]
unknown = "deny"
max_files = 64
[[policies.require]]
kind = "signature"
authorities = ["ci", "release"]
threshold = 2
demand = ["logged"]
[[policies.require]]
kind = "attestation"
predicate_type = "slsaprovenance1"
authorities = ["ci"]
where = [
  { path = "/runDetails/builder/id", equals_claim = "buildSignerUri" },
  { path = "/buildDefinition/resolvedDependencies", each = [{ path = "/uri", below = "git+https://github.com/acme" }] },
]
[[policies.require]]
kind = "vsa"
authorities = ["audit"]
verifier = "https://acme.example/verifier"
levels = ["SLSA_BUILD_LEVEL_3"]
[[policies]]
name = "other"
scopes = ["registry.example.com/**", "oci:**"]
mode = "warn"
[[policies.require]]
kind = "signature"
authorities = ["release"]
"#;

fn parse(text: &str) -> Result<PolicyFile> {
    PolicyFile::parse(text.as_bytes(), Path::new("etc/policy.toml"))
}

fn covering<'a>(file: &'a PolicyFile, reference: &str) -> Option<&'a str> {
    let reference: Reference = reference.parse().unwrap();
    let found = file.covering(reference.location())?;
    Some(found.name.as_str())
}

#[test]
fn every_field_is_read() {
    let file = parse(GOOD).unwrap();
    assert_eq!(file.default, Uncovered::Deny);
    assert_eq!(file.digest, Digest::of(GOOD.as_bytes()));
    let Trusted::Keys { keys, instance } = &file.authorities["release"] else {
        panic!("a release is by keys");
    };
    assert_eq!((keys.len(), instance), (2, &None));
    assert_eq!(keys[0].file, Path::new("etc/release.pub"));
    assert!(keys[1].validity.until.is_some() && keys[1].validity.from.is_none());
    let models = &file.policies[0];
    assert_eq!(models.policy.rules().len(), 3);
    assert_eq!(models.policy.downgrade(), crate::policy::Downgrade::Deny);
    assert_eq!(
        models.authorities(),
        BTreeSet::from(["audit", "ci", "release"])
    );
    let [signature, provenance, summary] = models.policy.rules() else {
        panic!("there are three rules");
    };
    assert_eq!((signature.threshold(), provenance.threshold()), (2, 1));
    assert_eq!(provenance.constraints().len(), 2);
    assert_eq!(summary.constraints().len(), 3);
    assert_eq!(signature.conditions().demands.len(), 1);
    assert!(provenance.conditions().max_age.is_some());
}

#[test]
fn the_most_specific_policy_counts_wherever_it_stands() {
    let file = parse(GOOD).unwrap();
    assert_eq!(
        covering(&file, "registry.example.com/acme/bert:v1"),
        Some("models")
    );
    assert_eq!(
        covering(&file, "registry.example.com/acme/a/b:v1"),
        Some("models")
    );
    assert_eq!(
        covering(&file, "registry.example.com/acme-evil/bert:v1"),
        Some("other")
    );
    assert_eq!(covering(&file, "oci:./store:v1"), Some("other"));
    assert_eq!(
        covering(&file, "registry.example.com.evil/acme/bert:v1"),
        None
    );
}

/// Each is [`GOOD`] with one thing changed.
const BREAKS: [(&str, &str); 72] = [
    ("version = 1", "version = 2"),
    ("version = 1", "version = \"1\""),
    ("version = 1\n", ""),
    ("default = \"deny\"\n", ""),
    ("default = \"deny\"", "default = \"accept\""),
    (
        "default = \"deny\"",
        "default = \"deny\"\ndefault = \"allow\"",
    ),
    ("default = \"deny\"", "default = \"deny\"\nlocked = \"yes\""),
    ("default = \"deny\"", "default = \"deny\"\nunknown = 1"),
    ("[instances.acme]", "[instances.public-good]"),
    ("trusted_root = \"root.json\"", ""),
    ("trusted_root = \"root.json\"", "trusted_root = \"\""),
    (
        "trusted_root = \"root.json\"",
        "trusted_root = \"root.json\"\ntuf_mirror = \"https://x\"",
    ),
    ("trusted_root = \"root.json\"", "tuf_mirror = \"https://x\""),
    ("[authorities.release]", "[authority.release]"),
    ("keys = [\"release.pub\", {", "key = [\"release.pub\", {"),
    (
        "keys = [\"release.pub\", { file = \"old.pub\", valid_until = 2026-01-01T00:00:00Z }]",
        "keys = []",
    ),
    ("file = \"old.pub\", ", ""),
    ("file = \"old.pub\",", "file = 1,"),
    (
        "valid_until = 2026-01-01T00:00:00Z",
        "valid_until = 2026-01-01",
    ),
    (
        "valid_until = 2026-01-01T00:00:00Z",
        "valid_until = \"2026-01-01T00:00:00Z\"",
    ),
    (
        "valid_until = 2026-01-01T00:00:00Z",
        "valid_until = 2026-01-01T00:00:00Z, valid_from = 2027-01-01T00:00:00Z",
    ),
    (
        "valid_until = 2026-01-01T00:00:00Z",
        "valid_unti = 2026-01-01T00:00:00Z",
    ),
    (
        "issuer = \"https://token.actions.githubusercontent.com\"\n",
        "",
    ),
    (
        "issuer = \"https://token.actions.githubusercontent.com\"",
        "issuer = \"\"",
    ),
    ("@refs/tags/v*\"", "@refs/tags/**\""),
    ("@refs/tags/v*\"", "@refs/tags/v*\"\nidentity = \"x\""),
    ("identity = \"audit@acme.example\"\n", ""),
    ("subject = \"CN=release,O=Acme\"\n", ""),
    ("subject = \"CN=release,O=Acme\"", "subject = \"release\""),
    (
        "subject = \"CN=release,O=Acme\"",
        "subject = \"CN=release,O=Acme\"\nissuer = \"x\"",
    ),
    ("ca_roots = [\"root.pem\"]", "ca_roots = []"),
    ("ca_roots = [\"root.pem\"]", "certificate = \"x.pem\""),
    (
        "identity = \"audit@acme.example\"",
        "identity_regexp = \".*\"",
    ),
    (
        "identity = \"audit@acme.example\"",
        "identity_regexp = \"(\"",
    ),
    ("identity = \"audit@acme.example\"", "identity_glob = \"*\""),
    (
        "identity = \"audit@acme.example\"",
        "identity_glob = \"*@*\"",
    ),
    (
        "identity = \"audit@acme.example\"",
        "identity_glob = \"https://*/acme\"",
    ),
    (
        "identity = \"audit@acme.example\"",
        "identity_glob = \"https://github.com*\"",
    ),
    ("sourceRepositoryUri =", "sourceRepository ="),
    ("instance = \"acme\"", "instance = \"acne\""),
    (
        "reference = \"registry.example.com/acme/revocations:v1\"\n",
        "",
    ),
    (
        "reference = \"registry.example.com/acme/revocations:v1\"",
        "reference = \"revocations\"",
    ),
    (
        "reference = \"registry.example.com/acme/revocations:v1\"",
        "reference = \"r.example/x:v1\"\nfile = \"x\"",
    ),
    (
        "authorities = [\"audit\"]\nmax_age",
        "authorities = [\"nobody\"]\nmax_age",
    ),
    ("max_age = \"24h\"", "max_age = \"24\""),
    ("max_age = \"24h\"", "max_age = \"0h\""),
    ("max_age = \"24h\"", "max_age = 24"),
    ("max_age = \"24h\"", "on_unavailable = \"warn\""),
    ("name = \"models\"\n", ""),
    ("name = \"models\"", "name = \"other\""),
    ("scopes = [\"registry.example.com/acme/**\"]\n", ""),
    ("scopes = [\"registry.example.com/acme/**\"]", "scopes = []"),
    (
        "scopes = [\"registry.example.com/acme/**\"]",
        "scopes = [\"registry.example.com/acme*\"]",
    ),
    (
        "scopes = [\"registry.example.com/acme/**\"]",
        "scopes = [\"oci:**\"]",
    ),
    (
        "scopes = [\"registry.example.com/acme/**\"]",
        "scopes = [\"registry.example.com/*\", \"registry.example.com/*/**\"]",
    ),
    ("mode = \"enforce\"", "mode = \"audit\""),
    ("names = \"tag\"", "names = \"any\""),
    ("names = \"tag\"\n", ""),
    ("\"mirror.corp/acme\" =", "\"mirror.corp/*\" ="),
    ("min_signature_age = \"1h\"", "min_signature_age = \"400d\""),
    ("downgrade = \"deny\"", "downgrade = true"),
    ("threshold = 2", "threshold = 3"),
    ("threshold = 2", "threshold = 0"),
    ("threshold = 2", "threshold = -1"),
    ("threshold = 2", "threshhold = 2"),
    (
        "authorities = [\"ci\", \"release\"]",
        "authorities = [\"ci\", \"ci\"]",
    ),
    (
        "demand = [\"logged\"]",
        "where = [{ path = \"/x\", exists = true }]",
    ),
    ("predicate_type = \"slsaprovenance1\"\n", ""),
    (
        "predicate_type = \"slsaprovenance1\"",
        "predicate_type = \"https://sigstore.dev/cosign/sign/v1\"",
    ),
    ("[policies.content]", "[policies.contents]"),
    ("unknown = \"deny\"", "unknown = \"ask\""),
    ("max_files = 64", "max_files = 0"),
];

#[test]
fn whatever_is_not_understood_or_not_enforced_is_an_error_with_its_place() {
    for (from, to) in BREAKS {
        let broken = GOOD.replacen(from, to, 1);
        assert_ne!(broken, GOOD, "{from}");
        let error = parse(&broken).expect_err(to);
        assert_eq!(error.reason(), Reason::PolicyInvalid, "{to}: {error}");
        let placed = error.message().starts_with("`etc/policy.toml`, line ");
        assert!(
            placed && error.message().contains(", column "),
            "{to}: {error}"
        );
    }
}

#[test]
fn constraints_that_mean_nothing_are_errors() {
    let good = "{ path = \"/runDetails/builder/id\", equals_claim = \"buildSignerUri\" }";
    for bad in [
        "{ equals = 1 }",
        "{ path = \"/a\" }",
        "{ path = \"a\", equals = 1 }",
        "{ path = \"/a\", equals = 1, one_of = [1] }",
        "{ path = \"/a\", equal = 1 }",
        "{ path = \"/a\", equals = [1] }",
        "{ path = \"/a\", equals = 2026-01-01T00:00:00Z }",
        "{ path = \"/a\", one_of = [] }",
        "{ path = \"/a\", one_of = \"x\" }",
        "{ path = \"/a\", exists = false }",
        "{ path = \"/a\", absent = 1 }",
        "{ path = \"/a\", equals_claim = \"issuer\" }",
        "{ path = \"/a\", glob = \"a?\" }",
        "{ path = \"/a\", regexp = \"(\" }",
        "{ path = \"/a\", below = \"\" }",
        "{ path = \"/a\", min = \"3\" }",
        "{ path = \"/a\", max = nan }",
        "{ path = \"/a\", max_age = \"3 days\" }",
        "{ path = \"/a\", each = [] }",
        "{ path = \"/a\", each = [{ path = \"/b\" }] }",
    ] {
        let error = parse(&GOOD.replacen(good, bad, 1)).expect_err(bad);
        assert_eq!(error.reason(), Reason::PolicyInvalid, "{bad}");
    }
    let deep = |depth: usize| {
        let open = "{ path = \"/a\", each = [".repeat(depth);
        let close = "] }".repeat(depth);
        GOOD.replacen(
            good,
            &format!("{open}{{ path = \"/a\", exists = true }}{close}"),
            1,
        )
    };
    parse(&deep(3)).unwrap();
    parse(&deep(4)).unwrap_err();
}

#[test]
fn an_error_says_where_and_what_was_meant() {
    let text = GOOD.replacen("threshold = 2", "threshhold = 2", 1);
    let error = parse(&text).unwrap_err();
    let line = text
        .lines()
        .position(|line| line.contains("threshhold"))
        .unwrap()
        + 1;
    assert_eq!(
        error.message(),
        format!(
            "`etc/policy.toml`, line {line}, column 1: there is no field `threshhold` here; is `threshold` meant?"
        )
    );
    let error = parse(&format!("{HEAD}policies = 3\n")).unwrap_err();
    assert!(
        error
            .message()
            .contains("line 3, column 12: this must be a list, not integer"),
        "{error}"
    );
    let error = PolicyFile::parse(b"\xff", Path::new("p")).unwrap_err();
    assert_eq!(error.reason(), Reason::PolicyInvalid);
}

#[test]
fn a_file_without_policies_covers_nothing() {
    let file = parse(HEAD).unwrap();
    assert!(file.policies.is_empty() && !file.locked);
    assert_eq!(covering(&file, "registry.example.com/acme/bert:v1"), None);
    assert!(parse(&format!("{HEAD}locked = true\n")).unwrap().locked);
}

#[test]
fn the_documented_example_is_a_policy_and_has_every_field() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/policy.toml");
    let file = PolicyFile::parse(&std::fs::read(&path).unwrap(), &path).unwrap();
    assert_eq!(file.policies.len(), 3);
    assert_eq!(covering(&file, "mirror.corp/acme/bert:v1"), Some("models"));
    assert_eq!(
        covering(&file, "registry.example.com/evaluated/x:v1"),
        Some("evaluated")
    );
    assert_eq!(covering(&file, "oci:./store:v1"), Some("layouts"));
}

/// A key that nobody reads could be the one that kept a stranger out.
#[test]
fn whichever_key_is_misspelt_the_file_is_refused_with_the_place() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/policy.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let is_key = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut keys = 0;
    for (at, _) in text.match_indices(" = ") {
        let before = &text[..at];
        let name = before.len() - before.trim_end_matches(is_key).len();
        let line = before.rsplit('\n').next().unwrap();
        // The names in `remap` are the user's own, and what is behind `#` is no key.
        if name == 0 || line.contains('#') {
            continue;
        }
        keys += 1;
        let broken = format!("{before}x{}", &text[at..]);
        let error = parse(&broken).expect_err(line);
        assert_eq!(error.reason(), Reason::PolicyInvalid, "{line}");
        let message = error.message();
        assert!(message.starts_with("`etc/policy.toml`, line "), "{message}");
        assert!(message.contains(", column "), "{message}");
    }
    assert!(keys > 80, "{keys}");
    for header in [
        "instances",
        "authorities",
        "revocations",
        "policies",
        "policies.content",
    ] {
        let broken = text.replace(&format!("[{header}"), &format!("[{header}x"));
        assert_ne!(broken, text);
        parse(&broken).expect_err(header);
    }
}
