//! One registry: where it is, who we are to it, and how a request is brought to an end.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::{Method, StatusCode, Url};

use super::answer::Answer;
use super::http::{Authorization, Call, Http};
use super::login::{Login, Pass, Renewed};
use super::origin::Origin;
use super::retry::{Backoff, Failure};
use super::scope::Scope;
use super::{Transport, referral, refusal};
use crate::error::{Error, Reason, Result};
use crate::limits;
use crate::progress::Progress;

/// A request that can be sent again.
#[derive(Clone)]
pub(super) struct Request {
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Bytes,
    redirects: Redirects,
    /// How much of a successful answer's body is read, within the same tries.
    reads: Reads,
    /// What is done, to complete "cannot …".
    action: String,
}

/// What is done about an answer that leads elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Redirects {
    Follow,
    Refuse,
}

/// What is done about a successful answer's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reads {
    /// It is left to the caller.
    Nothing,
    /// It is read whole, and must not be longer than this.
    AtMost(u64),
    /// It is read whole if it is not longer than this; else the caller will see that it is.
    About(u64),
}

impl Request {
    /// Returns a request without fields or body; `action` completes "cannot …".
    pub(super) fn new(method: Method, url: Url, action: impl Into<String>) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            redirects: Redirects::Refuse,
            reads: Reads::Nothing,
            action: action.into(),
        }
    }

    /// Adds a field.
    pub(super) fn field(mut self, name: HeaderName, value: &str) -> Result<Self> {
        let value = HeaderValue::from_str(value)
            .map_err(|e| Error::new(Reason::Internal, format!("{name} is not text")).because(e))?;
        self.headers.insert(name, value);
        Ok(self)
    }

    /// Sets the body.
    pub(super) fn body(mut self, body: Bytes) -> Self {
        self.body = body;
        self
    }

    /// Allows redirects: only for content, which is checked whoever sends it.
    pub(super) fn following(mut self) -> Self {
        self.redirects = Redirects::Follow;
        self
    }

    /// Reads a successful answer's body, of at most `cap` bytes, too.
    pub(super) fn reading(mut self, cap: u64) -> Self {
        self.reads = Reads::AtMost(cap);
        self
    }

    /// Reads a successful answer's body, which should have `size` bytes and is checked by the
    /// caller, too.
    pub(super) fn gathering(mut self, size: u64) -> Self {
        self.reads = Reads::About(size);
        self
    }

    /// Returns where it goes.
    pub(super) fn url(&self) -> &Url {
        &self.url
    }
}

/// What is special about asking a host that stands in for another.
pub(super) struct Manner {
    /// Where its API begins.
    pub(super) root: Root,
    /// The registry whose content it is asked for, in the query: one mirror serves many.
    pub(super) namespace: Option<String>,
    /// Fields that it, and nobody it leads to, gets with every request.
    pub(super) headers: HeaderMap,
    /// How often it is asked before that is a failure.
    pub(super) tries: u32,
}

/// Where the API of a host begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Root {
    /// At `v2/` below its base, as the specification says.
    Specified,
    /// At its base.
    Base,
}

impl Default for Manner {
    /// Returns how a registry itself is asked.
    fn default() -> Self {
        Self {
            root: Root::Specified,
            namespace: None,
            headers: HeaderMap::new(),
            tries: limits::TRIES,
        }
    }
}

/// A registry, shared by everything that talks to it.
pub(super) struct Endpoint {
    base: Url,
    manner: Manner,
    origin: Origin,
    http: Arc<Http>,
    login: Login,
    progress: Arc<dyn Progress>,
    /// Held while a list of referrers is read, changed and written: what one process does at once
    /// it need not do in a race.
    pub(super) list_writer: tokio::sync::Mutex<()>,
}

impl Endpoint {
    /// Returns the registry at `base`, to which `login` says who we are.
    pub(super) fn new(
        base: Url,
        http: Arc<Http>,
        login: Login,
        progress: Arc<dyn Progress>,
    ) -> Result<Self> {
        let origin = Origin::of(&base)?;
        Ok(Self {
            base,
            manner: Manner::default(),
            origin,
            http,
            login,
            progress,
            list_writer: tokio::sync::Mutex::default(),
        })
    }

    /// Makes requests go in this manner.
    pub(super) fn in_manner(mut self, manner: Manner) -> Self {
        self.manner = manner;
        self
    }

