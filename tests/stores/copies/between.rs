//! What a copy tells a store, and what it does about one that lies.

use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;
use modelctl::blob::{Blob, Content};
use modelctl::copy::{Copied, Options, copy};
use modelctl::error::{Reason, Result};
use modelctl::limits;
use modelctl::manifest::{Descriptor, EMPTY_JSON, annotation, media_type};
use modelctl::progress::{Meter, Progress, Silent};
use modelctl::reference::{Location, Selector, Tag};
use modelctl::store::{RawDocument, SharedStore, Store};

use super::copy_v1;
use crate::artifact::{attach, by_digest, by_tag, index, put, put_blob, tag, tags};
use crate::place;
use crate::place::Place;

/// A store between, which says where it is, lies about referrers, and remembers what it was told.
struct Between {
    inner: SharedStore,
    location: Location,
    /// Listed for every subject, beside what is true.
    lies: Vec<Descriptor>,
    told: Mutex<Vec<String>>,
}

impl Between {
    fn at(place: &Place, host: &str) -> Self {
        let location = Location::Registry {
            host: host.to_owned(),
            repository: "acme/model".to_owned(),
        };
        Self {
            inner: place.store.clone(),
            location,
            lies: Vec::new(),
            told: Mutex::default(),
        }
    }

    fn tell(&self, what: String) {
        self.told.lock().unwrap().push(what);
    }
}

#[async_trait]
impl Store for Between {
    fn location(&self) -> &Location {
        &self.location
    }

    async fn manifest(&self, selector: &Selector) -> Result<RawDocument> {
        self.inner.manifest(selector).await
    }

    async fn blob(&self, descriptor: &Descriptor) -> Result<Blob> {
        self.inner.blob(descriptor).await
    }

    async fn has_blob(&self, descriptor: &Descriptor) -> Result<bool> {
        self.inner.has_blob(descriptor).await
    }

    async fn put_blob(
        &self,
        descriptor: &Descriptor,
        content: &dyn Content,
        meter: &dyn Meter,
    ) -> Result<()> {
        self.tell(format!("blob {}", descriptor.digest));
        self.inner.put_blob(descriptor, content, meter).await
    }

    async fn mount_blob(&self, descriptor: &Descriptor, from: &Location) -> Result<bool> {
        self.tell(format!("mount {} {from}", descriptor.digest));
        Ok(descriptor.size > 2)
    }

    async fn put_manifest(&self, document: &RawDocument, tag: Option<&Tag>) -> Result<()> {
        let tag = tag.map(|tag| format!(" {tag}")).unwrap_or_default();
        self.tell(format!("manifest {}{tag}", document.digest()));
        self.inner
            .put_manifest(document, tag.trim().parse().ok().as_ref())
            .await
    }

    async fn referrers(&self, subject: &Descriptor) -> Result<Vec<Descriptor>> {
        let mut listed = self.inner.referrers(subject).await?;
        listed.extend(self.lies.iter().cloned());
        Ok(listed)
    }

    async fn tags(&self) -> Result<Vec<Tag>> {
        self.inner.tags().await
    }
}

/// Progress that keeps the notes.
#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl Progress for Notes {
    fn begin(&self, _: &'static str, _: &str, _: u64) -> Box<dyn Meter> {
        Box::new(Silent)
    }

    fn note(&self, text: &str) {
        self.0.lock().unwrap().push(text.to_owned());
    }
}

async fn copy_between(from: &Between, to: &Between) -> Result<Copied> {
    let tag = tag("v1");
    let selector = by_tag("v1");
    copy(from, &selector, to, Some(&tag), Options::default(), &Silent).await
}

