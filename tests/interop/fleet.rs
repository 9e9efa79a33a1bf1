//! A fleet: eight clients pull one model at once through a real pull-through cache, and what leaves
//! the registry behind it is counted.

use std::time::Instant;

use crate::counting::{Counter, Sent};
use crate::lab::{Lab, assert_same_files};
use crate::registry::Registry;
use crate::{keys, model, peers};

const CLIENTS: u64 = 8;
/// Weight files of the model.
const FILES: u64 = 8;

/// A signed model in a registry that is counted, and a mirror in front of it.
struct Fleet {
    lab: Lab,
    counter: Counter,
    mirror: Option<Registry>,
    _origin: Registry,
    /// Bytes of all blobs of the model.
    size: u64,
    /// The digests of the weight files.
    weights: Vec<String>,
}

impl Fleet {
    fn new() -> Option<Self> {
        let lab = Lab::with([])?;
        let origin = Registry::open()?;
        let counter = Counter::before(origin.host());
        keys::write_pair(&lab, "release");
        model::write_large(&lab.path("large"), megabytes() << 20);
        let name = origin.reference("acme/fleet:v1");
        let pushed = lab
            .run(format!(
                "modelctl push {name} ./large --sign --key release.key --json"
            ))
            .succeeds();
        let size = pushed.json()["totalBytes"].as_u64().unwrap();
        let shown = lab.run(format!("modelctl inspect {name} --json"));
        let shown = shown.succeeds().json();
        let files = shown["files"].as_array().unwrap().iter();
        let weights = files.filter(|file| file["kind"] == "weight");
        let weights = weights.map(|file| file["digest"].as_str().unwrap().to_owned());
        let mut fleet = Self {
            weights: weights.collect(),
            lab,
            counter,
            mirror: None,
            _origin: origin,
            size,
        };
        fleet.new_cache()?;
        Some(fleet)
    }

    /// Puts an empty cache in the place of the mirror that is there.
    fn new_cache(&mut self) -> Option<()> {
        let cache = Registry::caching(self.counter.host())?;
        self.read_through(cache);
        Some(())
    }

    /// Lets clients read through `mirror`, and through no other.
    fn read_through(&mut self, mirror: Registry) {
        let folder = format!("certs.d/{}", self.counter.host());
        std::fs::create_dir_all(self.lab.path(&folder)).unwrap();
        let text = format!(
            "[host.\"http://{}\"]\ncapabilities = [\"pull\"]\n",
            mirror.host()
        );
        self.lab.write(&format!("{folder}/hosts.toml"), text);
        self.mirror = Some(mirror);
    }

    /// Lets so many clients pull at once, each into a directory of its own and as if on a machine of
    /// its own, and returns how much left the registry.
    fn pull(&self, round: &str, clients: u64) -> Left {
        self.counter.take();
        let started = Instant::now();
        let running: Vec<_> = (0..clients)
            .map(|client| {
                self.lab.start(format!(
                    "modelctl pull {}/acme/fleet:v1 {round}-{client} --verify --key release.pub \
                     --hosts-dir certs.d --no-cache --json",
                    self.counter.host()
                ))
            })
            .collect();
        for client in running {
            let json = client.outcome().succeeds().json();
            assert_eq!(json["verified"], true);
            assert_eq!(json["sources"][0]["failures"], 0, "{json:#}");
        }
        let took = started.elapsed();
        for client in 0..clients {
            let pulled = self.lab.path(&format!("{round}-{client}"));
            assert_same_files(&self.lab.path("large"), &pulled);
            std::fs::remove_dir_all(pulled).unwrap();
        }
        if let Some(mirror) = &self.mirror {
            let keeps = |digest: &String| mirror.wait_for_blob("acme/fleet", digest);
            self.weights.iter().for_each(keeps);
        }
        let left = self.left();
        assert_eq!(left.lists, clients, "each asks the registry who signed");
        peers::say(&format!(
            "FLEET {round}: {clients} clients in {:.1} s, {:.1} MiB of a model of {:.1} MiB left \
             the registry ({:.2} times), one blob at most {} times",
            took.as_secs_f64(),
            mebibytes(left.bytes),
            mebibytes(self.size),
            left.bytes as f64 / self.size as f64,
            left.most,
        ));
        left
    }