    /// Returns the URL of a path such as `v2/`.
    pub(super) fn url(&self, path: &str) -> Result<Url> {
        let path = match self.manner.root {
            Root::Specified => path,
            Root::Base => path.strip_prefix("v2/").unwrap_or(path),
        };
        let url = self.base.join(path);
        url.map_err(|e| Error::new(Reason::Internal, format!("no URL for `{path}`")).because(e))
    }

    /// Returns the registry's origin.
    pub(super) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Returns where facts are told.
    pub(super) fn progress(&self) -> &dyn Progress {
        &*self.progress
    }

    /// Returns how long a silent peer is borne with.
    pub(super) fn stall(&self) -> Duration {
        self.http.patience().stall
    }

    /// Returns a short wait, for whoever looks again.
    pub(super) fn retry_wait(&self) -> Duration {
        self.http.patience().retry
    }

    /// Returns fresh tries.
    pub(super) fn backoff(&self) -> Backoff {
        Backoff::new(self.http.patience().retry).at_most(self.manner.tries)
    }

    /// Sends a request until it has an answer: signs in when asked to, follows redirects where
    /// they are allowed, and tries again what may pass. Refusals (401, 403, 408, 429, 5xx) are
    /// errors; every other status is the caller's to judge.
    pub(super) async fn send(&self, scope: &Scope, request: &Request) -> Result<Answer> {
        let mut backoff = self.backoff();
        loop {
            match self.attempt(scope, request).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => {
                    let progress = self.progress();
                    backoff.wait(failure, &request.action, progress).await?;
                }
            }
        }
    }

    /// Sends a request once, or again if it has to sign in.
    pub(super) async fn attempt(
        &self,
        scope: &Scope,
        request: &Request,
    ) -> Result<Answer, Failure> {
        let mut pass = self.login.pass(scope).await;
        let mut answer = self.follow(request, pass.as_ref()).await?;
        // Of several passes that were got before, all may have expired.
        for _ in 0..limits::TRIES {
            if answer.status() != StatusCode::UNAUTHORIZED || *answer.origin() != self.origin {
                break;
            }
            let shown = pass.as_ref();
            let renewed = self.sign_in(scope, &answer, shown, &request.action).await?;
            let is_last = matches!(renewed, Renewed::New(_));
            pass = Some(renewed.into_pass());
            answer = self.follow(request, pass.as_ref()).await?;
            if is_last {
                break;
            }
        }
        let answer = self.judge(answer, pass.as_ref(), &request.action).await?;
        match request.reads {
            Reads::AtMost(cap) if answer.status().is_success() => {
                Ok(answer.read(cap, &request.action).await?)
            }
            Reads::About(size) if answer.status().is_success() => Ok(answer.gather(size).await?),
            _ => Ok(answer),
        }
    }

    /// Gets a pass that answers the challenges of a 401.
    pub(super) async fn sign_in(
        &self,
        scope: &Scope,
        refused: &Answer,
        shown: Option<&Pass>,
        action: &str,
    ) -> Result<Renewed, Failure> {
        let signed_in = self.login.renew(self, scope, refused, shown).await;
        signed_in.map_err(|error| Failure::last(error.at(format!("cannot {action}"))))
    }

    /// Returns the pass that is there already for `scope`.
    pub(super) async fn pass(&self, scope: &Scope) -> Option<Pass> {
        self.login.pass(scope).await
    }

    /// Turns refusals into failures.
    pub(super) async fn judge(
        &self,
        answer: Answer,
        shown: Option<&Pass>,
        action: &str,
    ) -> Result<Answer, Failure> {
        let status = answer.status();
        let denied = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
        if !denied && !refusal::is_passing(status) {
            return Ok(answer);
        }
        let ours = *answer.origin() == self.origin;
        let failure = refusal::failure(answer, action).await;
        if !denied {
            return Err(failure);
        }
        let message = failure.error.message().to_owned();
        if !ours {
            // The registry sent us there without asking who we are, with a link that may have
            // expired; another try gets another link.
            let error = Error::new(Reason::RegistryFailed, message);
            return Err(Failure::passing(error));
        }
        let error = self.login.explain(failure.error.reason(), message, shown);
        Err(Failure::last(error))
    }

    /// Sends a request and follows where it leads.
    async fn follow(&self, request: &Request, pass: Option<&Pass>) -> Result<Answer> {
        let mut url = self.named(request.url.clone());
        let mut authorization = pass.map(Pass::authorization);
        for _ in 0..=limits::REDIRECTS {
            let call = self.call(request, url.clone(), authorization);
            let answer = self.http.exchange(&self.origin, call).await?;
            let Some(location) = leads_to(&answer, request.redirects)? else {
                return Ok(answer);
            };
            url = referral::redirect(&self.origin, &url, location)?;
            // Once away, a request stays anonymous, even if it is led back.
            if Origin::of(&url)? != self.origin {
                authorization = None;
            }
        }
        let message = format!(
            "cannot {}: {} redirects more than {} times",
            request.action,
            self.origin,
            limits::REDIRECTS
        );
        Err(Error::new(Reason::RegistryProtocol, message))
    }

    /// Adds the registry whose content is meant, as `?ns=`, unless a `Link` brought it back.
    fn named(&self, mut url: Url) -> Url {
        let there = |url: &Url| url.query_pairs().any(|(key, _)| key == "ns");
        if let Some(namespace) = self.manner.namespace.as_ref().filter(|_| !there(&url)) {
            url.query_pairs_mut().append_pair("ns", namespace);
        }
        url
    }

    /// Returns a request's fields, and those that are for this origin and no other.
    fn fields(&self, request: &Request, url: &Url) -> HeaderMap {
        let mut fields = request.headers.clone();
        if Origin::of(url).is_ok_and(|origin| origin == self.origin) {
            let more = self.manner.headers.iter();
            for (name, value) in more.filter(|(name, _)| !request.headers.contains_key(*name)) {
                fields.append(name, value.clone());
            }
        }
        fields
    }

    fn call<'a>(
        &self,
        request: &Request,
        url: Url,
        authorization: Option<&'a Authorization>,
    ) -> Call<'a> {
        Call {
            method: request.method.clone(),
            headers: self.fields(request, &url),
            url,
            body: request.body.clone().into(),
            authorization,
            wait: self.stall(),
        }
    }

    /// Sends one call as it is: for uploads, and for token servers.
    pub(super) async fn exchange(&self, call: Call<'_>) -> Result<Answer> {
        self.http.exchange(&self.origin, call).await
    }
}

