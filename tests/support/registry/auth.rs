//! Who may do what: Basic, and Bearer tokens from the registry's own token endpoint
//! ([token authentication](https://distribution.github.io/distribution/spec/auth/token/)).

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::answer::{Route, error, json as json_answer, parameter, parameters};
use super::contents::{State, random};

/// How a registry tells people apart.
pub enum Auth {
    /// Not at all.
    None,
    /// By name and password with each request.
    Basic {
        /// The one name.
        user: String,
        /// Its password.
        password: String,
    },
    /// By tokens.
    Bearer(Bearer),
}

/// How tokens are given out.
pub struct Bearer {
    /// Who can have one.
    pub users: Vec<User>,
    /// What a token without any name and password allows.
    pub anonymous: Access,
    /// The token endpoint that challenges name, if it is not the registry's own `/token`.
    pub realm: Option<String>,
    /// How many requests a token is good for.
    pub uses: Option<usize>,
    /// The `expires_in` that the token endpoint tells.
    pub expires_in: u64,
    /// Under which name the token endpoint gives the token.
    pub field: TokenField,
    /// The tokens given out: share them, and one registry is the token service of another.
    pub tokens: Tokens,
}

impl Default for Bearer {
    fn default() -> Self {
        Self {
            users: Vec::new(),
            anonymous: Access::None,
            realm: None,
            uses: None,
            expires_in: 300,
            field: TokenField::Both,
            tokens: Tokens::default(),
        }
    }
}

/// Someone who can have tokens.
pub struct User {
    /// The name.
    pub name: String,
    /// The password.
    pub password: String,
    /// The identity token (OAuth2 refresh token) that stands for both, if there is one.
    pub identity_token: Option<String>,
    /// What the tokens allow.
    pub access: Access,
}

/// What a token can allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Nothing.
    None,
    /// `pull`.
    Pull,
    /// `pull` and `push`.
    Push,
}

impl Access {
    fn allows(self, action: &str) -> bool {
        match self {
            Self::None => false,
            Self::Pull => action == "pull",
            Self::Push => action == "pull" || action == "push",
        }
    }
}

/// Under which name a token is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenField {
    /// `token`.
    Token,
    /// `access_token`.
    AccessToken,
    /// Both.
    Both,
}

/// The tokens that were given out.
#[derive(Clone, Default)]
pub struct Tokens(Arc<Mutex<HashMap<String, Grant>>>);

struct Grant {
    allowed: Vec<Need>,
    uses: Option<usize>,
}

/// A repository and what is done to it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Need {
    repository: String,
    action: String,
}

/// Returns the refusal of a request that shows nothing good enough.
pub(super) fn challenge(state: &State, route: &Route<'_>, request: &Request) -> Option<Response> {
    if matches!(route, Route::Token) {
        return None;
    }
    match &state.options.auth {
        Auth::None => None,
        Auth::Basic { user, password } => {
            let shown = basic(request.headers());
            let good = shown.is_some_and(|(u, p)| &u == user && &p == password);
            (!good).then(|| refuse("Basic realm=\"test registry\"".to_owned()))
        }
        Auth::Bearer(bearer) => challenge_bearer(state, bearer, route, request),
    }
}

fn refuse(challenge: String) -> Response {
    let message = "authentication required";
    let mut response = error(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", message);
    let challenge = HeaderValue::try_from(challenge).unwrap();
    response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    response
}

fn challenge_bearer(
    state: &State,
    bearer: &Bearer,
    route: &Route<'_>,
    request: &Request,
) -> Option<Response> {
    let needs = needs(route, request);
    let shown = authorization(request.headers(), "Bearer");
    let why = match shown {
        None => "",
        Some(token) => match bearer.tokens.judge(token, &needs) {
            Ok(()) => return None,
            Err(why) => why,
        },
    };
    let realm = bearer
        .realm
        .clone()
        .unwrap_or_else(|| format!("{}/token", state.url()));
    let mut challenge = format!("Bearer realm=\"{realm}\",service=\"{}\"", state.host);
    if !needs.is_empty() {
        challenge += &format!(",scope=\"{}\"", scopes(&needs));
    }
    if !why.is_empty() {
        challenge += &format!(",error=\"{why}\"");
    }
    Some(refuse(challenge))
}

impl Tokens {
    fn judge(&self, token: &str, needs: &[Need]) -> Result<(), &'static str> {
        let mut tokens = self.0.lock().unwrap();
        let grant = tokens.get_mut(token).ok_or("invalid_token")?;
        match &mut grant.uses {
            Some(0) => return Err("invalid_token"),
            Some(uses) => *uses -= 1,
            None => (),
        }
        match needs.iter().all(|need| grant.allowed.contains(need)) {
            true => Ok(()),
            false => Err("insufficient_scope"),
        }
    }

    /// Takes back every token.
    pub fn revoke(&self) {
        self.0.lock().unwrap().clear();
    }
}

