mod hostile;

use proptest::prelude::*;

use super::*;

const U8: u32 = 0;
const U32: u32 = 4;
const F32: u32 = 6;
const BOOL: u32 = 7;
const TEXT: u32 = 8;
const ARRAY: u32 = 9;
const U64: u32 = 10;

/// A file in pieces, each of which a test can spoil.
#[derive(Clone)]
struct Parts {
    magic: [u8; 4],
    version: u32,
    tensor_count: Option<u64>,
    entry_count: Option<u64>,
    entries: Vec<Vec<u8>>,
    tensors: Vec<Vec<u8>>,
    alignment: u64,
    /// Bytes from the start of the data to the end of the file.
    data: u64,
}

fn text(text: &[u8]) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes()[..], text].concat()
}

fn entry(key: &str, kind: u32, value: &[u8]) -> Vec<u8> {
    [&text(key.as_bytes())[..], &kind.to_le_bytes(), value].concat()
}

fn array(kind: u32, count: u64, values: &[u8]) -> Vec<u8> {
    [&kind.to_le_bytes()[..], &count.to_le_bytes(), values].concat()
}

fn number(key: &str, number: u32) -> Vec<u8> {
    entry(key, U32, &number.to_le_bytes())
}

fn tensor(name: &str, shape: &[u64], kind: u32, offset: u64) -> Vec<u8> {
    let mut bytes = text(name.as_bytes());
    bytes.extend((shape.len() as u32).to_le_bytes());
    bytes.extend(shape.iter().flat_map(|dim| dim.to_le_bytes()));
    bytes.extend(kind.to_le_bytes());
    bytes.extend(offset.to_le_bytes());
    bytes
}

/// Two tensors: 36 bytes of Q4_0 at 0, and 12 bytes of F32 at 64.
fn good() -> Parts {
    Parts {
        magic: *b"GGUF",
        version: 3,
        tensor_count: None,
        entry_count: None,
        entries: vec![
            entry("general.architecture", TEXT, &text(b"llama")),
            number("general.file_type", 2),
            entry(
                "tokenizer.ggml.tokens",
                ARRAY,
                &array(TEXT, 2, &[text(b"a"), text(b"\xff")].concat()),
            ),
        ],
        tensors: vec![tensor("a", &[32, 2], 2, 0), tensor("b", &[3], 0, 64)],
        alignment: 32,
        data: 76,
    }
}

impl Parts {
    fn header(&self) -> Vec<u8> {
        let tensors = self.tensor_count.unwrap_or(self.tensors.len() as u64);
        let entries = self.entry_count.unwrap_or(self.entries.len() as u64);
        let mut bytes = self.magic.to_vec();
        bytes.extend(self.version.to_le_bytes());
        bytes.extend(tensors.to_le_bytes());
        bytes.extend(entries.to_le_bytes());
        bytes.extend(self.entries.concat());
        bytes.extend(self.tensors.concat());
        bytes
    }

    fn file_size(&self) -> u64 {
        let start = (self.header().len() as u64).next_multiple_of(self.alignment);
        start.saturating_add(self.data)
    }

    fn read(&self) -> Result<Header> {
        Header::read(&mut &self.header()[..], self.file_size())
    }
}

#[test]
fn tells_what_the_file_holds() {
    let parts = good();
    let header = parts.read().unwrap();
    let start = parts.file_size() - 76;
    let told: Vec<_> = header
        .tensors()
        .iter()
        .map(|t| (t.name(), t.dtype().name(), t.shape(), t.bytes()))
        .collect();
    let expected = [
        ("a", "Q4_0", &[32, 2][..], start..start + 36),
        ("b", "F32", &[3][..], start + 64..start + 76),
    ];
    assert_eq!(told, expected);
    assert_eq!(header.text("general.architecture"), Some("llama"));
    assert_eq!(header.quantization(), Some("Q4_0"));
    assert_eq!(header.text("tokenizer.ggml.tokens"), None);
    assert_eq!((header.version(), header.alignment()), (3, 32));
}

#[test]
fn refuses_every_header_that_loaders_were_broken_with() {
    good().read().unwrap();
    for (case, says, bad, fine) in hostile::CASES {
        let mut twin = good();
        fine(&mut twin);
        twin.read()
            .unwrap_or_else(|error| panic!("beside {case}: {error}"));
        let mut parts = good();
        bad(&mut parts);
        let error = parts.read().expect_err(case);
        assert_eq!(error.reason(), Reason::HeaderInvalid, "{case}: {error}");
        assert!(error.message().contains(says), "{case}: {error}");
    }
}

