//! From a manifest to the files of a model, and from a file to its layer.

use crate::digest::Digest;
use crate::error::{Error, Reason, Result};
use crate::manifest::{Annotations, Descriptor, Manifest, annotation::TITLE};
use crate::model::{Form, Kind, annotation, media_type};
use crate::path::{PathSet, SafePath};

/// The configs of container images: what they hold is a root file system, not a model.
const IMAGE_CONFIGS: [&str; 2] = [
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
];

/// What `oras push` calls a file whose media type it is not told, whatever the file is: the
/// annotation alone says what to unpack.
const ORAS_DEFAULT: &str = "application/vnd.oci.image.layer.v1.tar";

/// A file of a model, and where its bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelFile {
    /// Where it belongs in the model's directory; of an archive, what the layer is called.
    pub path: SafePath,
    /// What it is for.
    pub kind: Kind,
    /// How the layer holds it.
    pub form: Form,
    /// The layer.
    pub descriptor: Descriptor,
}

/// Returns the files that `manifest` says the model has, in its order.
///
/// Read are ModelPack artifacts, in their present and their legacy spelling, and any artifact whose
/// layers all have names, as `oras push` makes them. The files are safe to create side by side.
pub fn files(manifest: &Manifest) -> Result<Vec<ModelFile>> {
    let flavour = Flavour::of(manifest)?;
    let mut paths = PathSet::default();
    let mut total = 0_u64;
    let mut files = Vec::with_capacity(manifest.layers.len());
    for (index, layer) in manifest.layers.iter().enumerate() {
        let file = flavour
            .file(layer)
            .map_err(|error| error.at(format_args!("layer {index}")))?;
        paths.insert(&file.path)?;
        total = total.checked_add(layer.size).ok_or_else(too_much)?;
        files.push(file);
    }
    if files.is_empty() {
        return Err(Error::new(Reason::ModelUnsuitable, "the model has no file"));
    }
    Ok(files)
}

fn too_much() -> Error {
    Error::new(
        Reason::ModelUnsuitable,
        "the model claims more bytes than can be counted",
    )
}

/// Whose rules an artifact follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flavour {
    /// ModelPack: a layer's media type says what the file is for.
    ModelPack,
    /// Anything with named layers: the name says what the file is for.
    Plain,
}

impl Flavour {
    fn of(manifest: &Manifest) -> Result<Self> {
        let config = manifest.config.media_type.as_str();
        let artifact = manifest.artifact_type.as_deref().unwrap_or_default();
        if [media_type::ARTIFACT, media_type::LEGACY_ARTIFACT].contains(&artifact)
            || [media_type::CONFIG, media_type::LEGACY_CONFIG].contains(&config)
        {
            return Ok(Self::ModelPack);
        }
        if IMAGE_CONFIGS.contains(&config) {
            return Err(not_a_model("a container image"));
        }
        let named = |layer: &Descriptor| names(&layer.annotations).next().is_some();
        if manifest.layers.iter().any(named) {
            return Ok(Self::Plain);
        }
        Err(not_a_model(&format!("of the kind {:?}", manifest.kind())))
    }

    fn file(self, layer: &Descriptor) -> Result<ModelFile> {
        // Bytes from a place that the registry does not answer for (CVE-2020-15157).
        if !layer.urls.is_empty() {
            return Err(invalid("its content is elsewhere (`urls`)"));
        }
        let path = path(&layer.annotations)?;
        let (kind, form) = match self {
            Self::ModelPack => Kind::parse_media_type(&layer.media_type).ok_or_else(|| {
                invalid(&format!("{:?} is no layer of a model", layer.media_type))
            })?,
            Self::Plain => (Kind::of(&path), plain_form(layer)),
        };
        Ok(ModelFile {
            path,
            kind,
            form,
            descriptor: layer.clone(),
        })
    }
}

fn not_a_model(what: &str) -> Error {
    Error::new(
        Reason::NotAModel,
        format!("the artifact is {what}, not a model"),
    )
    .hint("a model is a ModelPack artifact, or one whose layers all bear file names")
}

fn invalid(why: &str) -> Error {
    Error::new(Reason::ManifestInvalid, why)
}

