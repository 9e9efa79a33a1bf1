//! Who sees which secret: credentials, certificates and fields are for one host each.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use modelctl::error::Result;
use modelctl::manifest::Descriptor;
use modelctl::registry::auth::{Credential, CredentialSource, Fixed};
use modelctl::registry::mirrors::{Mirrored, Mirrors};
use modelctl::registry::{ClientIdentity, Settings};
use modelctl::secret::Secret;
use modelctl::store::Store;

use crate::support::registry::{Action, Auth, Fault, Options, Registry, Tls};
use crate::{Scene, first, origin};

const CANARY: &str = "canary-s3cret";

fn password(text: &str) -> Credential {
    Credential::Basic {
        username: "alice".to_owned(),
        password: Secret::new(text.to_owned()),
    }
}

fn basic(password: &str) -> Options {
    Options {
        auth: Auth::Basic {
            user: "alice".to_owned(),
            password: password.to_owned(),
        },
        ..Options::default()
    }
}

/// Settings with the registry's own credentials.
fn known(scene: &Scene) -> Settings {
    Settings {
        credentials: Arc::new(Fixed(password(CANARY))),
        ..scene.settings()
    }
}

/// Credentials for mirrors, which remember for whom they were asked.
#[derive(Default, Clone)]
struct Asked(Arc<Mutex<Vec<String>>>);

#[async_trait]
impl CredentialSource for Asked {
    async fn credential(&self, host: &str, _: Option<&str>) -> Result<Option<Credential>> {
        self.0.lock().unwrap().push(host.to_owned());
        Ok(Some(password("mirrors-own")))
    }
}

/// Returns whether any request showed any credentials.
fn saw_credentials(registry: &Registry) -> bool {
    let requests = registry.requests();
    requests.iter().any(|r| r.header("authorization").is_some())
}

async fn read(store: &Mirrored, blob: &Descriptor) -> Vec<u8> {
    let blob = store.blob(blob).await.unwrap();
    blob.into_bytes(1 << 20).await.unwrap().to_vec()
}

#[tokio::test]
async fn the_registrys_credentials_are_never_shown_to_a_mirror() {
    let scene = Scene::with(basic(CANARY), vec![basic(CANARY)]);
    let (bytes, blob) = scene.blob(10);
    let store = scene.open(known(&scene), scene.known());
    // The mirror asks for them, in vain, and the registry gets them.
    assert_eq!(read(&store, &blob).await, bytes);
    assert_eq!(first(&store).failures, 1);
    assert!(!saw_credentials(&scene.mirrors[0]));
    assert!(saw_credentials(&scene.origin));
}

#[tokio::test]
async fn a_mirror_gets_the_credentials_for_its_own_host() {
    let scene = Scene::with(basic(CANARY), vec![basic("mirrors-own")]);
    let (bytes, blob) = scene.blob(10);
    let asked = Asked::default();
    let mirrors = Mirrors::new(scene.directory.path(), Arc::new(asked.clone())).unwrap();
    let store = scene.open(known(&scene), mirrors);
    assert_eq!(read(&store, &blob).await, bytes);
    assert_eq!(first(&store).bytes, 10);
    assert_eq!(*asked.0.lock().unwrap(), [scene.mirrors[0].host()]);
    assert_eq!(scene.origin.requests().len(), 0);
}

#[tokio::test]
async fn a_server_elsewhere_does_not_get_the_credentials_for_the_registrys_name() {
    let scene = Scene::with(Options::default(), vec![basic("mirrors-own")]);
    let (bytes, blob) = scene.blob(10);
    scene.say(&format!("server = {:?}", scene.mirrors[0].url()));
    let asked = Asked::default();
    let mirrors = Mirrors::new(scene.directory.path(), Arc::new(asked.clone())).unwrap();
    let store = scene.open(known(&scene), mirrors);
    assert_eq!(read(&store, &blob).await, bytes);
    assert_eq!(*asked.0.lock().unwrap(), [scene.mirrors[0].host()]);
}

#[tokio::test]
async fn a_mirrors_fields_and_namespace_stay_with_it() {
    let scene = Scene::new(2);
    let (bytes, blob) = scene.blob(10);
    let [mirror, elsewhere] = &scene.mirrors[..] else {
        panic!("there are two");
    };
    let target = format!(
        "{}/v2/{}/blobs/{}",
        elsewhere.url(),
        crate::NAME,
        blob.digest
    );
    let location = vec![("location".to_owned(), target)];
    let led = Action::Respond(307, location, Vec::new());
    mirror.fault(Fault::on("GET", "/blobs/").does(led));
    scene.say(&format!(
        "[host.{0:?}]\n[host.{0:?}.header]\nAuthorization = \"Bearer {CANARY}\"\nx-team = \"ml\"",
        mirror.url()
    ));
    assert_eq!(read(&scene.store(), &blob).await, bytes);
    let asked = &mirror.requests()[0];
    assert_eq!(asked.header("authorization"), Some("Bearer canary-s3cret"));
    assert_eq!(asked.header("x-team"), Some("ml"));
    let namespace = format!("?ns={}", scene.origin.host().replace(':', "%3A"));
    assert!(asked.path.ends_with(&namespace), "{}", asked.path);
    let led = &elsewhere.requests()[0];
    assert_eq!(led.header("authorization"), None);
    assert_eq!(led.header("x-team"), None);
    assert!(!led.path.contains("ns="), "{}", led.path);
    assert_eq!(scene.origin.requests().len(), 0);
}