fn needs(route: &Route<'_>, request: &Request) -> Vec<Need> {
    let need = |repository: &str, action: &str| Need {
        repository: repository.to_owned(),
        action: action.to_owned(),
    };
    let Some(name) = route.repository() else {
        return Vec::new();
    };
    let mut needs = vec![need(name, "pull")];
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        needs.push(need(name, "push"));
    }
    if let Some(from) = parameter(request.uri(), "from") {
        needs.push(need(&from, "pull"));
    }
    needs
}

fn scopes(needs: &[Need]) -> String {
    let mut scopes: Vec<(&str, Vec<&str>)> = Vec::new();
    for need in needs {
        match scopes.iter_mut().find(|(name, _)| *name == need.repository) {
            Some((_, actions)) => actions.push(&need.action),
            None => scopes.push((&need.repository, vec![&need.action])),
        }
    }
    let scope =
        |(name, actions): &(&str, Vec<&str>)| format!("repository:{name}:{}", actions.join(","));
    scopes.iter().map(scope).collect::<Vec<_>>().join(" ")
}

/// Answers at the token endpoint: `GET` with Basic or nothing, `POST` with a form (OAuth2).
pub(super) async fn token(state: &State, request: Request) -> Response {
    let Auth::Bearer(bearer) = &state.options.auth else {
        return error(StatusCode::NOT_FOUND, "UNSUPPORTED", "no tokens here");
    };
    let (head, body) = request.into_parts();
    let form = to_bytes(body, 64 << 10).await.unwrap_or_default();
    let posted = head.method == Method::POST;
    let asked = match posted {
        true => format!("/?{}", String::from_utf8_lossy(&form))
            .parse()
            .unwrap_or_default(),
        false => head.uri,
    };
    let access = match posted {
        true => bearer.posted(&asked),
        false => match basic(&head.headers) {
            Some((name, password)) => bearer.named(&name, &password),
            None => Some(bearer.anonymous),
        },
    };
    match access {
        Some(access) => bearer.give(access, &asked, posted),
        None => refuse("Basic realm=\"token\"".to_owned()),
    }
}

impl Bearer {
    fn named(&self, name: &str, password: &str) -> Option<Access> {
        let user = self.users.iter().find(|user| user.name == name)?;
        (user.password == password).then_some(user.access)
    }

    fn posted(&self, form: &Uri) -> Option<Access> {
        match parameter(form, "grant_type")?.as_str() {
            "password" => self.named(&parameter(form, "username")?, &parameter(form, "password")?),
            "refresh_token" => {
                let shown = Some(parameter(form, "refresh_token")?);
                let mut users = self.users.iter();
                Some(users.find(|user| user.identity_token == shown)?.access)
            }
            _ => None,
        }
    }

    /// Gives a token for as much of what is asked as `access` allows.
    fn give(&self, access: Access, asked: &Uri, posted: bool) -> Response {
        let scopes = parameters(asked, "scope");
        let mut allowed = Vec::new();
        for scope in scopes.iter().flat_map(|scopes| scopes.split(' ')) {
            let Some(("repository", rest)) = scope.split_once(':') else {
                continue;
            };
            let Some((repository, actions)) = rest.rsplit_once(':') else {
                continue;
            };
            let actions = actions.split(',').filter(|action| access.allows(action));
            allowed.extend(actions.map(|action| Need {
                repository: repository.to_owned(),
                action: action.to_owned(),
            }));
        }
        let token = random();
        let uses = self.uses;
        let grant = Grant { allowed, uses };
        self.tokens.0.lock().unwrap().insert(token.clone(), grant);
        let mut body = json!({ "expires_in": self.expires_in });
        if !posted && self.field != TokenField::AccessToken {
            body["token"] = json!(token);
        }
        if posted || self.field != TokenField::Token {
            body["access_token"] = json!(token);
        }
        json_answer(StatusCode::OK, &body)
    }
}

fn authorization<'a>(headers: &'a HeaderMap, scheme: &str) -> Option<&'a str> {
    let (shown, rest) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    shown.eq_ignore_ascii_case(scheme).then_some(rest)
}

fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let decoded = STANDARD.decode(authorization(headers, "Basic")?).ok()?;
    let pair = String::from_utf8(decoded).ok()?;
    let (name, password) = pair.split_once(':')?;
    Some((name.to_owned(), password.to_owned()))
}