/// Returns what the annotations call the file, wherever they do.
fn names(annotations: &Annotations) -> impl Iterator<Item = &String> {
    [annotation::FILEPATH, annotation::LEGACY_FILEPATH, TITLE]
        .into_iter()
        .filter_map(|key| annotations.get(key))
}

/// Returns the one path: tools read different annotations, and must all write the same file.
fn path(annotations: &Annotations) -> Result<SafePath> {
    let mut names = names(annotations);
    let first = names.next().ok_or_else(|| invalid("it has no file name"))?;
    if let Some(other) = names.find(|name| *name != first) {
        return Err(invalid(&format!(
            "its annotations name two files, {first:?} and {other:?}"
        )));
    }
    first.parse()
}

/// Returns how a layer of a plain artifact holds its file: oras packs directories into archives.
fn plain_form(layer: &Descriptor) -> Form {
    let media_type = layer.media_type.as_str();
    let ends = |suffixes: &[&str]| suffixes.iter().any(|suffix| media_type.ends_with(suffix));
    let unpack = layer.annotations.get(annotation::ORAS_UNPACK);
    let unpack = unpack.is_some_and(|value| value == "true");
    if media_type == ORAS_DEFAULT && !unpack {
        return Form::Raw;
    }
    if ends(&["tar+gzip", "tar.gzip"]) {
        return Form::TarGzip;
    }
    if ends(&["tar+zstd", "tar.zstd"]) {
        return Form::TarZstd;
    }
    if ends(&["tar"]) {
        return Form::Tar;
    }
    if unpack { Form::TarGzip } else { Form::Raw }
}

/// Returns the layer of the file at `path`, with every annotation that some reader needs: ModelPack
/// tools and Docker read the file path, oras and CRI-O the title.
pub fn layer_descriptor(path: &SafePath, kind: Kind, digest: Digest, size: u64) -> Descriptor {
    let mut descriptor = Descriptor::new(kind.media_type(Form::Raw), digest, size);
    descriptor.annotations = Annotations::from(
        [
            (annotation::FILEPATH, path.to_string()),
            (TITLE, path.to_string()),
            (annotation::FILE_METADATA, file_metadata(path, size)),
            (annotation::MEDIATYPE_UNTESTED, "false".to_owned()),
        ]
        .map(|(key, value)| (key.to_owned(), value)),
    );
    descriptor
}

