use serde_json::{Value, json};

use super::*;
use crate::digest::Digest;
use crate::error::Reason;
use crate::policy::constraint::Glob;
use crate::predicate::SLSA_PROVENANCE_V1;
use crate::provenance::slsa::SELF_RUN;
use crate::statement::Statement;
use crate::trust::SignerIdentity;

const HOSTED: &str = "https://ci.example/hosted";
const TRAIN: &str = "https://ci.example/train/v1";

fn signer(name: &str) -> SignerIdentity {
    SignerIdentity::Key {
        name: name.to_owned(),
        algorithm: "Ed25519".to_owned(),
        fingerprint: Digest::of(name.as_bytes()),
    }
}

fn provenance(builder: &str, build_type: &str) -> Value {
    json!({
        "buildDefinition": { "buildType": build_type, "externalParameters": {} },
        "runDetails": { "builder": { "id": builder } },
    })
}

fn statement(predicate: Value) -> Statement {
    Statement::attestation(&Digest::of(b"model"), "m", SLSA_PROVENANCE_V1, predicate)
}

fn listed(authority: &str, id: &str, level: Level) -> Builder {
    Builder::new(authority, Glob::new(id).unwrap(), level).unwrap()
}

/// `ci` is listed for a hosted builder, `forge` for any workflow of a repository and one type of
/// build.
fn builders() -> Builders {
    [
        listed("ci", HOSTED, Level::Two),
        listed("ci", "https://ci.example/hardened", Level::Three),
        listed("ci", "https://ci.example/h*", Level::One),
        listed(
            "forge",
            "https://forge.example/acme/*@refs/tags/v*",
            Level::Three,
        )
        .of_types([TRAIN]),
    ]
    .into_iter()
    .collect()
}

fn assess(builders: &Builders, authority: &str, builder: &str, build_type: &str) -> Assessment {
    let statement = statement(provenance(builder, build_type));
    builders.assess(&statement, &signer(authority)).unwrap()
}

#[test]
fn a_level_is_that_of_the_signer_and_builder_that_are_listed_together_and_else_one() {
    let tagged = "https://forge.example/acme/train.yml@refs/tags/v1";
    let cases = [
        // The pair, its twins with one half exchanged, and the pair of another entry.
        ("ci", HOSTED, TRAIN, Level::Two),
        ("ci", HOSTED, "https://ci.example/other/v1", Level::Two),
        ("forge", HOSTED, TRAIN, Level::One),
        ("ci", tagged, TRAIN, Level::One),
        ("stranger", HOSTED, TRAIN, Level::One),
        ("ci", "https://ci.example/hosted/", TRAIN, Level::One),
        ("ci", "https://ci.example/HOSTED", TRAIN, Level::One),
        ("ci", "https://ci.example/hardened", TRAIN, Level::Three),
        ("ci", "https://ci.example/hobby", TRAIN, Level::One),
        // A glob crosses neither `/` nor `@`, and the type counts where one is named.
        ("forge", tagged, TRAIN, Level::Three),
        ("forge", tagged, "https://ci.example/train/v2", Level::One),
        (
            "forge",
            "https://forge.example/acme/x/y.yml@refs/tags/v1",
            TRAIN,
            Level::One,
        ),
        (
            "forge",
            "https://forge.example/acme/t.yml@refs/heads/v1",
            TRAIN,
            Level::One,
        ),
        (
            "forge",
            "https://forge.example/acme-evil/t.yml@refs/tags/v1",
            TRAIN,
            Level::One,
        ),
    ];
    for (authority, builder, build_type, level) in cases {
        let found = assess(&builders(), authority, builder, build_type);
        assert_eq!(found.level, level, "{authority} {builder} {build_type}");
        // Without a list, nothing is more than what provenance by someone trusted is.
        let found = assess(&Builders::default(), authority, builder, build_type);
        assert_eq!(
            (found.level, found.ground),
            (Level::One, Ground::NoBuilders)
        );
    }
}

