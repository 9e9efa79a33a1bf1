//! Answers that are wrong: each ends a pull with its reason, and nothing is left of it.

use crate::Scene;
use crate::support::registry::{Action, Fault};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// A wrong answer: to what, how, and what comes of it.
struct Wrong {
    to: &'static str,
    does: Vec<Action>,
    code: i32,
    reason: &'static str,
}

fn wrong(to: &'static str, does: Action, code: i32, reason: &'static str) -> Wrong {
    Wrong {
        to,
        does: vec![does],
        code,
        reason,
    }
}

fn header(name: &str, value: &str) -> Action {
    Action::Header(name.to_owned(), value.to_owned())
}

fn answer(media_type: &str, body: &str) -> Action {
    let headers = vec![("content-type".to_owned(), media_type.to_owned())];
    Action::Respond(200, headers, body.as_bytes().to_vec())
}

fn redirect(location: &str) -> Action {
    let headers = vec![("location".to_owned(), location.to_owned())];
    Action::Respond(307, headers, Vec::new())
}

/// Answers each of `wrongs` to a pull, one after the other, and asserts what comes of it.
#[track_caller]
fn each_is_refused(scene: &Scene, wrongs: Vec<Wrong>) {
    for wrong in wrongs {
        let to = match wrong.to {
            "the weights" => format!("/blobs/{}", scene.weights),
            to => to.to_owned(),
        };
        let fault = wrong
            .does
            .into_iter()
            .fold(Fault::on("GET", &to), Fault::does);
        scene.registry.fault(fault);
        let pulled = scene.pull();
        let expected = (wrong.code, wrong.reason);
        let found = (pulled.code, pulled.reason());
        assert_eq!(found, expected, "{to}: {}", pulled.stderr);
        assert_eq!(pulled.stdout, "");
        scene.no_trace(&to);
        scene.registry.clear_faults();
    }
    scene.twin_passes();
}

#[test]
fn a_wrong_manifest_is_refused() {
    let scene = Scene::new();
    let tag = "/manifests/v1";
    let other = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
    let polyglot = format!(
        r#"{{"schemaVersion":2,"mediaType":"{INDEX}","config":{{}},"layers":[],"manifests":[]}}"#
    );
    each_is_refused(
        &scene,
        vec![
            wrong(
                tag,
                header("docker-content-digest", other),
                4,
                "digest-mismatch",
            ),
            wrong(
                tag,
                header("docker-content-digest", "sha256:../.."),
                4,
                "digest-mismatch",
            ),
            wrong(tag, header("content-type", INDEX), 4, "manifest-invalid"),
            wrong(
                tag,
                header("content-type", "text/html"),
                7,
                "registry-protocol",
            ),
            wrong(tag, answer(MANIFEST, "{"), 4, "json-invalid"),
            wrong(tag, answer(INDEX, &polyglot), 4, "manifest-invalid"),
            wrong(tag, answer(MANIFEST, &polyglot), 4, "manifest-invalid"),
            wrong(tag, Action::Endless, 4, "too-large"),
            wrong(
                tag,
                header("content-encoding", "gzip"),
                7,
                "registry-protocol",
            ),
            wrong(
                tag,
                redirect("http://169.254.169.254/latest"),
                7,
                "registry-protocol",
            ),
            wrong(tag, redirect("file:///etc/passwd"), 7, "registry-protocol"),
        ],
    );
}

