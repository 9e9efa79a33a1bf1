//! Fields and bodies of registries' answers.

use modelctl::fuzzing;

use super::{Target, text};

pub(super) const CHALLENGE: Target = Target::new("challenge", |bytes| {
    if let Some(field) = text(bytes) {
        fuzzing::challenges(field);
    }
})
.seeds(&[
    br#"Bearer realm="https://auth.example.com/token",service="registry.example.com",scope="repository:a/b:pull,push""#,
    br#"Negotiate abc==, Basic realm="a \"b\" c", charset="UTF-8", Bearer realm=x , error = "insufficient_scope""#,
]);

pub(super) const LINK: Target = Target::new("link", |bytes| {
    if let Some(Some(Some(target))) = text(bytes).map(fuzzing::next_page) {
        assert!(!target.contains('>'), "{target}");
    }
})
.seeds(&[
    br#"</v2/a/tags/list?last=b&n=100>; rel="next""#,
    br#"<https://a.example/>; rel=prev; title="x, y", <b>; rel="last next"; foo , <c>;;"#,
]);

pub(super) const RETRY_AFTER: Target = Target::new("retry-after", |bytes| {
    if let Some(field) = text(bytes) {
        fuzzing::retry_after(field);
    }
})
.seeds(&[
    b"120",
    b"Wed, 21 Oct 2026 07:28:00 GMT",
    b"Wed, 21 Oct 26 07:28 +0100",
]);

pub(super) const TOKEN: Target = Target::new("token", |bytes| {
    let _ = fuzzing::token(bytes);
})
.seeds(&[
    br#"{"token":"abc.def.ghi","expires_in":300,"issued_at":"2026-01-01T00:00:00Z"}"#,
    br#"{"access_token":"abc","refresh_token":"def","expires_in":1e9,"scope":"a","token_type":"Bearer"}"#,
]);

pub(super) const REFUSAL: Target = Target::new("refusal", |bytes| {
    if let Some(shown) = fuzzing::refusal(bytes) {
        assert!(!shown.chars().any(char::is_control), "{shown:?}");
        assert!(shown.chars().count() <= 300, "{shown:?}");
    }
})
.seeds(&[
    br#"{"errors":[{"code":"DENIED","message":"requested access is denied","detail":null},{"code":"UNAUTHORIZED"}]}"#,
    br#"{"code":7,"message":"error","details":[]}"#,
    br#"{"error":"invalid_grant","error_description":"no"}"#,
    b"404 page not found\n",
]);