#[tokio::test]
async fn children_come_before_what_points_to_them_and_the_tag_last() {
    let (from, to) = (place::layout().await, place::layout().await);
    let child = put(&*from.store, "child", None).await;
    let root = index(&[&child], None);
    from.store
        .put_manifest(&root, Some(&tag("v1")))
        .await
        .unwrap();
    let signature = attach(&*from.store, "signature", &root).await;
    let second = attach(&*from.store, "second", &signature).await;

    let to = Between::at(&to, "b.example");
    copy_between(&Between::at(&from, "a.example"), &to)
        .await
        .unwrap();
    let told = to.told.into_inner().unwrap();
    let (blobs, manifests) = told.split_at(4);
    assert!(
        blobs.iter().all(|line| line.starts_with("blob ")),
        "{blobs:?}"
    );
    let expected = [
        format!("manifest {}", child.digest()),
        format!("manifest {}", root.digest()),
        format!("manifest {}", signature.digest()),
        format!("manifest {}", second.digest()),
        format!("manifest {} v1", root.digest()),
    ];
    assert_eq!(manifests, expected);
}

#[tokio::test]
async fn blobs_are_mounted_only_from_the_same_host() {
    for (host, mounted) in [("a.example", 1), ("b.example", 0)] {
        let (from, to) = (place::layout().await, place::layout().await);
        put(&*from.store, "model", Some("v1")).await;
        let from = Between::at(&from, "a.example");
        let to = Between::at(&to, host);
        let copied = copy_between(&from, &to).await.unwrap();
        // The config is too small for this store to mount, so it is sent either way.
        assert_eq!(
            (copied.blobs_copied, copied.blobs_skipped),
            (2 - mounted, mounted),
            "{host}"
        );
        let told = to.told.into_inner().unwrap();
        let asked = told.iter().filter(|line| line.starts_with("mount "));
        assert_eq!(asked.count(), 2 * mounted, "{host}");
        let sent = told.iter().filter(|line| line.starts_with("blob "));
        assert_eq!(sent.count(), 2 - mounted, "{host}");
    }
}

#[tokio::test]
async fn what_is_listed_but_does_not_refer_stays_behind() {
    let (place, to) = (place::layout().await, place::layout().await);
    let model = put(&*place.store, "model", Some("v1")).await;
    let signature = attach(&*place.store, "signature", &model).await;
    let other = put(&*place.store, "other", None).await;
    let about_other = attach(&*place.store, "about-other", &other).await;
    let mut from = Between::at(&place, "a.example");
    // The model itself, the signature as its own referrer, another artifact, what is about that
    // one, and nothing at all.
    from.lies = [&model, &signature, &other, &about_other]
        .map(|it| it.descriptor().clone())
        .to_vec();
    from.lies
        .push(Descriptor::of(media_type::MANIFEST, b"absent"));

    let notes = Notes::default();
    let options = Options::default();
    let copied = copy(&from, &by_tag("v1"), &*to.store, None, options, &notes)
        .await
        .unwrap();
    assert_eq!(copied.referrers, 1);
    let notes = notes.0.into_inner().unwrap();
    for left in [&other, &about_other] {
        let error = to.store.manifest(&by_digest(left)).await.unwrap_err();
        assert_eq!(error.reason(), Reason::ReferenceNotFound);
        let digest = left.digest().to_string();
        assert!(notes.iter().any(|note| note.contains(&digest)), "{notes:?}");
    }
    assert!(tags(&*to.store).await.is_empty());
}

#[tokio::test]
async fn a_flood_of_referrers_is_refused() {
    for (count, refused) in [(limits::REFERRERS, false), (limits::REFERRERS + 1, true)] {
        let (place, to) = (place::layout().await, place::layout().await);
        put(&*place.store, "model", Some("v1")).await;
        let mut from = Between::at(&place, "a.example");
        from.lies = (0..count)
            .map(|number| Descriptor::of(media_type::MANIFEST, &number.to_le_bytes()))
            .collect();
        let to = Between::at(&to, "b.example");
        let result = copy_between(&from, &to).await;
        assert_eq!(result.is_err(), refused);
        if let Err(error) = result {
            assert_eq!(error.reason(), Reason::TooManyReferrers);
            assert!(to.told.into_inner().unwrap().is_empty());
        }
    }
}

