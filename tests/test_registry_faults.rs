//! The test registry's authentication, TLS and scripted faults, checked with plain requests.
#![allow(clippy::unwrap_used)]

mod support;

use reqwest::{Client, Response};
use serde_json::Value;
use support::registry::{
    Access, Action, Auth, Bearer, Fault, Options, Registry, Tls, TokenField, User,
};

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers()[name].to_str().unwrap()
}

#[tokio::test]
async fn wants_the_right_name_and_password() {
    let registry = Registry::start(Options {
        auth: Auth::Basic {
            user: "alice".to_owned(),
            password: "s3cret".to_owned(),
        },
        ..Options::default()
    });
    let refused = Client::new()
        .get(format!("{}/v2/", registry.url()))
        .send()
        .await
        .unwrap();
    assert_eq!(refused.status(), 401);
    assert!(header(&refused, "www-authenticate").starts_with("Basic "));
    for (password, expected) in [("wrong", 401), ("s3cret", 200)] {
        let request = Client::new().get(format!("{}/v2/", registry.url()));
        let answer = request.basic_auth("alice", Some(password)).send().await;
        assert_eq!(answer.unwrap().status(), expected);
    }
}

fn bearer() -> Bearer {
    let user = |name: &str, access| User {
        name: name.to_owned(),
        password: "s3cret".to_owned(),
        identity_token: Some(format!("{name}-identity")),
        access,
    };
    Bearer {
        users: vec![user("alice", Access::Push), user("bob", Access::Pull)],
        anonymous: Access::Pull,
        uses: Some(2),
        field: TokenField::Token,
        ..Bearer::default()
    }
}

#[tokio::test]
async fn wants_a_token_for_the_scope() {
    let registry = Registry::start(Options {
        auth: Auth::Bearer(bearer()),
        ..Options::default()
    });
    let upload = format!("{}/v2/a/b/blobs/uploads/", registry.url());
    let client = Client::new();
    let refused = client
        .post(format!("{upload}?mount=x&from=c"))
        .send()
        .await
        .unwrap();
    let challenge = header(&refused, "www-authenticate");
    let scope = "scope=\"repository:a/b:pull,push repository:c:pull\"";
    assert!(challenge.contains(scope), "{challenge}");

    let service = format!("{}/token?scope=repository:a/b:pull,push", registry.url());
    for (user, password, expected) in [
        (None, "", 401),
        (Some("alice"), "wrong", 0),
        (Some("bob"), "s3cret", 401),
        (Some("alice"), "s3cret", 202),
    ] {
        let mut request = client.get(&service);
        if let Some(user) = user {
            request = request.basic_auth(user, Some(password));
        }
        let answer = request.send().await.unwrap();
        if answer.status() == 401 {
            assert_eq!(expected, 0);
            continue;
        }
        let token: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        let token = token["token"].as_str().unwrap();
        let begin = || client.post(&upload).bearer_auth(token).send();
        assert_eq!(begin().await.unwrap().status(), expected, "{user:?}");
        if expected == 202 {
            assert_eq!(begin().await.unwrap().status(), 202);
            assert_eq!(begin().await.unwrap().status(), 401, "the token is used up");
        }
    }
}

#[tokio::test]
async fn gives_a_token_for_an_identity_token() {
    let registry = Registry::start(Options {
        auth: Auth::Bearer(bearer()),
        ..Options::default()
    });
    let url = format!("{}/token", registry.url());
    for (identity, expected) in [("alice-identity", 200), ("other", 401)] {
        let form = format!("grant_type=refresh_token&refresh_token={identity}&service=x");
        let answer = Client::new().post(&url).body(form).send().await.unwrap();
        assert_eq!(answer.status(), expected);
    }
}

