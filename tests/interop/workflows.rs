//! GitHub's workflows, ours and those of the examples, as actionlint judges them.

use std::path::Path;

use crate::lab::Lab;

const WORKFLOWS: [&str; 3] = [
    ".github/workflows/ci.yml",
    "examples/deploy/github/release.yml",
    "examples/deploy/github/deploy.yml",
];

#[test]
fn actionlint_finds_nothing_in_the_workflows_and_something_in_broken_ones() {
    let Some(lab) = Lab::with(["actionlint"]) else {
        return;
    };
    for (number, workflow) in WORKFLOWS.into_iter().enumerate() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(workflow);
        lab.run(format!("actionlint {}", path.display())).succeeds();
        let text = std::fs::read_to_string(path).unwrap();
        for (mistake, (from, to)) in [
            ("runs-on: ubuntu-latest", "runs-on: ubuntu-oldest"),
            ("    steps:\n", "    needs: nobody\n    steps:\n"),
            ("contents: read", "contents: wirte"),
            ("packages: read", "packages: raed"),
            (
                "run: |\n",
                "run: |\n          echo '${{ steps.nobody.outputs.x }}'\n",
            ),
        ]
        .into_iter()
        .enumerate()
        {
            if text.contains(from) {
                let name = format!("broken-{number}-{mistake}.yml");
                lab.write(&name, text.replace(from, to));
                lab.run(format!("actionlint {name}")).fails();
            }
        }
    }
}
