//! What files that were made by hand are found to be, and what rules make of it.

mod samples;

use std::io::{Cursor, Read, Seek, SeekFrom};

use proptest::prelude::*;

use self::samples::*;
use super::*;

fn found(name: &str, bytes: &[u8]) -> Finding {
    let path = name.parse().unwrap();
    examine(&mut Cursor::new(bytes), bytes.len() as u64, &path).unwrap()
}

/// Returns the format, marked `!` if it is malformed and with the other one if it is ambiguous.
fn told(name: &str, bytes: &[u8]) -> String {
    let finding = found(name, bytes);
    match finding.defect {
        None => finding.format.to_string(),
        Some(Defect::Malformed(_)) => format!("{}!", finding.format),
        Some(Defect::Ambiguous(other)) => format!("{}+{other}", finding.format),
    }
}

#[test]
fn every_file_is_what_its_bytes_say_or_worse_by_its_name() {
    let table = table();
    assert!(table.len() >= 60);
    let wrong: Vec<_> = table
        .iter()
        .map(|(expected, name, bytes)| (*expected, *name, told(name, bytes)))
        .filter(|(expected, _, told)| expected != told)
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Gives a few bytes at a time, as a pipe or a disk under load may.
struct Slow<'a>(Cursor<&'a [u8]>, usize);

impl Read for Slow<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = buffer.len().min(self.1);
        self.0.read(&mut buffer[..length])
    }
}

impl Seek for Slow<'_> {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.0.seek(to)
    }
}

#[test]
fn it_does_not_matter_in_which_pieces_a_file_is_read() {
    for (_, name, bytes) in table() {
        let whole = found(name, &bytes);
        for piece in [1, 2, 3, 7, 64] {
            let mut slow = Slow(Cursor::new(&bytes), piece);
            let path = name.parse().unwrap();
            let told = examine(&mut slow, bytes.len() as u64, &path).unwrap();
            assert_eq!(told, whole, "{name} by {piece}");
        }
    }
}

#[test]
fn no_name_makes_a_file_less_dangerous() {
    for (_, name, bytes) in table() {
        let plain = found("file", &bytes);
        for other in ["a.txt", "a.json", "a.safetensors", "a.png", "a.md", name] {
            let told = found(other, &bytes);
            assert!(
                told.format.danger() >= plain.format.danger(),
                "{name} as {other}"
            );
            assert!(
                told.defect.is_some() || plain.defect.is_none(),
                "{name} as {other}"
            );
        }
    }
}

#[test]
fn a_pickle_is_told_by_what_it_imports() {
    for pickle in CALLS {
        assert_eq!(found("m", pickle).imports, ["posix.system"]);
    }
    assert_eq!(found("m.pt", &torch()).imports, ["collections.OrderedDict"]);
    let computed = b"\x80\x04\x8c\x05posix\x94h\x00\x93.";
    assert_eq!(found("m", computed).imports, ["posix.posix"]);
}

