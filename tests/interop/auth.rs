//! Accounts: Basic over TLS by a private CA, and Bearer tokens.

use crate::certificate::Authority;
use crate::keys;
use crate::lab::{Lab, assert_same_files};
use crate::registry::{PASSWORD, Registry, USER};

/// Returns a lab with `tools` and a registry with TLS and an account.
fn lab_with_basic_auth<const N: usize>(tools: [&str; N]) -> Option<(Lab, Registry)> {
    let lab = Lab::with(tools)?;
    let authority = Authority::new();
    lab.write("ca.crt", authority.certificate());
    let registry = Registry::with_basic_auth(&authority)?;
    Some((lab, registry))
}

#[test]
fn a_password_from_standard_input_opens_a_registry_with_a_private_ca() {
    let Some((lab, registry)) = lab_with_basic_auth([]) else {
        return;
    };
    keys::write_pair(&lab, "release");
    let model = registry.reference("acme/bert:v1");
    let account = format!("--ca-file ca.crt --username {USER} --password-stdin");
    lab.run_with_input(
        format!("modelctl push {model} ./model --sign --key release.key {account}"),
        PASSWORD,
    )
    .succeeds();
    lab.run_with_input(
        format!("modelctl pull {model} ./pulled --verify --key release.pub {account}"),
        PASSWORD,
    )
    .succeeds();
    assert_same_files(&lab.path("model"), &lab.path("pulled"));
}

#[test]
fn a_wrong_password_is_refused_and_never_shown() {
    let Some((lab, registry)) = lab_with_basic_auth([]) else {
        return;
    };
    let model = registry.reference("acme/bert:v1");
    let push = format!("modelctl push {model} ./model --ca-file ca.crt");
    let account = format!("--username {USER} --password-stdin");
    let refused = lab.run_with_input(format!("{push} {account}"), "guess-4711");
    let refused = refused.refuses(6, "unauthorised");
    assert!(!refused.to_string().contains("guess-4711"), "{refused}");
    lab.run(&push).refuses(6, "unauthorised");
    lab.run_with_input(format!("{push} {account}"), PASSWORD)
        .succeeds();
}

#[test]
fn an_unknown_ca_is_no_reason_to_fall_back_to_plain_http() {
    let Some((lab, registry)) = lab_with_basic_auth([]) else {
        return;
    };
    lab.write("other.crt", Authority::new().certificate());
    let model = registry.reference("acme/bert:v1");
    let account = format!("--username {USER} --password-stdin");
    lab.run_with_input(
        format!("modelctl push {model} ./model --ca-file other.crt {account}"),
        PASSWORD,
    )
    .refuses(7, "tls");
    lab.run_with_input(
        format!("modelctl push {model} ./model --ca-file ca.crt {account}"),
        PASSWORD,
    )
    .succeeds();
}

#[test]
fn login_keeps_the_account_and_logout_forgets_it() {
    let Some((lab, registry)) = lab_with_basic_auth([]) else {
        return;
    };
    let model = registry.reference("acme/bert:v1");
    let push = format!("modelctl push {model} ./model --ca-file ca.crt");
    let login = format!("modelctl login {} --ca-file ca.crt", registry.host());
    let login = format!("{login} --username {USER} --password-stdin");
    lab.run_with_input(&login, "guess-4711")
        .refuses(6, "unauthorised");
    lab.run(&push).refuses(6, "unauthorised");
    lab.run_with_input(&login, PASSWORD).succeeds();
    lab.run(&push).succeeds();
    lab.run(format!("modelctl logout {}", registry.host()))
        .succeeds();
    lab.run(&push).refuses(6, "unauthorised");
}

#[test]
fn oras_uses_the_account_that_modelctl_keeps() {
    let Some((lab, registry)) = lab_with_basic_auth(["oras"]) else {
        return;
    };
    let model = registry.reference("acme/bert:v1");
    lab.run_with_input(
        format!(
            "modelctl login {} --ca-file ca.crt --username {USER} --password-stdin",
            registry.host()
        ),
        PASSWORD,
    )
    .succeeds();
    lab.run(format!("modelctl push {model} ./model --ca-file ca.crt"))
        .succeeds();
    lab.run(format!("oras pull --ca-file ca.crt -o by-oras {model}"))
        .succeeds();
    assert_same_files(&lab.path("model"), &lab.path("by-oras"));
}

#[test]
fn modelctl_uses_the_account_that_oras_keeps() {
    let Some((lab, registry)) = lab_with_basic_auth(["oras"]) else {
        return;
    };
    let login = format!("oras login {} --ca-file ca.crt", registry.host());
    lab.run_with_input(
        format!("{login} --username {USER} --password-stdin"),
        PASSWORD,
    )
    .succeeds();
    let model = registry.reference("acme/bert:v1");
    lab.run(format!("modelctl push {model} ./model --ca-file ca.crt"))
        .succeeds();
}

#[test]
fn bearer_tokens_let_everyone_pull_and_the_user_push() {
    let Some(lab) = Lab::with([]) else { return };
    let Some(registry) = Registry::with_bearer_auth() else {
        return;
    };
    keys::write_pair(&lab, "release");
    let model = registry.reference("acme/bert:v1");
    let push = format!("modelctl push {model} ./model --sign --key release.key");
    lab.run(&push).refuses(6, "unauthorised");
    let account = format!("--username {USER} --password-stdin");
    lab.run_with_input(format!("{push} {account}"), "guess-4711")
        .refuses(6, "unauthorised");
    lab.run_with_input(format!("{push} {account}"), PASSWORD)
        .succeeds();
    lab.run(format!(
        "modelctl pull {model} ./pulled --verify --key release.pub"
    ))
    .succeeds();
    assert_same_files(&lab.path("model"), &lab.path("pulled"));
}

#[test]
fn a_model_is_copied_between_repositories_behind_tokens() {
    let Some(lab) = Lab::with([]) else { return };
    let Some(registry) = Registry::with_bearer_auth() else {
        return;
    };
    keys::write_pair(&lab, "release");
    let model = registry.reference("acme/bert:v1");
    let copy = registry.reference("mirror/bert:v1");
    let account = format!("--username {USER} --password-stdin");
    lab.run_with_input(
        format!("modelctl push {model} ./model --sign --key release.key {account}"),
        PASSWORD,
    )
    .succeeds();
    lab.run_with_input(format!("modelctl copy {model} {copy} {account}"), PASSWORD)
        .succeeds();
    lab.run(format!("modelctl verify {copy} --key release.pub"))
        .succeeds();
}
