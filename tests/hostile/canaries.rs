//! Canaries: one secret of each kind, a registry that does all it can to get them sent elsewhere,
//! and everything that is logged by anybody at the most talkative level.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use modelctl::blob::InMemory;
use modelctl::manifest::Descriptor;
use modelctl::progress::{Meter, Progress, Silent};
use modelctl::reference::{Location, Selector};
use modelctl::registry::auth::{Credential, Fixed};
use modelctl::registry::{Client, ClientIdentity, Patience, Repository, Settings};
use modelctl::secret::Secret;
use modelctl::store::Store;

use crate::support::registry::{Access, Action, Auth, Bearer, Fault, Options, Registry, Tls, User};

const PASSWORD: &str = "canary-passw0rd";
const REFRESH: &str = "canary-refresh-t0ken";
const LINK: &str = "canary-signed-link";
const NAME: &str = "acme/bert";

/// Everything that was said in this process.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<String>>);

impl Said {
    /// Returns what hears the events of `tracing` and of `log`, from the first call on.
    fn everything() -> Self {
        static SAID: OnceLock<Said> = OnceLock::new();
        let hear = || {
            let said = Self::default();
            let writer = said.clone();
            let subscriber = tracing_subscriber::fmt()
                .with_max_level(tracing::Level::TRACE)
                .with_writer(move || writer.clone())
                .finish();
            tracing::subscriber::set_global_default(subscriber).unwrap();
            log::set_boxed_logger(Box::new(said.clone())).unwrap();
            log::set_max_level(log::LevelFilter::Trace);
            said
        };
        SAID.get_or_init(hear).clone()
    }

    fn add(&self, text: &str) {
        self.0.lock().unwrap().push_str(text);
    }

    fn text(&self) -> String {
        self.0.lock().unwrap().clone()
    }
}

impl std::io::Write for Said {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.add(&String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl log::Log for Said {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        self.add(&format!("{} {}\n", record.target(), record.args()));
    }

    fn flush(&self) {}
}

impl Progress for Said {
    fn begin(&self, _: &'static str, _: &str, _: u64) -> Box<dyn Meter> {
        Box::new(Silent)
    }

    fn note(&self, text: &str) {
        self.add(text);
    }
}

/// The ways of proving who one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Password,
    Token,
    Identity,
    /// By a token from a server that is not the registry's own.
    Stranger,
}

/// The registry that the user named, and another origin to which it leads wherever it can.
struct Scene {
    home: Registry,
    away: Registry,
    said: Said,
    blob: Descriptor,
}

impl Scene {
    fn new(way: Way) -> Self {
        let away = Registry::start(Options {
            tls: Some(Tls::ClientMay),
            ..Options::default()
        });
        let elsewhere = away.url().replace("127.0.0.1", "localhost");
        let home = Registry::start(Options {
            tls: Some(Tls::ClientMust),
            auth: auth(way, &elsewhere),
            ..Options::default()
        });
        let bytes = b"weights".to_vec();
        for registry in [&home, &away] {
            registry.put_blob(NAME, &bytes);
        }
        let to = |path: &str| format!("{elsewhere}/v2/{NAME}/{path}?signature={LINK}");
        let blob = Descriptor::of("application/octet-stream", &bytes);
        let location = |to: String| vec![("location".to_owned(), to)];
        let led = location(to(&format!("blobs/{}", blob.digest)));
        home.fault(Fault::on("GET", "/blobs/").does(Action::Respond(307, led, Vec::new())));
        let led = location(to("blobs/uploads/1"));
        home.fault(Fault::on("POST", "/uploads/").does(Action::Respond(202, led, Vec::new())));
        let led = location(to("manifests/v1"));
        home.fault(Fault::on("GET", "/manifests/").does(Action::Respond(302, led, Vec::new())));
        let link = format!("<{}>; rel=\"next\"", to("referrers/x"));
        home.fault(Fault::on("GET", "/tags/").does(Action::Header("link".to_owned(), link)));
        Self {
            home,
            away,
            said: Said::everything(),
            blob,
        }
    }

    fn store(&self, way: Way) -> Repository {
        let (certificate, key) = self.home.identity().client();
        let authorities = [self.home.identity().ca(), self.away.identity().ca()].concat();
        let secret = |text: &str| Secret::new(text.to_owned());
        let credential = match way {
            Way::Identity => Credential::IdentityToken(secret(REFRESH)),
            _ => Credential::Basic {
                username: "alice".to_owned(),
                password: secret(PASSWORD),
            },
        };
        let settings = Settings {
            ca_pem: Some(authorities.into_bytes()),
            client_identity: Some(ClientIdentity {
                certificate_pem: certificate.as_bytes().to_vec(),
                key_pem: key.as_bytes().to_vec().into(),
            }),
            credentials: Arc::new(Fixed(credential)),
            progress: Arc::new(self.said.clone()),
            patience: Patience {
                retry: std::time::Duration::from_millis(1),
                ..Patience::default()
            },
            ..Settings::default()
        };
        let location = Location::Registry {
            host: self.home.host(),
            repository: NAME.to_owned(),
        };
        Client::new(settings)
            .unwrap()
            .repository(&location)
            .unwrap()
    }