#[test]
fn a_file_that_is_tensors_and_a_pickle_is_both() {
    // As a pickle, the header's length is a string (`X`) of five bytes, and the tensor's name a
    // chain of strings (`U~`) that reaches into the data.
    let mut name = "U~".to_owned() + &"a".repeat(126);
    name = name.repeat(10) + "UT";
    let size = CALLS[4].len();
    let header =
        format!(r#"{{"{name}":{{"dtype":"U8","shape":[{size}],"data_offsets":[0,{size}]}}}}"#);
    let header = format!("{header:width$}", width = 0x558);
    let length = (header.len() as u64).to_le_bytes();
    let file = joined(&[&length, header.as_bytes(), CALLS[4]]);
    assert_eq!(told("m.safetensors", &file), "pickle+safetensors");
    let harmless = joined(&[&length, header.as_bytes(), &vec![0; size]]);
    assert_eq!(told("m.safetensors", &harmless), "safetensors");
}

#[test]
fn configs_that_ask_for_code_are_told() {
    for (key, config) in [
        (
            Some("auto_map"),
            r#"{"auto_map":{"AutoModel":"modeling.Model"}}"#,
        ),
        (
            Some("auto_map"),
            r#"{"text":{"auto_map":{"AutoModel":"other/repo--m.Model"}}}"#,
        ),
        (
            Some("auto_map"),
            r#"{"\u0061uto_map":{"AutoModel":"modeling.Model"}}"#,
        ),
        (
            Some("auto_map"),
            r#"{"auto_map":{},"auto_map":{"a":"b.C"}}"#,
        ),
        (Some("auto_map"), r#"{"\u0061uto_map":{"a":"b.C"},"x":NaN}"#),
        (Some("trust_remote_code"), r#"{"trust_remote_code":true}"#),
        (
            Some("custom_pipelines"),
            r#"{"custom_pipelines":{"a":{"impl":"p.P"}}}"#,
        ),
        (None, r#"{"trust_remote_code":false,"auto_map":{}}"#),
        (None, r#"{"auto_map":null}"#),
        (None, r#"{"note":"auto_map"}"#),
    ] {
        let finding = found("config.json", config.as_bytes());
        assert_eq!(finding.code_key, key, "{config}");
    }
}

fn judged(rules: &ContentRules, files: &[(&str, Vec<u8>)]) -> Vec<(String, Reason)> {
    let files: Vec<_> = files
        .iter()
        .map(|(name, bytes)| (name.parse().unwrap(), found(name, bytes)))
        .collect();
    let objections = rules.judge(&files).into_iter();
    let place = |path: Option<SafePath>| path.map_or(String::new(), |path| path.to_string());
    objections.map(|o| (place(o.path), o.reason)).collect()
}

#[test]
fn rules_refuse_what_they_do_not_allow_and_nothing_else() {
    let denied = Reason::ContentFormatDenied;
    let files = [
        ("a.safetensors", tensors()),
        ("config.json", b"{}".to_vec()),
        ("weights.bin", vec![0x9f; 100]),
        ("pytorch_model.bin", torch()),
        ("run.py", b"x".to_vec()),
    ];
    let code = [("pytorch_model.bin", denied), ("run.py", denied)];
    let named = |list: &[(&str, Reason)]| -> Vec<(String, Reason)> {
        list.iter()
            .map(|(path, reason)| ((*path).to_owned(), *reason))
            .collect()
    };
    let rules = ContentRules::without_code();
    assert_eq!(judged(&rules, &files), named(&code));
    let strict = [&[("weights.bin", denied)][..], &code].concat();
    assert_eq!(judged(&ContentRules::strict(), &files), named(&strict));
    let allowing = rules.clone().allow(Format::TorchZip).allow(Format::Python);
    assert_eq!(judged(&allowing, &files), []);
    let denying = allowing.deny(Format::Json);
    assert_eq!(judged(&denying, &files), named(&[("config.json", denied)]));
}

#[test]
fn what_is_broken_or_two_things_is_refused_whatever_is_allowed() {
    let everything = Format::ALL
        .iter()
        .fold(ContentRules::strict(), |rules, format| rules.allow(*format));
    let zipped = joined(&[&gguf(), &zip(&[("a", b"x")])]);
    for (bytes, reason) in [
        (zipped, Reason::ContentAmbiguous),
        (joined(&[&tensors(), b"x"]), Reason::HeaderInvalid),
    ] {
        assert_eq!(
            judged(&everything, &[("m", bytes)]),
            [("m".to_owned(), reason)]
        );
    }
    assert_eq!(judged(&everything, &[("m", torch()), ("g", gguf())]), []);
}

#[test]
fn code_that_a_config_names_is_allowed_with_python_only() {
    let config = [("config.json", br#"{"auto_map":{"A":"m.M"}}"#.to_vec())];
    let rules = ContentRules::without_code();
    let refused = [("config.json".to_owned(), Reason::ContentFormatDenied)];
    assert_eq!(judged(&rules, &config), refused);
    assert_eq!(judged(&rules.allow(Format::Python), &config), []);
}

#[test]
fn limits_count_files_and_bytes() {
    let files = [("a", b"12".to_vec()), ("b", b"345".to_vec())];
    let limited = |limits| {
        let mut rules = ContentRules::strict();
        rules.limits = limits;
        judged(&rules, &files)
    };
    let none = Limits::NONE;
    let (exact, short) = (Some(2), Some(1));
    assert_eq!(
        limited(Limits {
            files: exact,
            ..none
        }),
        []
    );
    let all = [(String::new(), Reason::ModelUnsuitable)];
    assert_eq!(
        limited(Limits {
            files: short,
            ..none
        }),
        all
    );
    assert_eq!(
        limited(Limits {
            total_bytes: Some(5),
            ..none
        }),
        []
    );
    assert_eq!(
        limited(Limits {
            total_bytes: Some(4),
            ..none
        }),
        all
    );
    assert_eq!(
        limited(Limits {
            file_bytes: Some(3),
            ..none
        }),
        []
    );
    let second = [("b".to_owned(), Reason::ModelUnsuitable)];
    assert_eq!(
        limited(Limits {
            file_bytes: exact,
            ..none
        }),
        second
    );
}

#[test]
fn a_gate_refuses_tells_or_stays_open() {
    let files = [("m.bin".parse().unwrap(), found("m.bin", CALLS[2]))];
    let rules = ContentRules::without_code();
    let error = Gate::Refuse(rules.clone()).pass(&files).unwrap_err();
    assert_eq!(error.reason(), Reason::ContentFormatDenied);
    assert!(error.message().contains("`m.bin`"), "{error}");
    assert!(error.message().contains("posix.system"), "{error}");
    assert_eq!(Gate::Warn(rules.clone()).pass(&files).unwrap().len(), 1);
    assert_eq!(Gate::Open.pass(&files).unwrap(), []);
    let allowed = Gate::Refuse(rules.allow(Format::Pickle));
    assert_eq!(allowed.pass(&files).unwrap(), []);
}

#[test]
fn every_format_reads_back_from_its_name() {
    for format in Format::ALL {
        assert_eq!(format.code().parse::<Format>().unwrap(), *format);
    }
    assert_eq!("zip".parse::<Format>().unwrap_err().reason(), Reason::Usage);
}

/// Counts what is read of an endless file that begins with `start` and goes on with `rest`.
struct Endless<'a> {
    start: &'a [u8],
    rest: &'a [u8],
    position: u64,
    taken: u64,
}

impl Read for Endless<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        for byte in buffer.iter_mut() {
            let at = self.position as usize;
            let behind = at.saturating_sub(self.start.len()) % self.rest.len();
            *byte = *self.start.get(at).unwrap_or(&self.rest[behind]);
            self.position += 1;
        }
        self.taken += buffer.len() as u64;
        Ok(buffer.len())
    }
}

impl Seek for Endless<'_> {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        if let SeekFrom::Start(position) = to {
            self.position = position;
        }
        Ok(self.position)
    }
}

#[test]
fn no_file_makes_the_check_read_much_of_it() {
    for (start, rest) in [
        (&b""[..], &b"N0"[..]),
        (b"\x80\x02", b"N0"),
        (b"", b"("),
        (b"", b"cos\nsystem\n0"),
        (b"", b"\x0a\x01\x0a"),
        (b"\x08\x01", b"\x12\x01\x0a"),
        (b"", b"text\n"),
        (b"\x89HDF\r\n\x1a\n", b"x"),
        (b"\x93NUMPY\x02\0\xff\xff\xff\xff", b"x"),
        (b"", b"PK\x05\x06\0\0\0\0\x01\0\x01\0\x10\0\0\0"),
    ] {
        let mut endless = Endless {
            start,
            rest,
            position: 0,
            taken: 0,
        };
        examine(&mut endless, 1 << 40, &"m".parse().unwrap()).unwrap();
        assert!(
            endless.taken < 64 << 20,
            "{start:?} {rest:?}: {}",
            endless.taken
        );
    }
}

proptest! {
    #[test]
    fn random_files_never_panic(
        start in 0..table().len(),
        cut in 0..600_usize,
        rest in proptest::collection::vec(any::<u8>(), 0..600),
    ) {
        let (_, name, bytes) = table().swap_remove(start);
        let kept = bytes.get(..cut).unwrap_or(&bytes);
        found(name, &joined(&[kept, &rest]));
        found(name, &joined(&[&rest, &bytes]));
        found(name, &rest);
    }

    #[test]
    fn a_changed_byte_never_panics(start in 0..table().len(), at in 0..2048_usize, byte: u8) {
        let (_, name, mut bytes) = table().swap_remove(start);
        if let Some(changed) = bytes.get_mut(at) {
            *changed = byte;
        }
        found(name, &bytes);
    }
}
