//! AddListenerCertificates, RemoveListenerCertificates and DescribeListenerCertificates.

use super::list::Paging;
use super::{listener_tls, names};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::elbv2::*;
use longshore_store::{Snapshot, Tx};
use longshore_types::elbv2::Listener as Row;

pub fn add_listener_certificates(
    tx: &mut Tx,
    cx: &Cx,
    input: AddListenerCertificatesInput,
) -> Result<AddListenerCertificatesOutput, AwsError> {
    let mut row = (*names::listener(tx, &cx.scope, &input.listener_arn)?).clone();
    listener_tls::add(tx, &cx.scope, &mut row, input.certificates.clone())?;
    tx.listeners().put((cx.scope.clone(), row.arn.clone()), row);
    let added = input.certificates.into_iter().map(|given| Certificate { is_default: Some(false), ..given });
    Ok(AddListenerCertificatesOutput { certificates: Some(added.collect()) })
}

pub fn remove_listener_certificates(
    tx: &mut Tx,
    cx: &Cx,
    input: RemoveListenerCertificatesInput,
) -> Result<RemoveListenerCertificatesOutput, AwsError> {
    let mut row = (*names::listener(tx, &cx.scope, &input.listener_arn)?).clone();
    listener_tls::remove(&mut row, input.certificates)?;
    tx.listeners().put((cx.scope.clone(), row.arn.clone()), row);
    Ok(RemoveListenerCertificatesOutput::default())
}

pub fn describe_listener_certificates(
    state: &Snapshot,
    cx: &Cx,
    input: DescribeListenerCertificatesInput,
) -> Result<DescribeListenerCertificatesOutput, AwsError> {
    let row = names::listener(state, &cx.scope, &input.listener_arn)?;
    let paging = Paging { marker: input.marker.as_deref(), page_size: input.page_size };
    let numbered = shown(&row).into_iter().enumerate();
    let (items, next_marker) = paging.page(numbered, |(n, _)| format!("{n:03}"))?;
    let certificates = items.into_iter().map(|(_, certificate)| certificate).collect();
    Ok(DescribeListenerCertificatesOutput { certificates: Some(certificates), next_marker })
}

fn shown(row: &Row) -> Vec<Certificate> {
    let numbered = row.certificates.iter().enumerate();
    numbered.map(|(n, arn)| Certificate { certificate_arn: Some(arn.clone()), is_default: Some(n == 0) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acm::testing::certificate;
    use crate::elbv2::create_listener::create_listener;
    use crate::elbv2::modify_listener::modify_listener;
    use crate::elbv2::testing::*;
    use crate::testing::Fixture;

    fn named(arn: &str) -> Certificate {
        Certificate { certificate_arn: Some(arn.to_owned()), is_default: None }
    }

    #[test]
    fn an_https_listener_has_a_default_certificate_and_others_by_name() {
        let fixture = Fixture::new();
        let stack = stack(&fixture);
        let (first, second) = (certificate(&fixture, "a.example.com"), certificate(&fixture, "b.example.com"));
        let input = CreateListenerInput {
            protocol: Some("HTTPS".to_owned()),
            certificates: Some(vec![named(&first)]),
            ..listener_input(&stack, 443)
        };
        let without = CreateListenerInput { certificates: None, ..input.clone() };
        assert_eq!(
            refusal(write(&fixture, create_listener, without)),
            "ValidationError: A certificate must be specified for HTTPS listeners"
        );
        let unknown = CreateListenerInput { certificates: Some(vec![named("arn:x")]), ..input.clone() };
        assert_eq!(
            refusal(write(&fixture, create_listener, unknown)),
            "CertificateNotFound: Certificate 'arn:x' not found"
        );
        let legacy =
            CreateListenerInput { ssl_policy: Some("ELBSecurityPolicy-TLS-1-0-2015-04".to_owned()), ..input.clone() };
        assert!(refusal(write(&fixture, create_listener, legacy)).contains("is not supported by Longshore yet"));
        let plain = CreateListenerInput { protocol: Some("HTTP".to_owned()), ..input.clone() };
        assert!(refusal(write(&fixture, create_listener, plain)).contains("HTTP listeners"));
        let made = write(&fixture, create_listener, input).expect("made").listeners.expect("one");
        assert_eq!(made[0].ssl_policy.as_deref(), Some("ELBSecurityPolicy-2016-08"));
        assert_eq!(made[0].certificates, Some(vec![named(&first)]));
        let arn = made[0].listener_arn.clone().expect("an ARN");

        let add = AddListenerCertificatesInput { listener_arn: arn.clone(), certificates: vec![named(&second)] };
        write(&fixture, add_listener_certificates, add).expect("added");
        let list = || {
            let input = DescribeListenerCertificatesInput { listener_arn: arn.clone(), ..Default::default() };
            let shown =
                read(&fixture, describe_listener_certificates, input).expect("a list").certificates.expect("some");
            shown
                .into_iter()
                .map(|c| (c.certificate_arn.expect("an ARN"), c.is_default == Some(true)))
                .collect::<Vec<_>>()
        };
        assert_eq!(list(), [(first.clone(), true), (second.clone(), false)]);
        let remove = |certificate: &str| RemoveListenerCertificatesInput {
            listener_arn: arn.clone(),
            certificates: vec![named(certificate)],
        };
        assert!(refusal(write(&fixture, remove_listener_certificates, remove(&first))).contains("Default certificate"));
        let modify = ModifyListenerInput {
            listener_arn: arn.clone(),
            certificates: Some(vec![named(&second)]),
            ssl_policy: Some("ELBSecurityPolicy-TLS13-1-2-2021-06".to_owned()),
            ..Default::default()
        };
        let changed = write(&fixture, modify_listener, modify).expect("changed").listeners.expect("one");
        assert_eq!(changed[0].ssl_policy.as_deref(), Some("ELBSecurityPolicy-TLS13-1-2-2021-06"));
        assert_eq!(list(), [(second.clone(), true)]);
    }
}