#[tokio::test]
async fn breaks_what_it_is_told_to_break() {
    let registry = Registry::start(Options::default());
    let digest = registry.put_blob("a/b", vec![b'x'; 300_000]);
    let path = format!("/v2/a/b/blobs/{digest}");
    let url = format!("{}{path}", registry.url());
    let whole = [b'x'; 300_000];
    let fault = || Fault::on("GET", "/blobs/").times(1);
    let get = || Client::new().get(&url).send();

    registry.fault(fault().after(1).does(Action::Status(503, "{}".to_owned())));
    assert_eq!(get().await.unwrap().status(), 200);
    assert_eq!(get().await.unwrap().status(), 503);
    registry.fault(fault().does(Action::Close));
    get().await.unwrap_err();
    registry.fault(fault().does(Action::CloseAfter));
    get().await.unwrap_err();
    registry.fault(fault().does(Action::Corrupt(299_999)));
    let body = get().await.unwrap().bytes().await.unwrap();
    assert_eq!(body[..299_999], whole[..299_999]);
    assert_eq!(body[299_999], b'x' ^ 1);
    registry.fault(fault().does(Action::Throttle(100_000_000)));
    assert!(get().await.unwrap().bytes().await.unwrap() == whole[..]);
    registry.fault(fault().does(Action::ExtraBytes(3)));
    assert_eq!(get().await.unwrap().content_length(), Some(300_003));
    registry.fault(fault().does(Action::Chunked).does(Action::ExtraBytes(3)));
    let answer = get().await.unwrap();
    assert_eq!(answer.content_length(), None);
    assert_eq!(answer.bytes().await.unwrap().len(), 300_003);
    let (name, value) = ("docker-content-digest".to_owned(), "md5:0".to_owned());
    registry.fault(fault().does(Action::Header(name.clone(), value)));
    assert_eq!(header(&get().await.unwrap(), &name), "md5:0");
    registry.fault(fault().does(Action::WithoutHeader(name.clone())));
    assert!(!get().await.unwrap().headers().contains_key(&name));
    let gone = digest.clone();
    registry.fault(fault().calls(move |state| assert!(state.remove_blob("a/b", &gone))));
    assert_eq!(get().await.unwrap().status(), 404);

    let statuses: Vec<_> = registry.requests().iter().map(|seen| seen.status).collect();
    assert_eq!(statuses[1..4], [Some(503), None, None]);
    assert_eq!(registry.count("GET", &digest), statuses.len());
}

#[tokio::test]
async fn truncates_and_stalls_after_exactly_so_many_bytes() {
    let registry = Registry::start(Options::default());
    let digest = registry.put_blob("a/b", vec![b'x'; 3_000_000]);
    let url = format!("{}/v2/a/b/blobs/{digest}", registry.url());
    for count in [0, 10, 2_500_000] {
        registry.fault(Fault::on("GET", "").times(1).does(Action::Truncate(count)));
        let mut answer = Client::new().get(&url).send().await.unwrap();
        assert_eq!(answer.content_length(), Some(3_000_000));
        let mut arrived = 0;
        while let Ok(Some(piece)) = answer.chunk().await {
            arrived += piece.len();
        }
        assert_eq!(arrived, count);

        registry.fault(Fault::on("GET", "").times(1).does(Action::Stall(count)));
        let mut answer = Client::new().get(&url).send().await.unwrap();
        let mut arrived = 0;
        while arrived < count {
            arrived += answer.chunk().await.unwrap().unwrap().len();
        }
        assert_eq!(arrived, count);
    }
    registry.fault(Fault::on("GET", "").times(1).does(Action::Endless));
    let mut answer = Client::new().get(&url).send().await.unwrap();
    let mut arrived = 0;
    while arrived < 10_000_000 {
        arrived += answer.chunk().await.unwrap().unwrap().len();
    }
    assert!(registry.bytes_sent() > 10_000_000);
}

fn client(registry: &Registry, with_certificate: bool) -> Client {
    let ca = reqwest::Certificate::from_pem(registry.identity().ca().as_bytes()).unwrap();
    let builder = Client::builder().tls_certs_only([ca]);
    let (certificate, key) = registry.identity().client();
    let pem = format!("{certificate}{key}");
    let builder = match with_certificate {
        true => builder.identity(reqwest::Identity::from_pem(pem.as_bytes()).unwrap()),
        false => builder,
    };
    builder.build().unwrap()
}

#[tokio::test]
async fn speaks_tls_with_good_and_bad_certificates() {
    for (tls, without, with) in [
        (Tls::Server, true, true),
        (Tls::WrongName, false, false),
        (Tls::Expired, false, false),
        (Tls::ClientMay, true, true),
        (Tls::ClientMust, false, true),
    ] {
        let registry = Registry::start(Options {
            tls: Some(tls),
            ..Options::default()
        });
        let url = format!("{}/v2/", registry.url());
        for (with_certificate, expected) in [(false, without), (true, with)] {
            let answer = client(&registry, with_certificate).get(&url).send().await;
            let answered = answer.is_ok_and(|answer| answer.status() == 200);
            assert_eq!(answered, expected, "{tls:?}, {with_certificate}");
        }
        let shown = registry
            .requests()
            .iter()
            .any(|seen| seen.client_certificate);
        assert_eq!(shown, matches!(tls, Tls::ClientMay | Tls::ClientMust));
        assert_eq!(registry.requests().is_empty(), !with);
    }
}
