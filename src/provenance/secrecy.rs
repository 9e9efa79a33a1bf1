//! What must not enter a statement: statements are signed for everyone to read, and for ever.
//!
//! Variables are taken by an allow-list alone ([`super::collect::VARIABLES`]), but secrets also
//! hide in what is allowed: a remote's URL with a token in it, a parameter that someone meant well.

/// What tokens of well-known services begin with, and how long the rest is at least.
const TOKENS: [(&str, usize); 14] = [
    ("ghp_", 20),
    ("gho_", 20),
    ("ghs_", 20),
    ("ghu_", 20),
    ("github_pat_", 20),
    ("glpat-", 16),
    ("hf_", 24),
    ("xoxb-", 16),
    ("xoxp-", 16),
    ("AKIA", 16),
    ("ASIA", 16),
    ("sk-", 24),
    ("nvapi-", 24),
    ("eyJhbGciOi", 40),
];

/// The names in a URL's query that carry a right to read.
const GRANTS: [&str; 7] = [
    "x-amz-signature",
    "x-amz-security-token",
    "x-goog-signature",
    "sig",
    "token",
    "access_token",
    "private_token",
];

/// Says what kind of secret `text` holds, as far as that shows.
pub fn secret_in(text: &str) -> Option<&'static str> {
    if text.contains("PRIVATE KEY-----") {
        return Some("a private key");
    }
    let is_part = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    let mut words = text.split(|c: char| !is_part(c));
    if words.any(is_token) {
        return Some("an access token");
    }
    let mut urls = text.split(|c: char| c.is_whitespace() || "\"'<>,".contains(c));
    urls.find_map(secret_of_url)
}

fn is_token(word: &str) -> bool {
    TOKENS.iter().any(|(start, least)| {
        let rest = word.strip_prefix(start);
        rest.is_some_and(|rest| rest.len() >= *least && rest.bytes().any(|b| b.is_ascii_digit()))
    })
}

fn secret_of_url(url: &str) -> Option<&'static str> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // `git@host` names an account, `user:password@host` tells a secret.
    if authority
        .rsplit_once('@')
        .is_some_and(|(user, _)| user.contains(':'))
    {
        return Some("a URL with a password");
    }
    let query = rest.split_once('?').map(|(_, query)| query)?;
    let mut names = query.split('&').filter_map(|pair| pair.split('=').next());
    let grants = names.any(|name| GRANTS.contains(&name.to_ascii_lowercase().as_str()));
    grants.then_some("a URL that grants access")
}

/// Returns `url` without what may be secret in it: user, password, query and fragment. Something
/// that is no URL, such as a path on this machine, is left out.
pub fn public_url(url: &str) -> Option<String> {
    if let Some((scheme, rest)) = url.split_once("://") {
        if !["https", "http", "ssh", "git", "git+https", "git+ssh"].contains(&scheme) {
            return None;
        }
        let rest = rest.split(['?', '#']).next().unwrap_or_default();
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let host = authority.rsplit('@').next().unwrap_or_default();
        return (!host.is_empty()).then(|| format!("{scheme}://{host}/{path}"));
    }
    // git's short form: `git@host:path`.
    let (host, path) = url.split_once(':')?;
    let host = host.rsplit('@').next().unwrap_or_default();
    let is_host = host.len() > 1 && !host.contains(['/', '\\']) && !path.starts_with('\\');
    is_host.then(|| format!("ssh://{host}/{}", path.trim_start_matches('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_told_from_words_of_the_field() {
        let token = format!("ghp_{}", "a1".repeat(18));
        for secret in [
            token.as_str(),
            &format!("Bearer {token}"),
            &format!("hf_{}", "Ab3".repeat(11)),
            "AKIAIOSFODNN7EXAMPLE",
            "-----BEGIN PRIVATE KEY-----\nMIIE",
            "https://user:hunter2@example.com/x",
            "git+https://x-access-token:abc@github.com/a/b",
            "https://bucket.s3.amazonaws.com/x?X-Amz-Signature=00",
            "see https://e.com/x?a=1&sig=zz now",
        ] {
            assert!(secret_in(secret).is_some(), "{secret}");
        }
        for fine in [
            "max_tokens",
            "hf_transfer",
            "sk-learn",
            "<|eot_id|>",
            "https://example.com/x?revision=1",
            "ssh://git@example.com/a/b",
            "oci:./store:v1",
            "sha256:0123456789abcdef0123456789abcdef",
            "",
        ] {
            assert_eq!(secret_in(fine), None, "{fine}");
        }
    }

    #[test]
    fn a_remote_is_published_without_its_secrets() {
        for (remote, public) in [
            (
                "https://t0ken@github.com/a/b.git",
                Some("https://github.com/a/b.git"),
            ),
            ("https://u:p@h:8443/a?x=1#y", Some("https://h:8443/a")),
            ("git@github.com:a/b.git", Some("ssh://github.com/a/b.git")),
            ("ssh://git@h/a", Some("ssh://h/a")),
            ("/srv/git/a", None),
            ("file:///srv/git/a", None),
            ("../a", None),
            ("C:\\a", None),
            ("", None),
        ] {
            assert_eq!(public_url(remote).as_deref(), public, "{remote}");
        }
    }
}
