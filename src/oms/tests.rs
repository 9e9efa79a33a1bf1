use serde_json::{Value, json};

use super::*;
use crate::manifest::Descriptor;
use crate::model::Kind;
use crate::statement::TYPE_V1;

/// A statement about two files, as the reference implementation writes it.
fn statement() -> Value {
    let resources = [("a", b"one"), ("b/c", b"two")].map(|(name, content)| {
        json!({"name": name, "algorithm": "sha256", "digest": Digest::of(content).hex()})
    });
    let mut value = json!({
        "_type": TYPE_V1,
        "subject": [{"name": "m", "digest": {}}],
        "predicateType": PREDICATE,
        "predicate": {
            "serialization": {
                "method": "files", "hash_type": "sha256", "allow_symlinks": false,
                "ignore_paths": [".git"],
            },
            "resources": resources,
        },
    });
    seal(&mut value);
    value
}

/// Makes the subject fit the resources, as far as they have digests.
fn seal(value: &mut Value) {
    let mut hasher = Hasher::default();
    for resource in value["predicate"]["resources"]
        .as_array()
        .into_iter()
        .flatten()
    {
        let digits = resource["digest"].as_str().unwrap_or_default();
        hasher.update(&hex::decode(digits).unwrap_or_default());
    }
    value["subject"][0]["digest"] = json!({"sha256": hasher.finish().hex()});
}

fn read(value: &Value) -> Result<Contents> {
    Contents::parse(value.to_string().as_bytes())
}

fn reason(value: &Value) -> Reason {
    read(value).expect_err(&value.to_string()).reason()
}

#[test]
fn what_is_written_is_read_again_and_in_the_order_of_names() {
    let resource = |path| Resource::file(path, Digest::of(b"x").as_bytes().to_vec()).unwrap();
    let names = ["onnx/m", "onnx-fp16/m", "ü", "a"];
    let serialization = Serialization::of_files(IgnoredPaths::usual());
    let contents = Contents::new("bert", serialization, names.map(resource).to_vec()).unwrap();
    let ordered: Vec<_> = contents.resources().iter().map(Resource::name).collect();
    assert_eq!(ordered, ["a", "onnx-fp16/m", "onnx/m", "ü"]);
    let again = Contents::parse(&contents.to_bytes().unwrap()).unwrap();
    assert_eq!(again, contents);
    assert!(again.is_in_name_order());
    let ignored: Vec<_> = again.serialization().ignored.iter().collect();
    let usual = [
        ".git",
        ".gitattributes",
        ".github",
        ".gitignore",
        ".modelctl",
    ];
    assert_eq!(ignored, usual);
}

#[test]
fn a_list_is_written_byte_for_byte_as_it_always_was() {
    let one = Digest::of(b"one");
    let file = Resource::file("a\"b", one.as_bytes().to_vec()).unwrap();
    let serialization = Serialization::of_files(IgnoredPaths::git());
    let contents = Contents::new("m", serialization, vec![file]).unwrap();
    let (one, root) = (one.hex(), contents.root().hex());
    let written = format!(
        r#"{{"_type":"{TYPE_V1}","subject":[{{"name":"m","digest":{{"sha256":"{root}"}}}}],"predicateType":"{PREDICATE}","predicate":{{"serialization":{{"method":"files","hash_type":"sha256","allow_symlinks":false,"ignore_paths":[".git",".gitattributes",".github",".gitignore"]}},"resources":[{{"name":"a\"b","algorithm":"sha256","digest":"{one}"}}]}}}}"#
    );
    assert_eq!(
        String::from_utf8(contents.to_bytes().unwrap()).unwrap(),
        written
    );
}

#[test]
fn any_order_is_read_if_the_root_is_of_that_order() {
    let mut value = statement();
    let resources = value["predicate"]["resources"].as_array_mut().unwrap();
    resources.reverse();
    assert_eq!(reason(&value), Reason::StatementInvalid);
    seal(&mut value);
    assert!(!read(&value).unwrap().is_in_name_order());
}

