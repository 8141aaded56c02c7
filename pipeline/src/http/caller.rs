//! Who calls, and what for: bearer tokens bound to roles and dealers.
//!
//! ```text
//!   Authorization: Bearer … ─▶ compared with every token, each in constant time ─▶ Caller { role, dealers }
//!   no tokens configured    ─▶ only loopback listens (the configuration holds that) ─▶ Caller of everything
//! ```
//! A browser must not be made to call for a stranger's page: a request that names another origin is refused, and where there are no
//! tokens, so is one that was sent to any name but this machine's own (a name that a stranger owns may point here).

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Uri, header};
use sql::access::{Access, Dealers, Role, Tokens};

use super::problem::{Problem, ProblemKind};

/// Somebody who calls.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Name in logs and in events: `token[0]`, or `local` where there are no tokens.
    pub name: Arc<str>,
    /// What it may do and see.
    pub access: Arc<Access>,
    /// Its place among the callers.
    pub index: usize,
}

/// Everybody who may call.
#[derive(Debug)]
pub struct Callers {
    tokens: Arc<Tokens>,
    local: Caller,
}

impl Callers {
    /// Callers by these tokens; none: whoever reaches this machine's own addresses may do everything.
    pub fn new(tokens: Arc<Tokens>) -> Self {
        let local = Caller { name: "local".into(), access: Arc::new(Access::unrestricted()), index: 0 };
        Callers { tokens, local }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.tokens.accesses().count().max(1)
    }

    /// Who sent a request.
    ///
    /// # Errors
    /// If its token is missing or unknown, or a stranger's page made a browser send it.
    pub fn identify(&self, headers: &HeaderMap, uri: &Uri) -> Result<Caller, Problem> {
        let host = uri.authority().map(axum::http::uri::Authority::as_str);
        let host = host.or_else(|| headers.get(header::HOST)?.to_str().ok());
        if let Some(origin) = headers.get(header::ORIGIN) {
            let own = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, own)| own);
            if own.is_none() || own != host {
                let detail = "the request comes from a page of another origin: call from your own server instead";
                return Err(Problem::new(ProblemKind::Forbidden, detail));
            }
        }
        if self.tokens.is_empty() {
            return if host.is_none_or(is_loopback) {
                Ok(self.local.clone())
            } else {
                let detail = "without tokens only this machine's own names are answered: use 127.0.0.1 or localhost";
                Err(Problem::new(ProblemKind::Forbidden, detail))
            };
        }
        let presented = headers.get(header::AUTHORIZATION).map(axum::http::HeaderValue::as_bytes);
        let Some(token) = presented.and_then(bearer) else {
            let detail = "send the header `Authorization: Bearer …` with a token of this server";
            return Err(Problem::new(ProblemKind::Unauthorized, detail));
        };
        let access = std::str::from_utf8(token).ok().and_then(|token| self.tokens.of_bearer(token));
        let Some(access) = access else {
            return Err(Problem::new(ProblemKind::Unauthorized, "the token is not known here"));
        };
        let index = self.tokens.accesses().position(|own| std::ptr::eq(own, access.as_ref())).unwrap_or_default();
        Ok(Caller { name: format!("token[{index}]").into(), access, index })
    }
}

/// The token of an `Authorization` header.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(b"bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

/// Whether a host, with or without a port, is a name that only this machine has.
fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

impl Caller {
    /// Refuses who may not do what needs `role`.
    ///
    /// # Errors
    /// [`ProblemKind::Forbidden`], naming the role.
    pub fn require(&self, role: Role) -> Result<(), Problem> {
        if self.access.role >= role {
            return Ok(());
        }
        let detail = format!("this needs a token of role {}, and yours is {}", role.name(), self.access.role.name());
        Err(Problem::new(ProblemKind::Forbidden, detail))
    }

    /// The dealer of a token that is bound to one alone.
    pub fn only_dealer(&self) -> Option<String> {
        match &self.access.dealers {
            Dealers::Only(dealers) if dealers.len() == 1 => dealers.first().cloned(),
            _ => None,
        }
    }

    /// Refuses who may not see what belongs to no dealer.
    ///
    /// # Errors
    /// [`ProblemKind::Forbidden`].
    pub fn require_all_dealers(&self) -> Result<(), Problem> {
        if self.access.dealers == Dealers::All {
            return Ok(());
        }
        Err(Problem::new(ProblemKind::Forbidden, "this is about the whole pipeline: it needs a token of all dealers"))
    }

    /// Refuses a dealer whose rows the caller may not see, in the same words whether it exists or not.
    ///
    /// # Errors
    /// [`ProblemKind::Forbidden`].
    pub fn require_dealer(&self, dealer: &str) -> Result<(), Problem> {
        if self.access.sees(dealer) {
            return Ok(());
        }
        Err(Problem::new(ProblemKind::Forbidden, format!("the token is not good for dealer {dealer:?}")))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        // The layer that identifies callers stands before every route that asks who calls.
        parts.extensions.get::<Caller>().cloned().ok_or_else(|| Problem::new(ProblemKind::Unauthorized, "no caller"))
    }
}

#[cfg(test)]
mod tests {
    use sql::access::Token;

    use super::*;

    fn headers(pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    fn with_tokens() -> Callers {
        let dealers = Dealers::Only(["d-1".to_owned()].into());
        let access = Access { role: Role::Operator, dealers };
        let token = Token { user: "manager".into(), secret: "0123456789abcdef".into(), access };
        Callers::new(Arc::new(Tokens::new(vec![token])))
    }

    fn status(callers: &Callers, pairs: &[(header::HeaderName, &str)]) -> u16 {
        let found = callers.identify(&headers(pairs), &Uri::from_static("/api"));
        found.map_or_else(|problem| problem.status().as_u16(), |_| 200)
    }

    #[test]
    fn tokens_are_needed_whole_where_there_are_any() {
        let callers = with_tokens();
        let check = |value: &str, expect: u16| {
            assert_eq!(status(&callers, &[(header::AUTHORIZATION, value)]), expect, "{value}");
        };
        check("Bearer 0123456789abcdef", 200);
        check("bearer  0123456789abcdef", 200);
        check("Bearer 0123456789abcde", 401);
        check("Bearer ", 401);
        check("Basic 0123456789abcdef", 401);
        assert_eq!(status(&callers, &[]), 401);
        let caller = callers.identify(&headers(&[(header::AUTHORIZATION, "Bearer 0123456789abcdef")]), &Uri::default());
        let caller = caller.unwrap();
        assert!(caller.require(Role::Operator).is_ok() && caller.require(Role::Admin).is_err());
        assert!(caller.require_dealer("d-1").is_ok() && caller.require_dealer("d-2").is_err());
        assert!(caller.require_all_dealers().is_err());
    }

    #[test]
    fn a_strangers_page_cannot_make_a_browser_call() {
        let callers = Callers::new(Arc::default());
        let check = |host: &str, origin: Option<&str>, expect: u16| {
            let mut pairs = vec![(header::HOST, host)];
            pairs.extend(origin.map(|origin| (header::ORIGIN, origin)));
            assert_eq!(status(&callers, &pairs), expect, "{host} {origin:?}");
        };
        check("127.0.0.1:8080", None, 200);
        check("localhost:8080", Some("http://localhost:8080"), 200);
        check("[::1]:8080", None, 200);
        check("dealer.example:8080", None, 403);
        check("127.0.0.1.example", None, 403);
        check("localhost:8080", Some("http://localhost:9999"), 403);
        check("localhost:8080", Some("null"), 403);
    }
}