/// Returns where an answer leads, if it is a redirect that may be followed.
fn leads_to(answer: &Answer, redirects: Redirects) -> Result<Option<&str>> {
    let leads = matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    if !leads || redirects == Redirects::Refuse {
        return Ok(None);
    }
    let location = answer.field(&LOCATION);
    location.map(Some).ok_or_else(|| {
        let message = format!("{} redirects to nowhere", answer.origin());
        Error::new(Reason::RegistryProtocol, message)
    })
}

/// Returns the host that is meant by `host`: Docker Hub's names are not those of its registry.
pub(super) fn actual_host(host: &str) -> &str {
    match host {
        "docker.io" | "index.docker.io" => "registry-1.docker.io",
        host => host,
    }
}

/// Returns the URL below which the registry `host` is found.
pub(super) fn base(host: &str, transport: Transport, has_ca: bool) -> Result<Url> {
    let name = actual_host(host);
    let at = |scheme: &str| {
        let url = Url::parse(&format!("{scheme}://{name}/"));
        url.map_err(|e| Error::new(Reason::ReferenceInvalid, format!("`{host}`")).because(e))
    };
    let plain = match transport {
        Transport::Plain => true,
        Transport::Tls => false,
        Transport::Auto => !has_ca && Origin::of(&at("http")?)?.is_loopback(),
    };
    at(if plain { "http" } else { "https" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_loopback_or_by_choice() {
        use Transport::{Auto, Plain, Tls};
        for (host, transport, has_ca, url) in [
            ("reg.example", Auto, false, "https://reg.example/"),
            ("reg.example:5000", Auto, true, "https://reg.example:5000/"),
            ("10.0.0.1:5000", Auto, false, "https://10.0.0.1:5000/"),
            ("localhost:5000", Auto, false, "http://localhost:5000/"),
            ("127.0.0.1:5000", Auto, false, "http://127.0.0.1:5000/"),
            ("[::1]:5000", Auto, false, "http://[::1]:5000/"),
            ("localhost:5000", Auto, true, "https://localhost:5000/"),
            ("localhost:5000", Tls, false, "https://localhost:5000/"),
            ("reg.example", Plain, true, "http://reg.example/"),
            ("docker.io", Auto, false, "https://registry-1.docker.io/"),
        ] {
            let found = base(host, transport, has_ca).unwrap();
            assert_eq!(found.as_str(), url, "{host} {transport:?}");
        }
    }
}
