//! Files that can be read, and those that are refused with the place.

use std::time::Duration;

use super::super::hosts::Capabilities;
use super::*;

fn read_text(text: &str) -> Result<Hosts> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hosts.toml");
    for (name, content) in [("a.crt", "A"), ("b.crt", "B"), ("key.pem", "K")] {
        std::fs::write(directory.path().join(name), content).unwrap();
    }
    std::fs::write(&path, text).unwrap();
    read(&path)
}

#[test]
fn everything_that_containerd_documents_is_understood() {
    let hosts = read_text(
        r#"
server = "https://docker.io"
ca = "a.crt"
[header]
  x-own = "0"

[host]
[host."https://z-comes-first.example"]
  capabilities = ["pull"]
  ca = ["a.crt", "b.crt"]
  client = [["a.crt", "key.pem"]]
  skip_verify = false
  dial_timeout = "1m30s"
  [host."https://z-comes-first.example".header]
    x-custom = ["one", "two"]
    Authorization = "Bearer t"

[host."http://a.example:5000/us"]
  capabilities = ["pull", "resolve", "push"]
  client = ["key.pem"]

[host."https://odd.example/v2/upstream"]
  override_path = true
  client = "key.pem"

[host."bare.example/v2"]
"#,
    )
    .unwrap();
    let server = hosts.server.unwrap();
    assert_eq!(server.base.as_str(), "https://registry-1.docker.io/");
    let own = hosts.own.unwrap();
    assert_eq!(own.ca_pem.as_deref(), Some(&b"A\n"[..]));
    assert_eq!(own.headers["x-own"], "0");

    let bases: Vec<_> = hosts
        .mirrors
        .iter()
        .map(|host| (host.address.base.as_str(), host.address.root))
        .collect();
    assert_eq!(
        bases,
        [
            ("https://z-comes-first.example/", Root::Specified),
            ("http://a.example:5000/us/", Root::Specified),
            ("https://odd.example/v2/upstream/", Root::Base),
            ("https://bare.example/", Root::Specified),
        ]
    );
    let [first, second, third, fourth] = &hosts.mirrors[..] else {
        panic!("there are four");
    };
    let pull = Capabilities {
        pull: true,
        ..Capabilities::NONE
    };
    let resolve = Capabilities {
        resolve: true,
        ..pull
    };
    assert_eq!(first.capabilities, pull);
    assert_eq!(second.capabilities, resolve);
    assert_eq!(fourth.capabilities, Capabilities::ALL);
    assert_eq!(first.settings.ca_pem.as_deref(), Some(&b"A\nB\n"[..]));
    assert_eq!(first.settings.connect, Some(Duration::from_secs(90)));
    let values: Vec<_> = first.settings.headers.get_all("x-custom").iter().collect();
    assert_eq!(values, ["one", "two"]);
    assert!(first.settings.headers["authorization"].is_sensitive());
    for (host, certificate, key) in [(first, "A", "K"), (second, "K", ""), (third, "K", "")] {
        let identity = host.settings.identity.as_ref().unwrap();
        assert_eq!(identity.certificate_pem, certificate.as_bytes());
        assert_eq!(identity.key_pem.as_slice(), key.as_bytes());
    }
}

#[test]
fn certificates_go_unchecked_only_where_nobody_can_be_in_between() {
    for fine in [
        "[host.\"https://127.0.0.1:5000\"]\nskip_verify = true",
        "[host.\"https://localhost:5000\"]\nskip_verify = true",
        // Without TLS there is nothing to skip; containerd's own example says so all the same.
        "[host.\"http://192.168.31.250:5000\"]\nskip_verify = true",
        "server = \"https://127.0.0.1:5000\"\nskip_verify = true",
        "[host.\"https://mirror.example\"]\nskip_verify = false",
    ] {
        read_text(fine).map(drop).expect(fine);
    }
    for (text, line) in [
        ("\n[host.\"https://mirror.example\"]\nskip_verify = true", 3),
        ("[host.\"https://10.0.0.1\"]\n\nskip_verify = true", 3),
        ("server = \"https://reg.example\"\nskip_verify = true", 2),
        ("skip_verify = true", 1),
    ] {
        refused(text, line, "skip_verify");
    }
}

#[track_caller]
fn refused(text: &str, line: usize, why: &str) {
    let error = read_text(text).err().expect(text);
    assert_eq!(error.reason(), Reason::HostsFileInvalid, "{text}: {error}");
    let place = format!("hosts.toml`, line {line}, ");
    assert!(error.message().contains(&place), "{text}: {error}");
    assert!(error.message().contains(why), "{text}: {error}");
}

#[test]
fn what_is_not_understood_is_named_with_its_line() {
    for (text, line, why) in [
        ("sever = \"https://a\"", 1, "`sever`"),
        (
            "\n\n[host.\"http://a\"]\ncapabilites = []",
            4,
            "`capabilites`",
        ),
        ("[host.\"http://a\"]\nserver = \"http://b\"", 2, "`server`"),
        (
            "[host.\"http://a\"]\n[host.\"http://a\".host.\"http://b\"]",
            2,
            "`host`",
        ),
        (
            "[host.\"http://a\"]\ncapabilities = [\"pull\", \"delete\"]",
            2,
            "`delete`",
        ),
        ("[host.\"http://a\"]\ncapabilities = 1", 2, "string"),
        (
            "[host.\"http://a\"]\noverride_path = \"yes\"",
            2,
            "true or false",
        ),
        ("host = \"http://a\"", 1, "table"),
        ("server = 5", 1, "string"),
        ("server = \"https://user:pw@reg.example\"", 1, "user name"),
        ("server = \"ftp://reg.example\"", 1, "https URL"),
        ("[host.\"https://a.example/?ns=b\"]", 1, "query"),
        ("[host.\"http://a\"]\ndial_timeout = \"soon\"", 2, "`soon`"),
        ("[host.\"http://a\"]\ndial_timeout = \"PT1S\"", 2, "`PT1S`"),
        ("[host.\"http://a\"]\ndial_timeout = \"0s\"", 2, "`0s`"),
        ("[host.\"http://a\"]\nca = \"missing.crt\"", 2, "this file"),
        (
            "[host.\"http://a\"]\nclient = [\"a.crt\", \"b.crt\"]",
            2,
            "not several",
        ),
        (
            "[host.\"http://a\"]\nclient = [[\"a\", \"b\", \"c\"]]",
            2,
            "and its key",
        ),
        ("[host.\"http://a\".header]\n\"b c\" = \"d\"", 2, "`b c`"),
        (
            "[host.\"http://a\".header]\nRange = \"bytes=0-1\"",
            2,
            "`Range`",
        ),
        ("[host.\"http://a\".header]\nx = \"a\\nb\"", 2, "HTTP"),
        ("[host.\"http://a\"]\n[host.\"http://a\"]", 2, ""),
        ("server = ", 1, ""),
    ] {
        refused(text, line, why);
    }
}

#[test]
fn durations_are_written_as_in_go() {
    for (text, milliseconds) in [
        ("500ms", 500),
        ("1s", 1000),
        ("1m30s", 90_000),
        ("2h", 7_200_000),
    ] {
        let file = format!("[host.\"http://a\"]\ndial_timeout = \"{text}\"");
        let hosts = read_text(&file).unwrap();
        let expected = Duration::from_millis(milliseconds);
        assert_eq!(hosts.mirrors[0].settings.connect, Some(expected), "{text}");
    }
}
