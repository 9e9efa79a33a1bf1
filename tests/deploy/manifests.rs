//! The manifests that run the entrypoint.

use std::path::Path;

#[test]
fn the_manifests_name_what_the_entrypoint_reads() {
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/deploy");
    let script = std::fs::read_to_string(deploy.join("entrypoint")).unwrap();
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    for path in [
        deploy.join("compose.yaml"),
        deploy.join("kubernetes/pod.yaml"),
    ] {
        let text = read(&path);
        let words = text.split(|c: char| !(c.is_ascii_uppercase() || c == '_'));
        let names: Vec<_> = words.filter(|word| word.starts_with("MODEL")).collect();
        assert!(names.len() >= 4, "{names:?}");
        for name in names {
            assert!(
                script.contains(&format!("#   {name} ")),
                "{name} is not read"
            );
        }
    }
}

#[test]
fn the_image_is_built_from_files_that_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("examples/deploy/Containerfile")).unwrap();
    let copies = text.lines().filter_map(|line| line.strip_prefix("COPY "));
    let mut seen = 0;
    for copy in copies.filter(|copy| !copy.starts_with("--from")) {
        let words = copy
            .split_whitespace()
            .filter(|word| !word.starts_with("--"));
        let mut words: Vec<_> = words.collect();
        words.pop();
        for word in words {
            assert!(root.join(word).exists(), "{word} is not there");
            seen += 1;
        }
    }
    assert!(seen > 4, "the files were not found");
}