#[tokio::test]
async fn paths_are_asked_where_the_file_says() {
    for (suffix, extra, expected) in [
        ("", "", "/v2/acme/model/blobs/"),
        ("/v2", "", "/v2/acme/model/blobs/"),
        ("/us/", "", "/us/v2/acme/model/blobs/"),
        ("/api", "override_path = true", "/api/acme/model/blobs/"),
        ("/v2/up", "override_path = true", "/v2/up/acme/model/blobs/"),
    ] {
        let scene = Scene::new(1);
        let (bytes, blob) = scene.blob(10);
        let url = format!("{}{suffix}", scene.mirrors[0].url());
        scene.say(&format!("[host.{url:?}]\n{extra}"));
        assert_eq!(read(&scene.store(), &blob).await, bytes);
        let path = &scene.mirrors[0].requests()[0].path;
        assert!(path.starts_with(expected), "{url}: {path}");
    }
}

fn with_tls(tls: Tls) -> Options {
    Options {
        tls: Some(tls),
        ..Options::default()
    }
}

#[tokio::test]
async fn a_mirror_proves_itself_by_the_ca_that_its_entry_names() {
    let scene = Scene::with(Options::default(), vec![with_tls(Tls::Server)]);
    let (bytes, blob) = scene.blob(10);
    let (url, ca) = (scene.mirrors[0].url(), scene.mirrors[0].identity().ca());
    scene.say_beside("mirror.crt", ca);
    for (line, from_mirror) in [
        ("ca = \"mirror.crt\"", 10),
        ("", 0),
        ("skip_verify = true", 10),
        ("skip_verify = false", 0),
    ] {
        scene.say(&format!("[host.{url:?}]\n{line}"));
        let store = scene.store();
        assert_eq!(read(&store, &blob).await, bytes);
        assert_eq!(first(&store).bytes, from_mirror, "{line}");
        assert_eq!(origin(&store).bytes, 10 - from_mirror, "{line}");
    }
}

#[tokio::test]
async fn a_client_certificate_is_for_one_host() {
    let scene = Scene::with(Options::default(), vec![with_tls(Tls::ClientMay)]);
    let (bytes, blob) = scene.blob(10);
    let mirror = &scene.mirrors[0];
    let (certificate, key) = mirror.identity().client();
    scene.say_beside("mirror.crt", mirror.identity().ca());
    scene.say_beside("client.crt", certificate);
    scene.say_beside("client.key", key);
    scene.say_beside("both.pem", &format!("{certificate}\n{key}"));
    // The user's own, for the registry.
    let own = || Settings {
        client_identity: Some(ClientIdentity {
            certificate_pem: certificate.as_bytes().to_vec(),
            key_pem: key.as_bytes().to_vec().into(),
        }),
        ..scene.settings()
    };
    for (client, shown) in [
        ("", false),
        ("client = [[\"client.crt\", \"client.key\"]]", true),
        ("client = \"both.pem\"", true),
    ] {
        scene.say(&format!(
            "[host.{:?}]\nca = \"mirror.crt\"\n{client}",
            mirror.url()
        ));
        let store = scene.open(own(), scene.known());
        mirror.forget_requests();
        assert_eq!(read(&store, &blob).await, bytes);
        assert_eq!(first(&store).bytes, 10, "{client}");
        assert_eq!(mirror.requests()[0].client_certificate, shown, "{client}");
    }
}

#[tokio::test]
async fn an_entry_for_the_registry_itself_says_how_it_is_asked() {
    let scene = Scene::with(with_tls(Tls::Server), Vec::new());
    let (bytes, blob) = scene.blob(10);
    scene.say_beside("own.crt", scene.origin.identity().ca());
    let url = scene.origin.url();
    for text in [
        format!("[host.{url:?}]\nca = \"own.crt\""),
        format!("server = {url:?}\nca = \"own.crt\""),
        "ca = \"own.crt\"".to_owned(),
    ] {
        scene.say(&text);
        scene.origin.forget_requests();
        let store = scene.open(known(&scene), scene.known());
        assert_eq!(read(&store, &blob).await, bytes, "{text}");
        assert!(!store.has_mirrors(), "{text}");
        let path = &scene.origin.requests()[0].path;
        assert!(!path.contains("ns="), "{path}");
    }
}