#[test]
fn what_has_no_meaning_is_passed_over() {
    let mut value = statement();
    value["predicate"]["more"] = json!(1);
    value["predicate"]["resources"][0]["annotations"] = json!({"a": 1});
    value["subject"][0]["uri"] = json!("x");
    value["predicateType"] = json!("https://model_signing/signature/v1.7");
    value["predicate"]["serialization"]
        .as_object_mut()
        .unwrap()
        .remove("ignore_paths");
    read(&value).unwrap();
}

#[test]
fn refuses_what_is_not_one_clear_list() {
    type Change = fn(&mut Value);
    let changes: [(&str, Change); 22] = [
        ("no subject digest", |v| {
            v["subject"][0]["digest"] = json!({})
        }),
        ("another root", |v| {
            v["subject"][0]["digest"] = json!({"sha256": Digest::of(b"").hex()});
        }),
        ("a second subject", |v| {
            let subject = v["subject"][0].clone();
            v["subject"].as_array_mut().unwrap().push(subject);
        }),
        ("no resources", |v| v["predicate"]["resources"] = json!([])),
        ("no predicate", |v| v["predicate"] = json!({})),
        ("a file twice", |v| {
            v["predicate"]["resources"][1]["name"] = json!("a");
        }),
        ("a file twice, spelled otherwise", |v| {
            v["predicate"]["resources"][1]["name"] = json!("./a");
        }),
        ("a path that leads up", |v| {
            v["predicate"]["resources"][0]["name"] = json!("../a");
        }),
        ("a path that leads up inside", |v| {
            v["predicate"]["resources"][0]["name"] = json!("b/../../a");
        }),
        ("an absolute path", |v| {
            v["predicate"]["resources"][0]["name"] = json!("/etc/passwd");
        }),
        ("an empty path", |v| {
            v["predicate"]["resources"][0]["name"] = json!("")
        }),
        ("a path with a NUL", |v| {
            v["predicate"]["resources"][0]["name"] = json!("a\0");
        }),
        ("no name among others", |v| {
            v["predicate"]["resources"][0]["name"] = json!(".");
        }),
        ("another hash than the others", |v| {
            v["predicate"]["resources"][0]["algorithm"] = json!("blake3");
        }),
        ("an unknown hash", |v| {
            v["predicate"]["serialization"]["hash_type"] = json!("md5");
        }),
        ("a short digest", |v| {
            v["predicate"]["resources"][0]["digest"] = json!("00");
        }),
        ("an unknown method", |v| {
            v["predicate"]["serialization"]["method"] = json!("tensors");
        }),
        ("shards without a size", |v| {
            v["predicate"]["serialization"]["method"] = json!("shards");
        }),
        ("a rule that is not known", |v| {
            v["predicate"]["serialization"]["follow"] = json!(true);
        }),
        ("everything ignored", |v| {
            v["predicate"]["serialization"]["ignore_paths"] = json!(["."]);
        }),
        ("what is outside ignored", |v| {
            v["predicate"]["serialization"]["ignore_paths"] = json!([".."]);
        }),
        ("a listed file ignored", |v| {
            v["predicate"]["serialization"]["ignore_paths"] = json!(["b"]);
        }),
    ];
    for (what, change) in changes {
        let mut value = statement();
        read(&value).unwrap();
        change(&mut value);
        if !what.contains("root") && !what.contains("subject") {
            seal(&mut value);
        }
        assert_eq!(reason(&value), Reason::StatementInvalid, "{what}");
    }
}

#[test]
fn other_statements_are_no_model_signatures() {
    for other in [
        "https://model_signing/signature/v2.0",
        "https://model_signing/signature/v1.",
        "https://model_signing/signature/v1.0x",
        "https://sigstore.dev/cosign/sign/v1",
    ] {
        let mut value = statement();
        value["predicateType"] = json!(other);
        assert_eq!(reason(&value), Reason::PredicateTypeMismatch, "{other}");
    }
    let mut value = statement();
    value["_type"] = json!(crate::statement::TYPE_V01);
    assert_eq!(reason(&value), Reason::StatementInvalid);
}

