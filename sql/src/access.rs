//! Who may see what: tokens, their roles and dealers. Every server of the pipeline asks here.
//!
//! ```text
//!   token ─▶ Access { role, dealers } ─▶ pinned to each query ─▶ scans give rows of these dealers and no others
//! ```
//! The dealers are applied where rows leave memory or files, below every view, function and plan: nothing above a scan ever meets
//! another dealer's row. Rows that belong to no dealer are the system's own, and for admins.

use std::collections::BTreeSet;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

/// What a caller may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Read.
    Viewer,
    /// Read, and send events.
    Operator,
    /// All that, and read and change the system's own state.
    Admin,
}

impl Role {
    /// The role's name.
    pub const fn name(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Operator => "operator",
            Role::Admin => "admin",
        }
    }
}

/// Which dealers' rows a caller may see.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dealers {
    /// Every dealer's.
    All,
    /// Those of these dealers.
    Only(BTreeSet<String>),
}

/// What a caller may do and see.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Access {
    /// What it may do.
    pub role: Role,
    /// Whose rows it may see.
    pub dealers: Dealers,
}

impl Access {
    /// Everything: for callers of this machine while there are no tokens.
    pub const fn unrestricted() -> Self {
        Access { role: Role::Admin, dealers: Dealers::All }
    }

    /// Whether rows that belong to no dealer may be seen.
    pub fn sees_system(&self) -> bool {
        self.role == Role::Admin && self.dealers == Dealers::All
    }

    /// Whether a dealer's rows may be seen.
    pub fn sees(&self, dealer: &str) -> bool {
        match &self.dealers {
            Dealers::All => true,
            Dealers::Only(dealers) => dealers.contains(dealer),
        }
    }

    /// Whether plans may be told in full: they name files and count rows before dealers are told apart.
    pub fn sees_plans(&self) -> bool {
        self.dealers == Dealers::All
    }

    /// A name for files that belong to callers with this access: role, and a digest of the dealers.
    pub fn file_name(&self) -> String {
        let role = self.role.name();
        match &self.dealers {
            Dealers::All => format!("{role}-all"),
            Dealers::Only(dealers) => {
                let mut digest = Sha256::new();
                for dealer in dealers {
                    digest.update((dealer.len() as u64).to_be_bytes());
                    digest.update(dealer.as_bytes());
                }
                let digest: [u8; 32] = digest.finalize().into();
                let start = digest.first_chunk::<8>().map_or(0, |start| u64::from_be_bytes(*start));
                format!("{role}-{start:016x}")
            }
        }
    }
}

/// One token.
#[derive(Clone)]
pub struct Token {
    /// The name it goes by where a name is asked beside the secret: the PostgreSQL user.
    pub user: String,
    /// The secret itself.
    pub secret: String,
    /// What it is good for.
    pub access: Access,
}

impl std::fmt::Debug for Token {
    /// Without the secret.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Token").field("user", &self.user).field("access", &self.access).finish_non_exhaustive()
    }
}

/// A token as it is kept: compared by its digest.
#[derive(Clone, Debug)]
struct Entry {
    token: Token,
    digest: [u8; 32],
    access: Arc<Access>,
}

/// All tokens. Without any, callers of this machine are let in unasked.
#[derive(Clone, Debug, Default)]
pub struct Tokens {
    entries: Vec<Entry>,
}

fn digest_of(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

impl Tokens {
    /// The tokens of a configuration.
    pub fn new(tokens: Vec<Token>) -> Self {
        let entry =
            |token: Token| Entry { digest: digest_of(&token.secret), access: Arc::new(token.access.clone()), token };
        Tokens { entries: tokens.into_iter().map(entry).collect() }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What the bearer of a secret may do. Takes the same time whichever token it is, and if it is none.
    pub fn of_bearer(&self, secret: &str) -> Option<Arc<Access>> {
        let presented = digest_of(secret);
        let mut found = u64::MAX;
        for (index, entry) in self.entries.iter().enumerate() {
            let is_same: Choice = entry.digest.ct_eq(&presented);
            found = u64::conditional_select(&found, &(index as u64), is_same);
        }
        self.entries.get(usize::try_from(found).ok()?).map(|entry| Arc::clone(&entry.access))
    }

    /// The token that goes by a name.
    pub fn of_user(&self, user: &str) -> Option<(&Token, Arc<Access>)> {
        let entry = self.entries.iter().find(|entry| entry.token.user == user)?;
        Some((&entry.token, Arc::clone(&entry.access)))
    }

    /// Every access that a token gives.
    pub fn accesses(&self) -> impl Iterator<Item = &Access> {
        self.entries.iter().map(|entry| entry.access.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(user: &str, secret: &str, role: Role, dealers: Dealers) -> Token {
        Token { user: user.to_owned(), secret: secret.to_owned(), access: Access { role, dealers } }
    }

    #[test]
    fn a_bearer_is_found_by_the_whole_secret_alone() {
        let only = Dealers::Only(BTreeSet::from(["d-1".to_owned()]));
        let tokens = Tokens::new(vec![
            token("a", "alpha", Role::Admin, Dealers::All),
            token("b", "beta", Role::Viewer, only.clone()),
        ]);
        assert_eq!(tokens.of_bearer("beta").unwrap().dealers, only);
        for wrong in ["", "bet", "betaa", "Beta", "alpha beta"] {
            assert!(tokens.of_bearer(wrong).is_none(), "{wrong}");
        }
        assert!(tokens.of_user("b").is_some_and(|(token, _)| token.secret == "beta"));
        assert!(Tokens::default().of_bearer("").is_none());
        assert!(!format!("{tokens:?}").contains("beta\""), "secrets are not shown");
    }

    #[test]
    fn the_systems_own_rows_are_for_admins_of_all_dealers() {
        let only = Dealers::Only(BTreeSet::from(["d-1".to_owned()]));
        assert!(Access::unrestricted().sees_system());
        assert!(!Access { role: Role::Admin, dealers: only }.sees_system());
        assert!(!Access { role: Role::Viewer, dealers: Dealers::All }.sees_system());
    }

    #[test]
    fn callers_of_different_dealers_have_files_of_their_own() {
        let names: BTreeSet<String> = [&["a", "b"][..], &["ab"], &["a"], &["b", "a"]]
            .iter()
            .map(|dealers| dealers.iter().map(|dealer| (*dealer).to_owned()).collect())
            .map(|dealers| Access { role: Role::Viewer, dealers: Dealers::Only(dealers) }.file_name())
            .collect();
        assert_eq!(names.len(), 3);
    }
}
