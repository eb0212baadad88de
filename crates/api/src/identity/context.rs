//! What a request knows about itself, looked up key by key as policies ask.

use super::{Ask, Source, resource_tags};
use crate::Principal;
use longshore_policy::{Context, Values};
use longshore_types::Tags;
use longshore_types::iam::SessionOf;
use std::borrow::Cow;

/// The context of one action on one resource.
pub struct RequestContext<'a> {
    pub ask: &'a Ask<'a>,
    pub action: &'a str,
    pub resource: &'a str,
}

impl Context for RequestContext<'_> {
    fn get(&self, key: &str) -> Option<Values<'_>> {
        let (prefix, name) = key.split_once(':')?;
        let name = name.split_once('/').map_or((name, None), |(kind, tag)| (kind, Some(tag)));
        let (name, tag) = (name.0.to_ascii_lowercase(), name.1);
        match (prefix.to_ascii_lowercase().as_str(), tag) {
            ("aws", None) => self.global(&name),
            ("aws", Some(tag)) => self.tag(&name, tag),
            // `ecs:ResourceTag/team` is `aws:ResourceTag/team`, before there was one key for all.
            (_, Some(tag)) if name == "resourcetag" || name == "requesttag" => self.tag(&name, tag),
            (prefix, None) => self.of_service(prefix, &name),
            _ => None,
        }
    }
}

impl RequestContext<'_> {
    fn global(&self, name: &str) -> Option<Values<'_>> {
        let cx = self.ask.cx;
        let caller = &cx.caller;
        let session = caller.session.as_deref();
        let role_session = session.filter(|session| session.of == SessionOf::Role);
        Some(match name {
            // A session's principal is its role, which policies name.
            "principalarn" => Values::one(role_session.map_or(caller.arn.as_str(), |s| s.role_arn.as_str())),
            "principalaccount" | "resourceaccount" => Values::one(cx.scope.account.as_str()),
            "principaltype" => Values::one(match caller.principal {
                Principal::Root => "Account",
                Principal::User(_) => "User",
                Principal::Role(_) => "AssumedRole",
                Principal::Federated(_) => "FederatedUser",
                Principal::Service => "AWSService",
            }),
            "userid" => Values::one(caller.user_id.as_str()),
            "username" => match &caller.principal {
                Principal::User(name) => Values::one(name.as_str()),
                _ => return None,
            },
            "sourceip" => Values::one(cx.enforced.as_ref()?.source.address().to_string()),
            // Of requests that come through an endpoint of a VPC.
            "vpcsourceip" => match cx.enforced.as_ref()?.source {
                Source::Client(_) => return None,
                source => Values::one(source.address().to_string()),
            },
            "useragent" => Values::one(cx.enforced.as_ref()?.user_agent.clone()?),
            "currenttime" => Values::one(cx.now.rfc3339()),
            "epochtime" => Values::one(cx.now.seconds().to_string()),
            "requestedregion" => Values::one(cx.scope.region.as_str()),
            // Connections here are plain HTTP; what ECS does by itself is not, on AWS.
            "securetransport" => match cx.enforced.as_ref()?.source {
                Source::ForTask(_) => Values::one("true"),
                Source::Client(_) | Source::Task(_) => Values::one("false"),
            },
            "viaawsservice" | "principalisawsservice" => Values::one("false"),
            // Nobody has a second factor; long-lived keys do not even say so.
            "multifactorauthpresent" => session.map(|_| Values::one("false"))?,
            "tokenissuetime" => Values::one(session?.issued_at.rfc3339()),
            "sourceidentity" => Values::one(session?.source_identity.as_deref()?),
            "federatedprovider" => return None,
            "tagkeys" => {
                let keys = self.request_tags().map(|(key, _)| Cow::Borrowed(key));
                let given = ["tagKeys", "TagKeys"].into_iter().flat_map(|path| self.ask.all(path)).map(Cow::Borrowed);
                let all: Vec<_> = keys.chain(given).collect();
                if all.is_empty() {
                    return None;
                }
                Values::Many(all)
            }
            _ => return None,
        })
    }

    fn tag(&self, kind: &str, tag: &str) -> Option<Values<'_>> {
        match kind {
            "requesttag" => self.request_tags().find(|(key, _)| *key == tag).map(|(_, value)| Values::one(value)),
            "resourcetag" => {
                let tags = resource_tags::find(self.ask.state, &self.ask.cx.scope, self.resource)?;
                tags.get(tag).map(|value| Values::one(value.to_owned()))
            }
            "principaltag" => self.principal_tags()?.get(tag).map(|value| Values::one(value.to_owned())),
            _ => None,
        }
    }

    /// The user's or the role's tags, and the session's over them.
    fn principal_tags(&self) -> Option<Tags> {
        let (cx, state) = (self.ask.cx, self.ask.state);
        let account = cx.scope.account.clone();
        let mut tags = match &cx.caller.principal {
            Principal::User(name) => state.users().get(&(account, name.clone()))?.tags.clone(),
            Principal::Role(name) => state.roles().get(&(account, name.clone()))?.tags.clone(),
            _ => Tags::default(),
        };
        if let Some(session) = &cx.caller.session {
            tags.merge(&session.tags);
        }
        Some(tags)
    }

    /// Key and value of each tag that the request gives, wherever its service has them.
    fn request_tags(&self) -> impl Iterator<Item = (&str, &str)> {
        const PLACES: [(&str, &str); 6] = [
            ("tags.key", "tags.value"),
            ("tags.Key", "tags.Value"),
            ("Tags.Key", "Tags.Value"),
            ("TagSpecifications.Tags.Key", "TagSpecifications.Tags.Value"),
            // CloudWatch Logs has a map, and so has the tagging API.
            ("tags.key", "tags"),
            ("Tags.key", "Tags"),
        ];
        let fields = self.ask.fields;
        PLACES.into_iter().flat_map(|(keys, values)| fields.all(keys).zip(fields.all(values)))
    }

    fn of_service(&self, prefix: &str, name: &str) -> Option<Values<'_>> {
        let ask = self.ask;
        match prefix {
            "ecs" => crate::ecs::permissions::context(ask, name),
            "ec2" => crate::ec2::permissions::context(ask, name, self.resource, self.action),
            "iam" => crate::iam::permissions::context(ask, name, self.action),
            "sts" => crate::sts::permissions::context(ask, name),
            "elasticloadbalancing" => crate::elbv2::permissions::context(ask, name),
            "secretsmanager" => match name {
                "secretid" => ask.get("SecretId").map(Values::one),
                "name" => ask.get("Name").map(Values::one),
                "versionstage" => ask.get("VersionStage").map(Values::one),
                _ => None,
            },
            _ => None,
        }
    }
}