/// A statement about parts of 10 bytes.
fn shards(names: &[&str]) -> Value {
    let mut value = statement();
    value["predicate"]["serialization"] = json!({
        "method": "shards", "hash_type": "sha256", "allow_symlinks": false, "shard_size": 10.0,
    });
    let resource = |name: &&str| json!({"name": name, "algorithm": "sha256-sharded-10", "digest": Digest::of(b"").hex()});
    value["predicate"]["resources"] = names.iter().map(resource).collect();
    seal(&mut value);
    value
}

#[test]
fn parts_must_follow_each_other_without_a_gap() {
    for good in [
        &["a:0:10", "a:10:20", "a:20:25"][..],
        &["a:0:10"],
        // In the order of strings, which is not that of numbers.
        &["a:0:10", "a:10:20", "b:0:3"],
        &["a:b:0:3", "a:0:3"],
    ] {
        let contents = read(&shards(good)).unwrap();
        assert_eq!(contents.serialization().method, Method::Shards { size: 10 });
        let names: Vec<_> = contents.resources().iter().map(Resource::name).collect();
        assert_eq!(names, good);
    }
    for bad in [
        &["a:10:20"][..],
        &["a:0:10", "a:20:25"],
        &["a:0:5", "a:5:10"],
        &["a:0:20"],
        &["a:0:10", "a:0:5"],
        &["a:0:0"],
        &["a:5:0"],
        &["a:00:10"],
        &["a"],
        &["../a:0:5"],
    ] {
        assert_eq!(reason(&shards(bad)), Reason::StatementInvalid, "{bad:?}");
    }
    for size in [json!(0), json!(-1), json!(1.5), json!(1e300), json!("10")] {
        let mut value = shards(&["a:0:5"]);
        value["predicate"]["serialization"]["shard_size"] = size.clone();
        assert_eq!(reason(&value), Reason::StatementInvalid, "{size}");
    }
}

#[test]
fn the_first_version_has_a_subject_for_each_file() {
    let subject = |name: &str| json!({"name": name, "digest": {"sha256": Digest::of(b"").hex()}});
    let v02 = |subjects: Vec<Value>| {
        json!({"_type": TYPE_V1, "subject": subjects, "predicateType": PREDICATE_V02,
               "predicate": {"unused": ""}})
    };
    let contents = read(&v02(vec![subject("b"), subject("a/c")])).unwrap();
    let names: Vec<_> = contents.resources().iter().map(Resource::name).collect();
    assert_eq!(names, ["b", "a/c"]);
    let many = (0..2000)
        .map(|number| subject(&number.to_string()))
        .collect();
    assert_eq!(read(&v02(many)).unwrap().resources().len(), 2000);
    for bad in [
        vec![subject("a"), subject("a")],
        vec![subject("../a")],
        vec![json!({"name": "a", "digest": {"sha1": "00"}})],
        vec![json!({"digest": {"sha256": Digest::of(b"").hex()}})],
    ] {
        assert_eq!(reason(&v02(bad)), Reason::StatementInvalid);
    }
}

#[test]
fn ignoring_a_path_is_ignoring_what_is_below_it_and_nothing_beside_it() {
    let mut ignored = IgnoredPaths::git();
    ignored.add("./logs//run/").unwrap();
    for (path, covered) in [
        (".git", true),
        (".git/config", true),
        (".gitmodules", false),
        ("sub/.git", false),
        ("logs/run", true),
        ("logs/run/1", true),
        ("logs/running", false),
        ("logs", false),
    ] {
        assert_eq!(ignored.covers(path), covered, "{path}");
    }
    for bad in ["", ".", "/", "..", "../a", "a/..", "/a"] {
        ignored.add(bad).expect_err(bad);
    }
}

/// The files of an artifact, by path and content.
fn files(files: &[(&str, &[u8])]) -> Vec<ModelFile> {
    let file = |(path, content): &(&str, &[u8])| ModelFile {
        path: path.parse().unwrap(),
        kind: Kind::of(&path.parse().unwrap()),
        form: Form::Raw,
        descriptor: Descriptor::of("application/octet-stream", content),
    };
    files.iter().map(file).collect()
}

