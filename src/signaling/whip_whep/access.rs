//! Who may do what.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::signaling::broadcaster::Role;

/// The tokens that are asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Access {
    publish: Option<Token>,
    watch: Option<Token>,
}

/// Why somebody may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// No token was said, or not in a way that is understood.
    Missing,
    /// Another one was said.
    Wrong,
}

/// A token, by what it hashes to: two hashes have one length, and take the same time to compare wherever they differ.
#[derive(Clone)]
struct Token([u8; 32]);

impl Access {
    pub(super) fn require(&mut self, role: Role, token: &str) {
        let token = Some(Token::of(token.as_bytes()));
        match role {
            Role::Publisher => self.publish = token,
            Role::Viewer => self.watch = token,
        }
    }

    pub(super) fn check(&self, role: Role, headers: &HeaderMap) -> Result<(), Refusal> {
        let required = match role {
            Role::Publisher => &self.publish,
            Role::Viewer => &self.watch,
        };
        let Some(required) = required else {
            return Ok(());
        };
        let said = bearer(headers).ok_or(Refusal::Missing)?;
        if bool::from(Token::of(said).0.ct_eq(&required.0)) {
            Ok(())
        } else {
            Err(Refusal::Wrong)
        }
    }
}

impl Token {
    fn of(text: &[u8]) -> Self {
        Self(Sha256::digest(text).into())
    }
}

/// Not even the hash belongs into a log.
impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

/// The token of `Authorization: Bearer …` (RFC 6750 §2.1). Two such fields say nothing.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut fields = headers.get_all(AUTHORIZATION).iter();
    let (field, None) = (fields.next()?, fields.next()) else {
        return None;
    };
    let (scheme, token) = field.as_bytes().split_at_checked(SCHEME.len())?;
    let token = token.trim_ascii();
    (scheme.eq_ignore_ascii_case(SCHEME) && !token.is_empty()).then_some(token)
}

const SCHEME: &[u8] = b"Bearer ";

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[&'static str]) -> HeaderMap {
        let fields = fields
            .iter()
            .map(|field| (AUTHORIZATION, field.parse().unwrap()));
        fields.collect()
    }

    #[test]
    fn the_token_lets_in_and_nothing_else_does() {
        let mut access = Access::default();
        access.require(Role::Publisher, "sésame");
        let check = |fields: &[&'static str]| access.check(Role::Publisher, &headers(fields));
        assert_eq!(check(&["Bearer sésame"]), Ok(()));
        assert_eq!(check(&["bearer  sésame "]), Ok(()));
        for wrong in [
            "Bearer sésam",
            "Bearer sésame2",
            "Bearer SÉSAME",
            "Bearer x y",
        ] {
            assert_eq!(check(&[wrong]), Err(Refusal::Wrong), "{wrong}");
        }
        for missing in [
            "",
            "Bearer",
            "Bearer ",
            "Basic sésame",
            "sésame",
            "Bearer\tsésame",
        ] {
            assert_eq!(check(&[missing]), Err(Refusal::Missing), "{missing}");
        }
        assert_eq!(check(&[]), Err(Refusal::Missing));
        let twice = ["Bearer sésame", "Bearer sésame"];
        assert_eq!(check(&twice), Err(Refusal::Missing));
        let viewer = access.check(Role::Viewer, &headers(&[]));
        assert_eq!(viewer, Ok(()));
    }

    #[test]
    fn the_token_stays_out_of_logs() {
        let mut access = Access::default();
        access.require(Role::Viewer, "secret");
        assert!(!format!("{access:?}").contains("secret"));
    }
}