    /// Does all that a store can do, and keeps what is told of it.
    async fn do_everything(&self, store: &Repository) -> usize {
        let blob = store.blob(&self.blob).await;
        let blob = match blob {
            Ok(blob) => blob.into_bytes(100).await,
            Err(error) => Err(error),
        };
        let other = bytes::Bytes::from_static(b"other weights");
        let declared = Descriptor::of("application/octet-stream", &other);
        let put = store.put_blob(&declared, &InMemory(other), &Silent).await;
        let selector = Selector::Tag("v1".parse().unwrap());
        let outcomes = [
            blob.map(drop),
            put,
            store.manifest(&selector).await.map(drop),
            store.tags().await.map(drop),
            store.referrers(&self.blob).await.map(drop),
            store.has_blob(&self.blob).await.map(drop),
        ];
        let mut told = String::new();
        for outcome in &outcomes {
            if let Err(error) = outcome {
                write!(told, "{error} {error:?} {:?}", error.advice()).unwrap();
            }
        }
        self.said.add(&told);
        outcomes.iter().filter(|outcome| outcome.is_ok()).count()
    }

    /// Returns every secret: the known ones, and the tokens that the registry saw.
    fn secrets(&self) -> Vec<String> {
        let seen = self.home.requests().into_iter();
        let fields = seen.filter_map(|seen| Some(seen.header("authorization")?.to_owned()));
        let shown = fields.filter_map(|field| Some(field.split_once(' ')?.1.to_owned()));
        let basic = STANDARD.encode(format!("alice:{PASSWORD}"));
        let (_, key) = self.home.identity().client();
        let key = key.lines().nth(1).unwrap().to_owned();
        let known = [PASSWORD.to_owned(), REFRESH.to_owned(), basic, key];
        shown.chain(known).collect()
    }
}

fn auth(way: Way, elsewhere: &str) -> Auth {
    let alice = User {
        name: "alice".to_owned(),
        password: PASSWORD.to_owned(),
        identity_token: Some(REFRESH.to_owned()),
        access: Access::Push,
    };
    match way {
        Way::Password => Auth::Basic {
            user: alice.name,
            password: alice.password,
        },
        Way::Token | Way::Identity => Auth::Bearer(Bearer {
            users: vec![alice],
            ..Bearer::default()
        }),
        Way::Stranger => Auth::Bearer(Bearer {
            realm: Some(format!("{elsewhere}/token")),
            ..Bearer::default()
        }),
    }
}

#[tokio::test]
async fn no_secret_goes_to_another_origin_or_into_any_log() {
    for way in [Way::Password, Way::Token, Way::Identity, Way::Stranger] {
        let scene = Scene::new(way);
        let succeeded = scene.do_everything(&scene.store(way)).await;
        match way {
            // What is told of a token server elsewhere is that nothing was sent there.
            Way::Stranger => assert_eq!(succeeded, 0),
            _ => assert!((2..6).contains(&succeeded), "{way:?}: {succeeded}"),
        }
        let secrets = scene.secrets();
        let at_home = scene.home.requests();
        assert!(
            at_home.iter().all(|seen| seen.client_certificate),
            "{way:?}"
        );
        if way != Way::Stranger {
            assert!(secrets.len() > 6, "nothing was shown even at home");
        }

        let elsewhere = scene.away.requests();
        assert!(!elsewhere.is_empty(), "{way:?}: nothing led elsewhere");
        for seen in elsewhere {
            assert!(!seen.client_certificate, "{way:?}: {seen:?}");
            for name in ["authorization", "proxy-authorization", "cookie"] {
                assert_eq!(seen.header(name), None, "{way:?}: {seen:?}");
            }
            let shown = format!("{seen:?}");
            let leaked = secrets.iter().find(|secret| shown.contains(*secret));
            assert_eq!(leaked, None, "{way:?}: {seen:?}");
        }

        let said = scene.said.text();
        let leaked = secrets.iter().find(|secret| said.contains(*secret));
        assert_eq!(leaked, None, "{way:?}");
        assert!(!said.contains(LINK), "{way:?}: a signed link is logged");
        // That they talk at all, the layers below included, is what makes this a test.
        for speaker in ["modelctl::registry::http", "rustls", "reqwest", "hyper"] {
            assert!(said.contains(speaker), "{speaker} says nothing");
        }
    }
}