/// Returns what a file was on disk, reduced to what is the same on every machine. JSON has no octal
/// numbers: 420 is 0644; and 0 is the type of a regular file.
fn file_metadata(path: &SafePath, size: u64) -> String {
    serde_json::json!({
        "name": path.file_name(),
        "mode": 0o644,
        "uid": 0,
        "gid": 0,
        "size": size,
        "mtime": "1970-01-01T00:00:00Z",
        "typeflag": 0,
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(path: &str) -> Descriptor {
        let path: SafePath = path.parse().unwrap();
        layer_descriptor(&path, Kind::of(&path), Digest::of(b"x"), 1)
    }

    fn model(paths: &[&str]) -> Manifest {
        Manifest::new(
            media_type::ARTIFACT,
            Descriptor::of(media_type::CONFIG, b"{}"),
            paths.iter().map(|path| layer(path)).collect(),
        )
    }

    /// What `oras push --artifact-type application/x` makes of some files.
    fn plain(titles: &[&str]) -> Manifest {
        let layers = titles.iter().map(|title| {
            let mut layer = Descriptor::of("application/octet-stream", b"x");
            layer
                .annotations
                .insert(TITLE.to_owned(), (*title).to_owned());
            layer
        });
        Manifest::new("application/x", Descriptor::empty_json(), layers.collect())
    }

    fn annotate(manifest: &mut Manifest, key: &str, value: &str) {
        let annotations = &mut manifest.layers[0].annotations;
        annotations.insert(key.to_owned(), value.to_owned());
    }

    fn told(manifest: &Manifest) -> Vec<(String, Kind, Form)> {
        let files = files(manifest).unwrap();
        files
            .into_iter()
            .map(|file| (file.path.to_string(), file.kind, file.form))
            .collect()
    }

    #[test]
    fn a_layer_bears_what_every_reader_needs() {
        let path: SafePath = "1_Pooling/config.json".parse().unwrap();
        let layer = layer_descriptor(&path, Kind::WeightConfig, Digest::of(b"x"), 190);
        assert_eq!(
            serde_json::to_value(&layer).unwrap(),
            serde_json::json!({
                "mediaType": "application/vnd.cncf.model.weight.config.v1.raw",
                "digest": Digest::of(b"x").to_string(),
                "size": 190,
                "annotations": {
                    "org.cncf.model.filepath": "1_Pooling/config.json",
                    "org.opencontainers.image.title": "1_Pooling/config.json",
                    "org.cncf.model.file.mediatype.untested": "false",
                    "org.cncf.model.file.metadata+json": r#"{"name":"config.json","mode":420,"uid":0,"gid":0,"size":190,"mtime":"1970-01-01T00:00:00Z","typeflag":0}"#,
                },
            })
        );
    }

    #[test]
    fn a_model_has_the_files_that_were_put_into_it() {
        let manifest = model(&["config.json", "model.safetensors", "sub/README.md"]);
        assert_eq!(
            told(&manifest),
            [
                ("config.json".to_owned(), Kind::WeightConfig, Form::Raw),
                ("model.safetensors".to_owned(), Kind::Weight, Form::Raw),
                ("sub/README.md".to_owned(), Kind::Doc, Form::Raw),
            ]
        );
        let layers: Vec<_> = files(&manifest)
            .unwrap()
            .into_iter()
            .map(|f| f.descriptor)
            .collect();
        assert_eq!(layers, manifest.layers);
    }

    #[test]
    fn a_model_is_known_by_its_artifact_type_or_its_config() {
        for (artifact, config) in [
            (Some(media_type::ARTIFACT), media_type::CONFIG),
            (Some(media_type::LEGACY_ARTIFACT), media_type::LEGACY_CONFIG),
            (None, media_type::CONFIG),
            (None, media_type::LEGACY_CONFIG),
            (
                Some(media_type::ARTIFACT),
                crate::manifest::media_type::EMPTY,
            ),
        ] {
            let mut manifest = model(&["x.bin"]);
            manifest.artifact_type = artifact.map(str::to_owned);
            manifest.config.media_type = config.to_owned();
            // Only a ModelPack artifact lets the media type say what the file is for.
            manifest.layers[0].media_type = Kind::Dataset.media_type(Form::TarZstd);
            let expected = ("x.bin".to_owned(), Kind::Dataset, Form::TarZstd);
            assert_eq!(told(&manifest), [expected], "{artifact:?} {config}");
        }
    }

    #[test]
    fn a_plain_artifact_is_read_by_its_titles() {
        let mut manifest = plain(&["model.gguf", "a/train.csv"]);
        let raw = |path: &str, kind| (path.to_owned(), kind, Form::Raw);
        let expected = [
            raw("model.gguf", Kind::Weight),
            raw("a/train.csv", Kind::Dataset),
        ];
        assert_eq!(told(&manifest), expected);
        manifest.artifact_type = None;
        manifest.config.media_type = "application/vnd.unknown.config.v1+json".to_owned();
        assert_eq!(told(&manifest), expected);
    }

    #[test]
    fn a_packed_directory_is_seen_to_be_one() {
        for (media_type, unpack, form) in [
            (
                "application/vnd.oci.image.layer.v1.tar+gzip",
                None,
                Form::TarGzip,
            ),
            (ORAS_DEFAULT, None, Form::Raw),
            (ORAS_DEFAULT, Some("true"), Form::Tar),
            ("application/x-tar", None, Form::Tar),
            (
                "application/vnd.oci.image.layer.v1.tar+zstd",
                None,
                Form::TarZstd,
            ),
            ("application/octet-stream", Some("true"), Form::TarGzip),
            ("application/octet-stream", Some("false"), Form::Raw),
            ("application/octet-stream", None, Form::Raw),
        ] {
            let mut manifest = plain(&["data"]);
            manifest.layers[0].media_type = media_type.to_owned();
            if let Some(unpack) = unpack {
                annotate(&mut manifest, annotation::ORAS_UNPACK, unpack);
            }
            assert_eq!(told(&manifest)[0].2, form, "{media_type} {unpack:?}");
        }
    }

    #[test]
    fn every_annotation_names_the_same_file() {
        let names = [annotation::FILEPATH, annotation::LEGACY_FILEPATH, TITLE];
        for key in names {
            let mut alone = model(&["x.bin"]);
            alone.layers[0].annotations.clear();
            annotate(&mut alone, key, "x.bin");
            assert_eq!(told(&alone)[0].0, "x.bin", "{key}");
            let mut agreed = model(&["x.bin"]);
            annotate(&mut agreed, key, "x.bin");
            files(&agreed).unwrap();
            for other in ["y.bin", "X.bin", "./x.bin", ""] {
                annotate(&mut agreed, key, other);
                let error = files(&agreed).expect_err(key);
                assert_eq!(error.reason(), Reason::ManifestInvalid, "{key} {other:?}");
            }
        }
    }

    #[test]
    fn refuses_what_cannot_become_a_directory() {
        type Change = fn(&mut Manifest);
        let cases: [(&str, Reason, Change); 11] = [
            ("no files", Reason::ModelUnsuitable, |m| m.layers.clear()),
            ("one name twice", Reason::PathCollision, |m| {
                m.layers[1] = layer("A.bin")
            }),
            ("a file and a directory", Reason::PathCollision, |m| {
                m.layers[1] = layer("a.bin/x")
            }),
            ("traversal", Reason::PathUnsafe, |m| {
                annotate(m, annotation::FILEPATH, "../a.bin");
                annotate(m, TITLE, "../a.bin");
            }),
            ("an absolute path", Reason::PathUnsafe, |m| {
                m.layers[0].annotations.clear();
                annotate(m, TITLE, "/etc/passwd");
            }),
            ("our own directory", Reason::PathUnsafe, |m| {
                m.layers[0].annotations.clear();
                annotate(m, annotation::FILEPATH, ".modelctl/receipt.json");
            }),
            ("no name", Reason::ManifestInvalid, |m| {
                m.layers[0].annotations.clear()
            }),
            ("content elsewhere", Reason::ManifestInvalid, |m| {
                m.layers[0].urls = vec!["https://example.com/x".to_owned()];
            }),
            ("an unknown layer", Reason::ManifestInvalid, |m| {
                m.layers[0].media_type = "application/octet-stream".to_owned();
            }),
            ("an unknown form", Reason::ManifestInvalid, |m| {
                m.layers[0].media_type = "application/vnd.cncf.model.weight.v1.raw+gzip".to_owned();
            }),
            ("more than can be counted", Reason::ModelUnsuitable, |m| {
                m.layers[0].size = u64::MAX;
            }),
        ];
        files(&model(&["a.bin", "b.bin"])).unwrap();
        for (case, reason, change) in cases {
            let mut manifest = model(&["a.bin", "b.bin"]);
            change(&mut manifest);
            let error = files(&manifest).expect_err(case);
            assert_eq!(error.reason(), reason, "{case}: {error}");
        }
    }

    #[test]
    fn names_what_an_artifact_is_instead_of_a_model() {
        type Change = fn(&mut Manifest);
        let cases: [(&str, Change); 5] = [
            ("container image", |m| {
                m.config.media_type = "application/vnd.oci.image.config.v1+json".to_owned();
            }),
            ("container image", |m| {
                m.config.media_type = "application/vnd.docker.container.image.v1+json".to_owned();
            }),
            ("application/x", |m| m.layers[0].annotations.clear()),
            ("application/x", |m| m.layers.clear()),
            ("application/vnd.kitops.modelkit.config.v1+json", |m| {
                m.artifact_type = None;
                m.config.media_type = "application/vnd.kitops.modelkit.config.v1+json".to_owned();
                m.layers[0].annotations.clear();
            }),
        ];
        files(&plain(&["a.bin"])).unwrap();
        for (says, change) in cases {
            let mut manifest = plain(&["a.bin"]);
            change(&mut manifest);
            let error = files(&manifest).expect_err(says);
            assert_eq!(error.reason(), Reason::NotAModel, "{says}: {error}");
            assert!(error.message().contains(says), "{error}");
        }
        let mut half = plain(&["a.bin", "b.bin"]);
        half.layers[1].annotations.clear();
        assert_eq!(files(&half).unwrap_err().reason(), Reason::ManifestInvalid);
    }
}
