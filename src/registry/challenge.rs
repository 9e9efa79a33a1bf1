//! What a registry wants to be shown: the `WWW-Authenticate` field
//! ([RFC 9110 §11.6.1](https://www.rfc-editor.org/rfc/rfc9110#section-11.6.1)).

use super::header::Cursor;

/// No scheme has as many parameters; looking for one said twice takes the square of their number.
const PARAMETERS: usize = 32;

/// One challenge: a scheme and its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Challenge {
    scheme: String,
    parameters: Vec<(String, String)>,
}

impl Challenge {
    /// Returns the scheme's name in lower case.
    pub(super) fn scheme(&self) -> &str {
        &self.scheme
    }

    /// Returns the value of a parameter.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let mut found = self.parameters.iter().filter(|(n, _)| n == name);
        found.next().map(|(_, value)| value.as_str())
    }
}

/// Reads the challenges of one field, of which there may be several with commas both between and
/// inside them. `None` means that the field is malformed, or says a thing twice: a challenge that
/// can be read in two ways is not answered.
pub(super) fn parse(field: &str) -> Option<Vec<Challenge>> {
    let mut cursor = Cursor::new(field);
    let mut challenges: Vec<Challenge> = Vec::new();
    cursor.skip_commas();
    while !cursor.is_done() {
        let name = cursor.token().to_ascii_lowercase();
        if name.is_empty() {
            return None;
        }
        if cursor.sees_equals() {
            let value = cursor.value()?;
            let parameters = &mut challenges.last_mut()?.parameters;
            if parameters.len() == PARAMETERS || parameters.iter().any(|(other, _)| *other == name)
            {
                return None;
            }
            parameters.push((name, value));
        } else {
            challenges.push(Challenge {
                scheme: name,
                parameters: Vec::new(),
            });
            skip_token68(&mut cursor);
        }
        cursor.skip_commas();
    }
    Some(challenges)
}

/// Skips the opaque value that a scheme such as Negotiate has instead of parameters: letters,
/// digits and `-._~+/`, then `=` signs up to the next comma.
fn skip_token68(cursor: &mut Cursor<'_>) {
    let mut ahead = cursor.clone();
    ahead.skip_spaces();
    let value = ahead.take_while(|c| c.is_ascii_alphanumeric() || "-._~+/".contains(c));
    ahead.take_while(|c| c == '=');
    ahead.skip_spaces();
    if !value.is_empty() && (ahead.is_done() || ahead.take(',')) {
        *cursor = ahead;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(field: &str) -> Option<Vec<String>> {
        let challenges = parse(field)?;
        Some(
            challenges
                .iter()
                .map(|c| {
                    let parameters: Vec<_> = c
                        .parameters
                        .iter()
                        .map(|(n, v)| format!("{n}={v}"))
                        .collect();
                    format!("{} {}", c.scheme, parameters.join(" "))
                        .trim_end()
                        .to_owned()
                })
                .collect(),
        )
    }

    #[test]
    fn reads_what_registries_send() {
        for (field, expected) in [
            ("", &[][..]),
            ("Basic realm=\"r\"", &["basic realm=r"]),
            (
                "Bearer realm=\"https://a.example/t\",service=\"s\",scope=\"repository:a:pull,push\"",
                &["bearer realm=https://a.example/t service=s scope=repository:a:pull,push"],
            ),
            (
                "Bearer realm=\"x\", Basic realm=\"y\", charset=UTF-8",
                &["bearer realm=x", "basic realm=y charset=UTF-8"],
            ),
            ("Negotiate, Basic realm=y", &["negotiate", "basic realm=y"]),
            (
                "Negotiate YWJj==, Basic realm=y",
                &["negotiate", "basic realm=y"],
            ),
            ("NTLM", &["ntlm"]),
            (
                "bearer  REALM = \"a\\\"b\\\\c\" ,, service=s",
                &["bearer realm=a\"b\\c service=s"],
            ),
            ("Bearer realm=\"\"", &["bearer realm="]),
            ("Bearer realm=", &["bearer"]),
        ] {
            let expected: Vec<_> = expected.iter().map(|s| (*s).to_owned()).collect();
            assert_eq!(shown(field), Some(expected), "{field}");
        }
    }

    #[test]
    fn refuses_what_can_be_read_in_two_ways() {
        for field in [
            "realm=\"x\"",
            "Bearer realm=\"x",
            "Bearer realm=\"x\\",
            "Bearer realm=\"a\", realm=\"b\"",
            "Bearer realm=\"a\" @",
            "\"Bearer\"",
            "Bearer realm=ä",
        ] {
            assert_eq!(shown(field), None, "{field}");
        }
    }

    #[test]
    fn parameters_without_end_are_refused() {
        let field = |count: usize| {
            let parameters = (0..count).map(|n| format!("p{n}=x"));
            format!("Bearer {}", parameters.collect::<Vec<_>>().join(","))
        };
        assert!(parse(&field(PARAMETERS)).is_some());
        assert_eq!(parse(&field(PARAMETERS + 1)), None);
    }

    #[test]
    fn finds_parameters_by_name() {
        let challenges = parse("Bearer realm=\"x\", service=y").unwrap();
        assert_eq!(challenges[0].scheme(), "bearer");
        assert_eq!(challenges[0].parameter("service"), Some("y"));
        assert_eq!(challenges[0].parameter("scope"), None);
    }
}
