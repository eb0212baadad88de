//! CreateListener, DescribeListeners, ModifyListener, DeleteListener.

use super::{actions, error, find, tags, view};
use crate::Cx;
use crate::ecs::unsupported::IsSet;
use crate::page;
use longshore_aws_model::AwsError;
use longshore_aws_model::elbv2::*;
use longshore_store::{Snapshot, Tx};
use longshore_types::elbv2::Listener as Row;
use longshore_types::{Scope, arn};

fn refuse_tls(ssl_policy: bool, certificates: bool, alpn_policy: bool, mutual_authentication: bool) -> Result<(), AwsError> {
    let given = [("SslPolicy", ssl_policy), ("Certificates", certificates), ("AlpnPolicy", alpn_policy), ("MutualAuthentication", mutual_authentication)];
    match given.iter().find(|(_, set)| *set) {
        Some((name, _)) => Err(error::unsupported(name)),
        None => Ok(()),
    }
}

fn check_protocol(protocol: Option<&str>) -> Result<(), AwsError> {
    match protocol {
        Some("HTTP") => Ok(()),
        Some(other) => Err(error::unsupported(&format!("Listener protocol {other}"))),
        None => Err(error::validation("A listener protocol must be specified")),
    }
}

fn check_port(port: Option<i32>) -> Result<u16, AwsError> {
    let port = port.ok_or_else(|| error::validation("A listener port must be specified"))?;
    u16::try_from(port).ok().filter(|port| *port > 0).ok_or_else(|| error::validation(format!("Port '{port}' must be between 1 and 65535")))
}

fn check_free(state: &Snapshot, scope: &Scope, load_balancer: &str, port: u16, but: Option<&str>) -> Result<(), AwsError> {
    let taken = find::listeners(state, scope, load_balancer).iter().any(|l| l.port == port && Some(l.arn.as_str()) != but);
    match taken {
        true => Err(AwsError::new("DuplicateListener", "A listener already exists on this port for this load balancer")),
        false => Ok(()),
    }
}

pub fn create_listener(tx: &mut Tx, cx: &Cx, input: CreateListenerInput) -> Result<CreateListenerOutput, AwsError> {
    refuse_tls(input.ssl_policy.is_set(), input.certificates.is_set(), input.alpn_policy.is_set(), input.mutual_authentication.is_set())?;
    let load_balancer = find::load_balancer(tx, &cx.scope, &input.load_balancer_arn)?;
    check_protocol(input.protocol.as_deref())?;
    let port = check_port(input.port)?;
    let default_actions = actions::parse(tx, &cx.scope, &load_balancer.arn, input.default_actions)?;
    if let Some(same) = find::listeners(tx, &cx.scope, &load_balancer.arn).into_iter().find(|l| l.port == port && l.default_actions == default_actions) {
        return Ok(CreateListenerOutput { listeners: Some(vec![view::listener(&same)]) });
    }
    check_free(tx, &cx.scope, &load_balancer.arn, port, None)?;
    let id = cx.ids().hex(16);
    let row = Row {
        arn: arn::elbv2(&cx.scope, &format!("listener/{}/{id}", find::tail(&load_balancer.arn))),
        load_balancer: load_balancer.arn.clone(),
        protocol: "HTTP".to_owned(),
        port,
        default_actions,
        tags: tags::parse(input.tags)?,
        created_at: cx.now,
    };
    let sent = view::listener(&row);
    tx.listeners().put((cx.scope.clone(), row.arn.clone()), row);
    Ok(CreateListenerOutput { listeners: Some(vec![sent]) })
}

pub fn describe_listeners(state: &Snapshot, cx: &Cx, input: DescribeListenersInput) -> Result<DescribeListenersOutput, AwsError> {
    let arns = input.listener_arns.unwrap_or_default();
    let rows: Vec<_> = match &input.load_balancer_arn {
        Some(arn) if arns.is_empty() => {
            find::load_balancer(state, &cx.scope, arn)?;
            find::listeners(state, &cx.scope, arn)
        }
        None if !arns.is_empty() => arns.iter().map(|arn| find::listener(state, &cx.scope, arn)).collect::<Result<_, _>>()?,
        _ => return Err(error::validation("You must specify either listener ARNs or a load balancer ARN")),
    };
    let page = page::page(rows.into_iter(), |row| row.arn.clone(), input.marker.as_deref(), find::limit(input.page_size))
        .map_err(|_| error::bad_marker())?;
    let listeners = page.items.iter().map(|row| view::listener(row)).collect();
    Ok(DescribeListenersOutput { listeners: Some(listeners), next_marker: page.next_token })
}

pub fn modify_listener(tx: &mut Tx, cx: &Cx, input: ModifyListenerInput) -> Result<ModifyListenerOutput, AwsError> {
    refuse_tls(input.ssl_policy.is_set(), input.certificates.is_set(), input.alpn_policy.is_set(), input.mutual_authentication.is_set())?;
    let mut row = (*find::listener(tx, &cx.scope, &input.listener_arn)?).clone();
    if input.protocol.is_some() {
        check_protocol(input.protocol.as_deref())?;
    }
    if input.port.is_some() {
        row.port = check_port(input.port)?;
        check_free(tx, &cx.scope, &row.load_balancer, row.port, Some(&row.arn))?;
    }
    if let Some(given) = input.default_actions {
        row.default_actions = actions::parse(tx, &cx.scope, &row.load_balancer, given)?;
    }
    let sent = view::listener(&row);
    tx.listeners().put((cx.scope.clone(), row.arn.clone()), row);
    Ok(ModifyListenerOutput { listeners: Some(vec![sent]) })
}

pub fn delete_listener(tx: &mut Tx, cx: &Cx, input: DeleteListenerInput) -> Result<DeleteListenerOutput, AwsError> {
    find::listener(tx, &cx.scope, &input.listener_arn)?;
    remove(tx, &cx.scope, &input.listener_arn);
    Ok(DeleteListenerOutput::default())
}

/// Removes a listener with its rules.
pub fn remove(tx: &mut Tx, scope: &Scope, arn: &str) {
    for rule in find::rules(tx, scope, arn) {
        tx.rules().remove(&(scope.clone(), rule.arn.clone()));
    }
    tx.listeners().remove(&(scope.clone(), arn.to_owned()));
}
