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

    /// Whether `NotPrincipal` with these names spares the principal. A session is spared only when its role and account
    /// are named, too, in IAM; here any of the names is enough, as it is for users.
    pub fn spares(&self, principal: Principal<'_>) -> bool {
        self.meet(principal).is_some()
    }
}

/// `arn:aws:iam::123456789012:root`
fn is_root_of(name: &str, account: &str) -> bool {
    name.strip_prefix("arn:aws:iam::").and_then(|rest| rest.strip_suffix(":root")) == Some(account)
}
