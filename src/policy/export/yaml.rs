//! Writing YAML for people: what JSON can say, without its braces.

use serde_json::Value;

/// Words that YAML 1.1 or 1.2 does not take for text.
const NOT_TEXT: [&str; 9] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];

/// Returns documents, one after another.
pub(super) fn documents(values: &[Value]) -> String {
    let mut text = String::new();
    for value in values {
        text.push_str("---\n");
        block(value, 0, &mut text);
    }
    text
}

/// Writes the lines of a value, each indented by so many steps.
fn block(value: &Value, depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                out.push_str(&format!("{indent}{}:", scalar(key)));
                member(value, depth, out);
            }
        }
        Value::Array(list) if !list.is_empty() => {
            for element in list {
                let mut lines = String::new();
                block(element, depth + 1, &mut lines);
                // The first line goes beside the dash, which takes the place of its indentation.
                out.push_str(&format!("{indent}- {}", lines.trim_start()));
            }
        }
        other => out.push_str(&format!("{indent}{}\n", inline(other))),
    }
}

/// Writes what follows a key.
fn member(value: &Value, depth: usize, out: &mut String) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            out.push('\n');
            block(value, depth + 1, out);
        }
        Value::Array(list) if !list.is_empty() => {
            out.push('\n');
            block(value, depth + 1, out);
        }
        Value::String(text) if is_literal(text) => {
            out.push_str(" |\n");
            let indent = "  ".repeat(depth + 1);
            for line in text.lines() {
                out.push_str(&format!("{indent}{line}\n"));
            }
        }
        other => out.push_str(&format!(" {}\n", inline(other))),
    }
}

/// Whether a text is several lines that can stand as they are: each ended, none empty or indented
/// before the first, nothing that a reader would change.
fn is_literal(text: &str) -> bool {
    let plain = |line: &str| {
        let printable = line.chars().all(|c| c.is_ascii_graphic() || c == ' ');
        printable && !line.is_empty() && !line.ends_with(' ')
    };
    text.ends_with('\n') && !text.starts_with(' ') && text.lines().all(plain)
}

fn inline(value: &Value) -> String {
    match value {
        Value::String(text) => scalar(text),
        other => other.to_string(),
    }
}

/// Returns a text as it is where that is plain, and otherwise quoted as JSON quotes it, which YAML
/// reads the same ([YAML 1.2, section 7.3.1](https://yaml.org/spec/1.2.2/#731-double-quoted-style)).
fn scalar(text: &str) -> String {
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_-./".contains(&b))
        && !NOT_TEXT.contains(&text.to_ascii_lowercase().as_str());
    match is_plain {
        true => text.to_owned(),
        false => Value::from(text).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn maps_lists_and_texts_are_written_as_people_do() {
        let value = json!({
            "kind": "Policy",
            "metadata": {"name": "a-1", "empty": {}, "none": []},
            "spec": {
                "list": [{"a": 1, "b": {"c": "x: y"}}, "yes", ["n", true]],
                "pem": "-----BEGIN-----\nabc\n",
                "odd": "a\n\nb",
            },
        });
        let expected = "---\nkind: Policy\nmetadata:\n  name: a-1\n  empty: {}\n  none: []\nspec:\n  \
                        list:\n    - a: 1\n      b:\n        c: \"x: y\"\n    - \"yes\"\n    - - \"n\"\n      \
                        - true\n  pem: |\n    -----BEGIN-----\n    abc\n  odd: \"a\\n\\nb\"\n";
        assert_eq!(documents(&[value]), expected);
    }

    #[test]
    fn what_could_be_taken_for_something_else_is_quoted() {
        for text in [
            "", "1", "No", "null", "a:b", "#a", "*", "- a", "a b", "@a", "é", "1e3",
        ] {
            assert!(scalar(text).starts_with('"'), "{text}");
        }
        for text in ["a", "policy.sigstore.dev/v1beta1", "a-b_c"] {
            assert_eq!(scalar(text), text);
        }
    }
}
