//! What a registry says when it does not do what it was asked to
//! ([distribution-spec, "Error codes"](https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#error-codes)).

use jiff::Timestamp;
use reqwest::StatusCode;
use reqwest::header::RETRY_AFTER;
use serde::Deserialize;

use super::answer::Answer;
use super::origin::Scheme;
use super::retry::{Again, Failure, retry_after};
use crate::error::{Error, Reason};
use crate::{json, limits};

/// Characters of a registry's words that are shown.
const SHOWN: usize = 300;

/// Returns the failure that an answer with an unwanted status is; `action` completes "cannot …".
pub(super) async fn failure(mut answer: Answer, action: &str) -> Failure {
    let status = answer.status();
    let said = words(&mut answer).await;
    let peer = answer.origin();
    let message = match &said {
        Some(said) => format!("cannot {action}: {peer} answers {}: {said}", named(status)),
        None => format!("cannot {action}: {peer} answers {}", named(status)),
    };
    // What Go's and nginx's TLS servers say to plain http.
    if status == StatusCode::BAD_REQUEST
        && peer.scheme() == Scheme::Http
        && said.as_ref().is_some_and(|said| said.contains("HTTPS"))
    {
        let hint = "the registry speaks TLS: name its CA with `--ca-file`, or leave out \
                    `--plain-http`";
        return Failure::last(Error::new(Reason::Tls, message).hint(hint));
    }
    let error = Error::new(reason(status), message);
    let asked = answer
        .field(&RETRY_AFTER)
        .and_then(|field| retry_after(field, Timestamp::now()));
    let again = match (is_passing(status), asked) {
        (false, _) => Again::Never,
        (true, None) => Again::Soon,
        (true, Some(wait)) => Again::After(wait),
    };
    let error = match status.is_redirection() {
        true => error.hint("a redirect is followed only to fetch content"),
        false => error,
    };
    Failure { error, again }
}

fn reason(status: StatusCode) -> Reason {
    match status {
        StatusCode::UNAUTHORIZED => Reason::Unauthorised,
        StatusCode::FORBIDDEN => Reason::Forbidden,
        StatusCode::REQUEST_TIMEOUT => Reason::TimedOut,
        StatusCode::TOO_MANY_REQUESTS => Reason::RateLimited,
        _ if status.is_client_error() || status.is_server_error() => Reason::RegistryFailed,
        _ => Reason::RegistryProtocol,
    }
}

/// Whether a status tells of something that may pass.
pub(super) fn is_passing(status: StatusCode) -> bool {
    match status {
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => true,
        StatusCode::NOT_IMPLEMENTED | StatusCode::HTTP_VERSION_NOT_SUPPORTED => false,
        _ => status.is_server_error(),
    }
}

fn named(status: StatusCode) -> String {
    match status.canonical_reason() {
        Some(name) => format!("{} {name}", status.as_u16()),
        None => status.as_u16().to_string(),
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Said {
    Registry {
        errors: Vec<SaidError>,
    },
    /// How services say it that are no registries: those behind gRPC's gateway, and OAuth 2.0
    /// (RFC 6749, section 5.2).
    Service {
        #[serde(alias = "error_description")]
        message: String,
    },
}

#[derive(Deserialize)]
struct SaidError {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// Returns what the body says: the protocol's error codes and messages, or the first line of a
/// plain text. That it cannot be read is no second error.
async fn words(answer: &mut Answer) -> Option<String> {
    let (bytes, _) = answer.read_up_to(limits::ERROR_BODY).await.ok()?;
    read(&bytes, answer.media_type().as_deref())
}

pub(super) fn read(bytes: &[u8], media_type: Option<&str>) -> Option<String> {
    let said = match json::parse::<Said>(bytes, "the refusal") {
        Ok(Said::Registry { errors }) => {
            let errors = errors.iter().take(3);
            let errors = errors.map(|e| [e.code.as_str(), e.message.as_str()]);
            let shown = errors.map(|parts| parts.map(str::trim).join(": "));
            shown.collect::<Vec<_>>().join("; ")
        }
        Ok(Said::Service { message }) => message,
        Err(_) if media_type == Some("text/plain") => {
            String::from_utf8_lossy(bytes).lines().next()?.to_owned()
        }
        Err(_) => return None,
    };
    let said = printable(said.trim_matches([' ', ':', ';']));
    Some(said).filter(|said| !said.is_empty())
}

/// Returns `text` without what could steer a terminal or reorder what stands around it: control
/// characters, and Unicode's invisible and directional ones.
fn printable(text: &str) -> String {
    let hidden = |c: char| {
        matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
    };
    let shown = text.chars().filter(|c| !c.is_control() && !hidden(*c));
    shown.take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_cannot_steer_a_terminal() {
        let hostile = "no\u{1b}[2J\u{9b}31m\r\n\u{202e}way\u{7}\u{200b}\0 \u{e0041}é";
        assert_eq!(printable(hostile), "no[2J31mway é");
        assert_eq!(printable(&"x".repeat(1000)).len(), SHOWN);
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let of = |status| StatusCode::from_u16(status).unwrap();
        for status in [408, 429, 500, 502, 503, 504, 520] {
            assert!(is_passing(of(status)), "{status}");
        }
        for status in [200, 301, 400, 401, 403, 404, 413, 501, 505] {
            assert!(!is_passing(of(status)), "{status}");
        }
    }
}