#[test]
fn a_digest_that_is_none_is_refused_wherever_it_stands() {
    let scene = Scene::new();
    let manifest = scene.registry.manifest("acme/bert", &scene.digest).unwrap();
    let manifest = String::from_utf8(manifest.bytes.to_vec()).unwrap();
    let (_, config) = manifest.split_once(r#""digest":""#).unwrap();
    let config = config.split('"').next().unwrap();
    let zeros = "0".repeat(64);
    let subject =
        format!(r#"{{"subject":{{"mediaType":"{MANIFEST}","digest":"DIGEST","size":1}},"#);
    let positions = [
        manifest.replace(config, "DIGEST"),
        manifest.replace(&scene.weights, "DIGEST"),
        manifest.replacen('{', &subject, 1),
    ];
    let entry = format!(r#"{{"mediaType":"{MANIFEST}","digest":"DIGEST","size":1}}"#);
    let list = format!(r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[{entry}]}}"#);
    let mut wrongs = Vec::new();
    for bad in [
        "",
        "sha256:",
        "sha256:abc",
        "sha256:../../../../etc/passwd",
        &format!("SHA256:{zeros}"),
        &format!("sha256:{}", "A".repeat(64)),
        &format!("sha256:{zeros}0"),
        &format!("sha256-{zeros}"),
        &format!("sha1:{}", &zeros[..40]),
        &format!("md5:{}", &zeros[..32]),
        &format!("sha512:{zeros}{zeros}"),
    ] {
        for position in &positions {
            let altered = position.replace("DIGEST", bad);
            let fault = answer(MANIFEST, &altered);
            wrongs.push(wrong("/manifests/v1", fault, 4, "manifest-invalid"));
        }
        let altered = answer(INDEX, &list.replace("DIGEST", bad));
        wrongs.push(wrong("/referrers/", altered, 4, "manifest-invalid"));
    }
    each_is_refused(&scene, wrongs);
}

#[test]
fn wrong_content_is_refused() {
    let scene = Scene::new();
    let weights = "the weights";
    each_is_refused(
        &scene,
        vec![
            wrong(weights, Action::Corrupt(0), 4, "digest-mismatch"),
            wrong(weights, Action::ExtraBytes(1 << 20), 4, "size-mismatch"),
            wrong(weights, Action::Endless, 4, "size-mismatch"),
            wrong(
                weights,
                answer("application/octet-stream", "short"),
                4,
                "size-mismatch",
            ),
            wrong(
                weights,
                header("content-encoding", "br"),
                7,
                "registry-protocol",
            ),
            wrong(
                weights,
                header("content-range", "bytes 0-3/4"),
                7,
                "registry-protocol",
            ),
            wrong(
                weights,
                Action::Status(404, String::new()),
                5,
                "blob-not-found",
            ),
            wrong(
                weights,
                Action::Status(206, String::new()),
                7,
                "registry-protocol",
            ),
            wrong(
                weights,
                redirect("http://[::ffff:169.254.169.254]/"),
                7,
                "registry-protocol",
            ),
            wrong(weights, redirect("?again"), 7, "registry-protocol"),
        ],
    );
}

#[test]
fn a_wrong_list_of_referrers_is_never_an_unsigned_model() {
    let list = "/referrers/";
    let scene = Scene::new();
    let link = |target: &str| header("link", &format!("<{target}>; rel=\"next\""));
    each_is_refused(
        &scene,
        vec![
            wrong(list, answer("text/html", "<html>"), 7, "registry-protocol"),
            wrong(list, answer(INDEX, "[]"), 4, "json-invalid"),
            wrong(
                list,
                answer(INDEX, r#"{"schemaVersion":2}"#),
                4,
                "manifest-invalid",
            ),
            wrong(list, Action::Endless, 4, "too-large"),
            wrong(
                list,
                link("/v2/acme/other/referrers/x"),
                7,
                "registry-protocol",
            ),
            wrong(list, link("http://127.0.0.1:1/"), 7, "registry-protocol"),
            wrong(list, link("?"), 7, "registry-protocol"),
            wrong(list, Action::Status(401, String::new()), 6, "unauthorised"),
            wrong(list, Action::Status(403, String::new()), 6, "forbidden"),
            wrong(
                list,
                Action::Status(400, String::new()),
                7,
                "registry-failed",
            ),
        ],
    );
}

#[test]
fn a_flood_of_referrers_is_never_an_unsigned_model() {
    let scene = Scene::new();
    let entry =
        |n: u32| format!(r#"{{"mediaType":"{MANIFEST}","digest":"sha256:{n:064x}","size":1}}"#);
    let entries: Vec<_> = (0..5000).map(entry).collect();
    let list = format!(
        r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[{}]}}"#,
        entries.join(",")
    );
    let flood = wrong("/referrers/", answer(INDEX, &list), 3, "too-many-referrers");
    each_is_refused(&scene, vec![flood]);
    assert_eq!(scene.registry.count("GET", "000000"), 0);
}

#[test]
fn content_that_is_said_to_be_elsewhere_is_not_fetched_there() {
    let scene = Scene::new();
    let elsewhere = crate::Registry::start(crate::Options::default());
    let manifest = scene.registry.manifest("acme/bert", &scene.digest).unwrap();
    let text = String::from_utf8(manifest.bytes.to_vec()).unwrap();
    let urls = format!(r#","urls":["{}/weights"]}}]"#, elsewhere.url());
    let (head, tail) = text.rsplit_once("}]").unwrap();
    let altered = format!("{head}{urls}{tail}");
    let digest = scene.registry.put_manifest("acme/bert", MANIFEST, &altered);
    scene.registry.put_tag("acme/bert", "foreign", &digest);

    let foreign = scene.reference.replace(":v1", ":foreign");
    let pulled = scene.at.run(&["pull", &foreign, "out"]);
    pulled.refused(4, "manifest-invalid");
    assert!(elsewhere.requests().is_empty());
    scene.no_trace("urls");
    scene.twin_passes();
}

#[test]
fn an_index_is_not_taken_for_the_model_in_it() {
    let scene = Scene::new();
    let size = scene.registry.manifest("acme/bert", &scene.digest).unwrap();
    let list = format!(
        r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[{{"mediaType":"{MANIFEST}","digest":"{}","size":{}}}]}}"#,
        scene.digest,
        size.bytes.len()
    );
    let index = scene.registry.put_manifest("acme/bert", INDEX, &list);
    scene.registry.put_tag("acme/bert", "index", &index);
    let index = scene.reference.replace(":v1", ":index");
    // The signature is on the manifest, so nothing is signed that the tag names.
    let verified = ["pull", &index, "out", "--verify", "--key", "cosign.pub"];
    scene.at.run(&verified).refused(3, "signature-missing");
    scene
        .at
        .run(&["pull", &index, "out"])
        .refused(4, "not-a-model");
    scene.no_trace("index");
    scene.twin_passes();
}
