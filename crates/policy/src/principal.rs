//! Who asks, and whom a statement names.

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Principal<'a> {
    /// `ecs-tasks.amazonaws.com`.
    Service(&'a str),
    /// A caller of an account.
    Aws {
        /// A user's or a session's own ARN.
        arn: &'a str,
        /// The ARN of the role that a session is of.
        role: Option<&'a str>,
        account: &'a str,
    },
    /// Whoever: for policies that name nobody.
    Anyone,
}

/// Names of a `Principal` element.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Names {
    pub everyone: bool,
    pub aws: Vec<String>,
    pub services: Vec<String>,
    /// Identity providers and canonical users: nobody here is one.
    pub others: Vec<String>,
}

/// How exactly a statement names who asks: the more exactly, the less other policies have to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Closeness {
    /// The account, which its own policies divide further.
    Account,
    /// A session's role.
    Role,
    /// Everyone, or exactly this one.
    Exact,
}

impl Names {
    /// How the names meet the principal, if they do.
    pub fn meet(&self, principal: Principal<'_>) -> Option<Closeness> {
        if self.everyone {
            return Some(Closeness::Exact);
        }
        match principal {
            Principal::Anyone => Some(Closeness::Exact),
            Principal::Service(service) => {
                self.services.iter().any(|name| name == service || name == "*").then_some(Closeness::Exact)
            }
            Principal::Aws { arn, role, account } => {
                let closeness = |name: &String| {
                    if name == "*" || name == arn {
                        Some(Closeness::Exact)
                    } else if role == Some(name) {
                        Some(Closeness::Role)
                    } else if name == account || is_root_of(name, account) {
                        Some(Closeness::Account)
                    } else {
                        None
                    }
                };
                self.aws.iter().filter_map(closeness).max()
            }
        }
    }

    /// Whether a denial by `NotPrincipal` with these names leaves the principal out. AWS looks at the account, then at the
    /// role, then at the user or session, and denies at the first that is not named: the account's name alone spares only
    /// the account itself, and a user's name spares nobody without the account's.
    pub fn spare(&self, principal: Principal<'_>) -> bool {
        let Principal::Aws { arn, role, account } = principal else { return self.meet(principal).is_some() };
        let names = |arn: &str| self.aws.iter().any(|name| name == arn);
        let names_account = || self.aws.iter().any(|name| name == account || is_root_of(name, account));
        self.everyone || names("*") || (names(arn) && role.is_none_or(names) && names_account())
    }
}

/// `arn:aws:iam::123456789012:root`
fn is_root_of(name: &str, account: &str) -> bool {
    name.strip_prefix("arn:aws:iam::").and_then(|rest| rest.strip_suffix(":root")) == Some(account)
}