    /// Returns how much left the registry since the last look.
    fn left(&self) -> Left {
        let counts = self.counter.take();
        let by = |part: &str| -> Vec<Sent> {
            let matching = counts.iter().filter(|(path, _)| path.contains(part));
            matching.map(|(_, sent)| *sent).collect()
        };
        let blobs = by("/blobs/");
        let is_weight = |sent: &&Sent| sent.bytes >= self.size / FILES / 2;
        Left {
            most: blobs.iter().map(|sent| sent.requests).max().unwrap_or(0),
            bytes: blobs.iter().map(|sent| sent.bytes).sum(),
            lists: by("/referrers/").iter().map(|sent| sent.requests).sum(),
            weights: blobs.iter().filter(is_weight).count() as u64,
        }
    }
}

/// What left the registry while clients pulled.
struct Left {
    /// How often the blob was fetched that was fetched most often.
    most: u64,
    /// Bytes of blobs.
    bytes: u64,
    /// How often the registry was asked who signed.
    lists: u64,
    /// How many weight files left at all.
    weights: u64,
}

/// The model's size; `MODELCTL_FLEET_MIB` asks for another one.
fn megabytes() -> u64 {
    match std::env::var("MODELCTL_FLEET_MIB") {
        Ok(number) => number.parse().expect("MODELCTL_FLEET_MIB is a number"),
        Err(_) => 64,
    }
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / (1 << 20) as f64
}

#[test]
fn eight_clients_pull_through_a_cache_and_ask_the_registry_who_signed() {
    let Some(mut fleet) = Fleet::new() else {
        return;
    };
    // For each request for a blob that it does not have, docker-registry 2.8 fetches it to pass it
    // on, and often once more to keep it: it saves little while a fleet starts at one moment.
    let cold = fleet.pull("cold", CLIENTS);
    assert_eq!(cold.weights, FILES);
    assert!(cold.bytes <= 2 * CLIENTS * fleet.size, "{}", cold.bytes);

    let warm = fleet.pull("warm", CLIENTS);
    assert_eq!((warm.bytes, warm.most), (0, 0), "the cache did not serve");

    // So one client goes first: what it needs is fetched twice, and then never again.
    fleet.new_cache().expect("docker-registry was there");
    let first = fleet.pull("first", 1);
    assert_eq!(first.weights, FILES);
    assert!(first.most <= 2, "{} times", first.most);
    let rest = fleet.pull("rest", CLIENTS - 1);
    assert_eq!((rest.bytes, rest.most), (0, 0), "the cache did not serve");
}

#[test]
fn a_mirror_that_was_filled_by_copy_takes_each_blob_from_the_registry_once() {
    let Some(mut fleet) = Fleet::new() else {
        return;
    };
    let mirror = Registry::open().expect("docker-registry was there");
    fleet.counter.take();
    let (from, to) = (fleet.counter.host(), mirror.host());
    fleet
        .lab
        .run(format!(
            "modelctl copy {from}/acme/fleet:v1 {to}/acme/fleet:v1"
        ))
        .succeeds();
    let copied = fleet.left();
    assert_eq!((copied.weights, copied.most), (FILES, 1));
    assert!(copied.bytes <= fleet.size + (1 << 20));
    fleet.read_through(mirror);
    let pulled = fleet.pull("copied", CLIENTS);
    assert_eq!((pulled.bytes, pulled.most), (0, 0));
}

#[test]
fn a_cache_that_dies_costs_the_fleet_nothing_but_bytes() {
    let Some(mut fleet) = Fleet::new() else {
        return;
    };
    fleet.mirror = None;
    let running = fleet.lab.start(format!(
        "modelctl pull {}/acme/fleet:v1 pulled --verify --key release.pub --hosts-dir certs.d \
         --json",
        fleet.counter.host()
    ));
    let pulled = running.outcome().succeeds();
    assert_same_files(&fleet.lab.path("large"), &fleet.lab.path("pulled"));
    assert_eq!(pulled.json()["sources"][0]["setAside"], true, "{pulled}");
    let told = pulled.stderr.matches("is not asked any more").count();
    assert_eq!(told, 1, "{pulled}");
}