#[tokio::test]
async fn referrers_of_referrers_are_followed_so_far_and_no_farther() {
    let (from, to) = (place::layout().await, place::layout().await);
    let mut last = put(&*from.store, "model", Some("v1")).await;
    for depth in 1..=limits::REFERRER_DEPTH {
        last = attach(&*from.store, &format!("depth{depth}"), &last).await;
    }
    let copied = copy_v1(&from.store, &to.store, Options::default())
        .await
        .unwrap();
    assert_eq!(copied.referrers, limits::REFERRER_DEPTH);
    attach(&*from.store, "deeper", &last).await;
    let error = copy_v1(&from.store, &to.store, Options::default())
        .await
        .unwrap_err();
    assert_eq!(error.reason(), Reason::TooManyReferrers);
}

#[tokio::test]
async fn indexes_of_indexes_are_followed_so_far_and_no_farther() {
    let (from, to) = (place::layout().await, place::layout().await);
    let mut last = put(&*from.store, "model", None).await;
    for depth in 1..=limits::INDEX_DEPTH + 1 {
        last = index(&[&last], None);
        from.store
            .put_manifest(&last, Some(&tag("v1")))
            .await
            .unwrap();
        let result = copy_v1(&from.store, &to.store, Options::default()).await;
        match depth <= limits::INDEX_DEPTH {
            true => assert!(result.is_ok()),
            false => assert_eq!(result.unwrap_err().reason(), Reason::TooLarge),
        }
    }
}

#[tokio::test]
async fn an_index_that_announces_another_kind_is_refused() {
    let (from, to) = (place::layout().await, place::layout().await);
    let model = put(&*from.store, "model", None).await;
    let honest = index(&[&model], None);
    let json = String::from_utf8(honest.bytes().to_vec()).unwrap();
    let size = format!("\"size\":{}", model.descriptor().size);
    for (find, put) in [
        (size.as_str(), "\"size\":1"),
        (media_type::MANIFEST, media_type::INDEX),
    ] {
        let lying = Bytes::from(json.replace(find, put));
        assert_ne!(&lying, honest.bytes());
        let lying = RawDocument::read(lying, media_type::INDEX, None, "lying").unwrap();
        from.store
            .put_manifest(&lying, Some(&tag("v1")))
            .await
            .unwrap();
        let error = copy_v1(&from.store, &to.store, Options::default())
            .await
            .unwrap_err();
        assert_eq!(error.reason(), Reason::ManifestInvalid);
        assert!(tags(&*to.store).await.is_empty());
    }
    from.store
        .put_manifest(&honest, Some(&tag("v1")))
        .await
        .unwrap();
    copy_v1(&from.store, &to.store, Options::default())
        .await
        .unwrap();
}

#[tokio::test]
async fn progress_shows_a_files_name_only_if_it_is_harmless() {
    #[derive(Default)]
    struct Names(Mutex<Vec<String>>);
    impl Progress for Names {
        fn begin(&self, _: &'static str, name: &str, _: u64) -> Box<dyn Meter> {
            self.0.lock().unwrap().push(name.to_owned());
            Box::new(Silent)
        }
        fn note(&self, _: &str) {}
    }
    let (from, to) = (place::layout().await, place::layout().await);
    let titles = ["a/model.bin", "\u{1b}[2Jgone", "../escape"];
    let mut layers = Vec::new();
    for title in titles {
        let mut layer = put_blob(&*from.store, title.as_bytes()).await;
        layer
            .annotations
            .insert(annotation::TITLE.to_owned(), title.to_owned());
        layers.push(layer);
    }
    let mut expected: Vec<_> = layers
        .iter()
        .map(|layer| layer.digest.to_string())
        .collect();
    expected[0] = titles[0].to_owned();
    let config = put_blob(&*from.store, EMPTY_JSON).await;
    expected.push(config.digest.to_string());
    let manifest = modelctl::manifest::Manifest::new("application/x", config, layers);
    let document = modelctl::manifest::Document::Manifest(manifest);
    let document = RawDocument::of(document).unwrap();
    from.store.put_manifest(&document, None).await.unwrap();
    let names = Names::default();
    let selector = by_digest(&document);
    let options = Options::default();
    copy(&*from.store, &selector, &*to.store, None, options, &names)
        .await
        .unwrap();
    let mut names = names.0.into_inner().unwrap();
    names.sort();
    expected.sort();
    assert_eq!(names, expected);
}
