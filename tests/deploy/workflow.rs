//! As much of a workflow file as it takes to run its steps: their names, variables and scripts.

use std::collections::BTreeMap;

/// A step that runs a script.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) name: String,
    pub(crate) variables: BTreeMap<String, String>,
    pub(crate) script: String,
}

/// What a workflow file says.
#[derive(Debug, Default)]
pub(crate) struct Workflow {
    /// The variables of all steps.
    pub(crate) variables: BTreeMap<String, String>,
    pub(crate) steps: Vec<Step>,
}

impl Workflow {
    /// Reads a workflow of the examples, which are written in one style.
    pub(crate) fn read(text: &str) -> Self {
        let lines: Vec<_> = text.lines().collect();
        let mut workflow = Self {
            variables: variables(&lines, "env:"),
            steps: Vec::new(),
        };
        let is_step = |line: &&str| line.starts_with("      - ");
        let starts = lines.iter().enumerate().filter(|(_, line)| is_step(line));
        let mut starts: Vec<_> = starts.map(|(at, _)| at).collect();
        starts.push(lines.len());
        for range in starts.windows(2) {
            workflow.steps.extend(step(&lines[range[0]..range[1]]));
        }
        workflow
    }

    /// Returns the step of this name.
    pub(crate) fn step(&self, name: &str) -> &Step {
        let found = self.steps.iter().find(|step| step.name == name);
        found.unwrap_or_else(|| panic!("there is no step `{name}`"))
    }
}

/// Returns a step that runs a script, if these lines are one.
fn step(lines: &[&str]) -> Option<Step> {
    let name = lines[0].strip_prefix("      - name: ")?.to_owned();
    let at = lines
        .iter()
        .position(|line| line.starts_with("        run: "))?;
    let script = match lines[at].strip_prefix("        run: ")? {
        "|" => {
            let block = lines[at + 1..]
                .iter()
                .map_while(|line| line.strip_prefix("          "));
            block.map(|line| format!("{line}\n")).collect()
        }
        line => format!("{line}\n"),
    };
    Some(Step {
        name,
        variables: variables(lines, "        env:"),
        script,
    })
}

/// Returns the mapping below the line `head`, of plain values.
fn variables(lines: &[&str], head: &str) -> BTreeMap<String, String> {
    let indent = format!("{}  ", &head[..head.len() - head.trim_start().len()]);
    let below = lines.iter().skip_while(|line| **line != head).skip(1);
    let below = below.map_while(|line| line.strip_prefix(&indent));
    below
        .filter(|line| !line.trim_start().starts_with('#'))
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

#[test]
fn steps_are_read_with_their_variables_and_scripts() {
    let workflow = Workflow::read(
        "env:\n  A: one\n  # said\n  B: https://b\njobs:\n  x:\n    steps:\n      - uses: y@z\n      \
         - name: first\n        env:\n          C: ${{ c }}\n        run: |\n          one\n            \
         two\n      - name: second\n        run: three\n",
    );
    let pairs = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        let owned = pairs
            .iter()
            .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()));
        owned.collect()
    };
    assert_eq!(
        workflow.variables,
        pairs(&[("A", "one"), ("B", "https://b")])
    );
    assert_eq!(workflow.steps.len(), 2);
    let first = workflow.step("first");
    assert_eq!(first.variables, pairs(&[("C", "${{ c }}")]));
    assert_eq!(first.script, "one\n  two\n");
    assert_eq!(workflow.step("second").script, "three\n");
}