#[test]
fn refuses_a_file_that_ends_in_its_header() {
    let bytes = good().header();
    for end in 0..bytes.len() {
        for size in [end as u64, good().file_size()] {
            let error = Header::read(&mut &bytes[..end], size).expect_err("cut");
            assert_eq!(error.reason(), Reason::HeaderInvalid, "{end}: {error}");
        }
    }
}

/// Never ends, and counts what was taken.
struct Endless(u8, u64);

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        buffer.fill(self.0);
        self.1 += buffer.len() as u64;
        Ok(buffer.len())
    }
}

#[test]
fn takes_nothing_that_is_not_needed() {
    let mut claims = good();
    claims.entry_count = Some(limits::GGUF_ENTRIES);
    claims.tensors.clear();
    claims.tensor_count = Some(limits::GGUF_ENTRIES);
    let start = claims.header();
    for fill in [0, 1, b'a', 0xff] {
        let mut tail = Endless(fill, 0);
        let error = Header::read(&mut start.chain(&mut tail), u64::MAX).unwrap_err();
        assert_eq!(error.reason(), Reason::HeaderInvalid);
        assert!(tail.1 <= 2 * limits::PIECE as u64, "{fill}: {}", tail.1);
    }
}

#[test]
fn a_header_ends_at_the_cap_whatever_it_holds() {
    // Forty arrays of the largest size that is allowed, each 16 MiB.
    let size = limits::GGUF_ARRAY;
    let mut reader: Box<dyn Read> = Box::new(std::io::empty());
    let mut head = good();
    head.entries.clear();
    head.tensors.clear();
    head.tensor_count = Some(0);
    head.entry_count = Some(40);
    reader = Box::new(reader.chain(std::io::Cursor::new(head.header())));
    for index in 0..40 {
        let start = entry(&format!("k{index}"), ARRAY, &array(U8, size, &[]));
        reader = Box::new(reader.chain(std::io::Cursor::new(start)));
        reader = Box::new(reader.chain(std::io::repeat(0).take(size)));
    }
    let error = Header::read(&mut *reader, 1 << 40).unwrap_err();
    assert_eq!(error.reason(), Reason::HeaderInvalid);
    assert!(error.message().contains("longer than"), "{error}");
}

#[test]
fn a_disk_that_fails_is_not_a_bad_header() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("broken"))
        }
    }
    let bytes = good().header();
    for end in [0, 4, 30, bytes.len() - 1] {
        let error = Header::read(&mut bytes[..end].chain(Broken), 1000).unwrap_err();
        assert_eq!(error.reason(), Reason::Disk, "{end}");
    }
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Header::read(&mut &bytes[..], bytes.len() as u64);
        let with_magic = [b"GGUF\x03\0\0\0", &bytes[..]].concat();
        let _ = Header::read(&mut &with_magic[..], with_magic.len() as u64);
    }

    #[test]
    fn a_changed_header_is_refused_or_stays_inside_the_file(
        changes in proptest::collection::vec((0..good().header().len(), any::<u8>()), 1..4),
    ) {
        let (mut bytes, size) = (good().header(), good().file_size());
        for (at, byte) in changes {
            bytes[at] = byte;
        }
        match Header::read(&mut &bytes[..], size) {
            Err(error) => prop_assert_eq!(error.reason(), Reason::HeaderInvalid),
            Ok(header) => {
                for tensor in header.tensors() {
                    prop_assert!(tensor.bytes().end <= size);
                }
                for pair in header.tensors().windows(2) {
                    prop_assert!(pair[0].bytes().end <= pair[1].bytes().start);
                }
            }
        }
    }

    #[test]
    fn what_is_laid_out_reads_back(
        shapes in proptest::collection::vec((any::<bool>(), proptest::collection::vec(0_u64..4, 1..5)), 0..8),
    ) {
        let mut parts = good();
        parts.tensors.clear();
        parts.data = 0;
        for (index, (quantised, shape)) in shapes.iter().enumerate() {
            let mut shape = shape.clone();
            let count: u64 = shape.iter().product();
            if *quantised {
                shape[0] *= 32;
            }
            let (kind, size) = if *quantised { (8, count * 34) } else { (0, count * 4) };
            let offset = parts.data.next_multiple_of(32);
            parts.tensors.push(tensor(&format!("t{index}"), &shape, kind, offset));
            parts.data = offset + size;
        }
        let header = parts.read().unwrap();
        let sizes: Vec<u64> = header.tensors().iter().map(Tensor::size).collect();
        let expected: Vec<u64> = shapes
            .iter()
            .map(|(quantised, shape)| shape.iter().product::<u64>() * if *quantised { 34 } else { 4 })
            .collect();
        prop_assert_eq!(sizes, expected);
    }
}