#[test]
fn it_is_said_on_what_a_level_rests_and_how_it_would_be_written() {
    let found = assess(&builders(), "ci", HOSTED, TRAIN);
    let Ground::Listed { id, build_types } = &found.ground else {
        panic!("{found:?}");
    };
    assert_eq!((id.as_str(), build_types.len()), (HOSTED, 0));
    assert!(
        found.to_string().contains("lists the signer \"ci\""),
        "{found}"
    );
    let odd = "https://ci.example/a\"b";
    let found = assess(&builders(), "ci", odd, TRAIN);
    assert_eq!(found.ground, Ground::Unlisted);
    let hint = found.way_out(Level::Three);
    assert!(
        hint.contains(r#"`authority = "ci"`, `id = "https://ci.example/a\"b"`, `level = 3`"#),
        "{hint}"
    );
    assert!(
        hint.contains("your word that this signer signs for this builder alone"),
        "{hint}"
    );
    let tagged = "https://forge.example/acme/train.yml@refs/tags/v1";
    let found = assess(&builders(), "forge", tagged, "https://x.example/t");
    assert_eq!(found.ground, Ground::OtherBuildType);
    assert!(found.way_out(Level::Two).contains("`build_types`"));
}

#[test]
fn what_is_no_provenance_is_of_no_level() {
    let malformed = [
        json!({}),
        json!({ "runDetails": { "builder": { "id": HOSTED } } }),
        provenance("", TRAIN),
        provenance(HOSTED, ""),
        json!({
            "buildDefinition": { "buildType": TRAIN, "externalParameters": {} },
            "runDetails": { "builder": { "id": [HOSTED] } },
        }),
    ];
    for predicate in malformed {
        let refused = builders().assess(&statement(predicate.clone()), &signer("ci"));
        let (reason, _) = refused.expect_err(&predicate.to_string());
        assert_eq!(reason, Reason::StatementInvalid, "{predicate}");
    }
    let good = statement(provenance(HOSTED, TRAIN));
    assert_eq!(
        builders().assess(&good, &signer("ci")).unwrap().level,
        Level::Two
    );
}

#[test]
fn a_run_that_no_platform_started_is_listed_at_level_one_only() {
    for (level, is_fine) in [
        (Level::One, true),
        (Level::Two, false),
        (Level::Three, false),
    ] {
        let made = Builder::new("me", Glob::new(SELF_RUN).unwrap(), level);
        assert_eq!(made.is_ok(), is_fine, "{level}");
    }
    let hint = assess(&builders(), "ci", SELF_RUN, TRAIN).way_out(Level::Two);
    assert!(!hint.contains("[[builders]]"), "nobody can list it: {hint}");
}

#[test]
fn entries_that_could_be_mistaken_for_each_other_tie() {
    let one = listed("ci", HOSTED, Level::Two);
    let typed = |types: &[&str]| listed("ci", HOSTED, Level::Three).of_types(types.to_vec());
    assert!(one.ties_with(&listed("ci", HOSTED, Level::Three)));
    assert!(one.ties_with(&typed(&[TRAIN])) && typed(&[TRAIN]).ties_with(&one));
    assert!(typed(&[TRAIN, "x:y"]).ties_with(&typed(&["x:y"])));
    assert!(!typed(&[TRAIN]).ties_with(&typed(&["x:y"])));
    assert!(!one.ties_with(&listed("forge", HOSTED, Level::Two)));
    assert!(!one.ties_with(&listed("ci", "https://ci.example/*", Level::Two)));
}

#[test]
fn levels_are_asked_for_by_number_and_called_as_summaries_call_them() {
    for (text, level, name) in [
        ("1", Level::One, "SLSA_BUILD_LEVEL_1"),
        ("2", Level::Two, "SLSA_BUILD_LEVEL_2"),
        ("3", Level::Three, "SLSA_BUILD_LEVEL_3"),
    ] {
        assert_eq!(text.parse::<Level>().unwrap(), level);
        assert_eq!(
            (level.name(), level.number().to_string().as_str()),
            (name, text)
        );
    }
    for text in ["0", "4", "-1", "", "L2", "2.0", "SLSA_BUILD_LEVEL_2"] {
        let error = text.parse::<Level>().unwrap_err();
        assert_eq!(error.reason(), Reason::Usage, "{text}");
    }
    assert_eq!(Level::Zero.name(), "SLSA_BUILD_LEVEL_0");
    assert!(Level::Zero < Level::One && Level::Two < Level::Three);
}