const RIGHT: [(&str, &[u8]); 2] = [("a", b"one"), ("b/c", b"two")];

#[test]
fn a_list_is_compared_with_an_artifact_by_its_layers() {
    let contents = read(&statement()).unwrap();
    let coverage = contents.compare(&files(&RIGHT)).unwrap();
    assert!(coverage.not_covered().is_empty());
    let with = |more: &[(&str, &[u8])]| files(&[&RIGHT[..], more].concat());
    let git = contents.compare(&with(&[(".gitattributes", b"")])).unwrap();
    assert_eq!(git.not_covered(), ["`.gitattributes`"]);

    for (found, said) in [
        (files(&RIGHT[..1]), "`b/c` is missing"),
        (
            files(&[("a", b"two"), ("b/c", b"one")]),
            "`a` has other content, `b/c` has other",
        ),
        (
            files(&[("a", b"one"), ("c", b"two")]),
            "`b/c` is missing, `c` is not signed",
        ),
        (with(&[("evil.py", b"x")]), "`evil.py` is not signed"),
        (
            with(&[("sub/.gitattributes", b"x")]),
            "`sub/.gitattributes` is not signed",
        ),
        (with(&[("model.sig", b"x")]), "`model.sig` is not signed"),
    ] {
        let error = contents.compare(&found).unwrap_err();
        assert_eq!(error.reason(), Reason::SubjectMismatch);
        assert!(error.message().contains(said), "{error}");
    }
    let mut packed = files(&RIGHT);
    packed[0].form = Form::Tar;
    assert_eq!(
        contents.compare(&packed).unwrap_err().reason(),
        Reason::SubjectMismatch
    );
}

#[test]
fn what_the_signer_left_out_must_not_be_in_an_artifact() {
    let mut value = statement();
    value["predicate"]["serialization"]["ignore_paths"] = json!(["logs", "model.sig"]);
    let contents = read(&value).unwrap();
    let with = |more: (&str, &[u8])| files(&[RIGHT[0], RIGHT[1], more]);
    let coverage = contents.compare(&with(("model.sig", b"x"))).unwrap();
    assert_eq!(coverage.not_covered(), ["`model.sig`"]);
    let error = contents.compare(&with(("logs/evil.py", b"x"))).unwrap_err();
    assert_eq!(error.reason(), Reason::SubjectMismatch);
    assert!(
        error.message().contains("`logs/evil.py` is left out"),
        "{error}"
    );
}

#[test]
fn only_digests_of_whole_files_are_compared_with_layers() {
    let error = read(&shards(&["a:0:3"]))
        .unwrap()
        .compare(&files(&RIGHT))
        .unwrap_err();
    assert_eq!(error.reason(), Reason::BundleUnsupported);
}

#[test]
fn an_artifact_is_listed_without_what_no_verifier_looks_at() {
    let mut found = files(&RIGHT);
    found.extend(files(&[
        (".gitattributes", b"x"),
        (".github/x", b"y"),
        ("model.sig", b"z"),
    ]));
    let contents = Contents::of_files("m", &found).unwrap();
    let names: Vec<_> = contents.resources().iter().map(Resource::name).collect();
    assert_eq!(names, ["a", "b/c", "model.sig"]);
    let coverage = contents.compare(&found).unwrap();
    assert_eq!(coverage.not_covered(), ["`.gitattributes`", "`.github/x`"]);
    let nothing = Contents::of_files("m", &files(&[(".gitignore", b"x")]));
    assert_eq!(nothing.unwrap_err().reason(), Reason::StatementInvalid);
}

#[test]
fn hashes_as_their_specifications_say() {
    for (hash, abc) in [
        (
            HashType::Sha256,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        ),
        (
            HashType::Blake2b,
            "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1\
             7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923",
        ),
        (
            HashType::Blake3,
            "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85",
        ),
    ] {
        assert_eq!(hex::encode(hash.digest(b"abc")), abc);
        assert_eq!(HashType::named(hash.name()), Some(hash));
    }
    assert_eq!(HashType::named("sha1"), None);
}
