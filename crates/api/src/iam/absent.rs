//! What an account here never has, because nothing makes it: passwords and their policy, second factors, identity providers,
//! certificates and the other kinds of keys. Clients look whether there are any before they delete a user; none is the truth.

use super::error;
use super::holder::Holder;
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::iam::*;
use longshore_store::{Snapshot, Tx};
use longshore_types::iam::User;

/// An error if a user is named who is not there.
fn check_user(state: &Snapshot, cx: &Cx, name: Option<&String>) -> Result<(), AwsError> {
    name.map_or(Ok(()), |name| User::find(state, cx, name).map(drop))
}

/// A marker is none of ours: there is no second page.
fn check_marker(marker: Option<&String>) -> Result<(), AwsError> {
    marker.map_or(Ok(()), |marker| Err(error::invalid_marker(marker)))
}

/// A list, by user or not, that has pages.
macro_rules! empty {
    ($operation:ident($input:ty) -> $output:ident { $list:ident } $(by $user:ident)?) => {
        pub fn $operation(state: &Snapshot, cx: &Cx, input: $input) -> Result<$output, AwsError> {
            let user: Option<&String> = None;
            $(let user = user.or(input.$user.as_ref());)?
            check_user(state, cx, user)?;
            check_marker(input.marker.as_ref())?;
            Ok($output { $list: Some(vec![]), is_truncated: Some(false), marker: None })
        }
    };
}

empty!(list_ssh_public_keys(ListSSHPublicKeysInput) -> ListSSHPublicKeysOutput { ssh_public_keys } by user_name);
empty!(list_mfa_devices(ListMFADevicesInput) -> ListMFADevicesOutput { mfa_devices } by user_name);
empty!(list_signing_certificates(ListSigningCertificatesInput) -> ListSigningCertificatesOutput { certificates } by user_name);
empty!(
    list_service_specific_credentials(ListServiceSpecificCredentialsInput) -> ListServiceSpecificCredentialsOutput {
        service_specific_credentials
    } by user_name
);
empty!(list_virtual_mfa_devices(ListVirtualMFADevicesInput) -> ListVirtualMFADevicesOutput { virtual_mfa_devices });
empty!(list_server_certificates(ListServerCertificatesInput) -> ListServerCertificatesOutput { server_certificate_metadata_list });

pub fn list_saml_providers(
    _: &Snapshot,
    _: &Cx,
    _: ListSAMLProvidersInput,
) -> Result<ListSAMLProvidersOutput, AwsError> {
    Ok(ListSAMLProvidersOutput { saml_provider_list: Some(vec![]) })
}

pub fn list_open_id_connect_providers(
    _: &Snapshot,
    _: &Cx,
    _: ListOpenIDConnectProvidersInput,
) -> Result<ListOpenIDConnectProvidersOutput, AwsError> {
    Ok(ListOpenIDConnectProvidersOutput { open_id_connect_provider_list: Some(vec![]) })
}

fn no_password(state: &Snapshot, cx: &Cx, name: Option<&String>) -> Result<AwsError, AwsError> {
    check_user(state, cx, name)?;
    let name = name.map_or("the caller", String::as_str);
    Ok(error::no_such_entity_of(&format!("Login Profile for User {name} cannot be found.")))
}

pub fn get_login_profile(
    state: &Snapshot,
    cx: &Cx,
    input: GetLoginProfileInput,
) -> Result<GetLoginProfileOutput, AwsError> {
    Err(no_password(state, cx, input.user_name.as_ref())?)
}

pub fn delete_login_profile(
    tx: &mut Tx,
    cx: &Cx,
    input: DeleteLoginProfileInput,
) -> Result<DeleteLoginProfileOutput, AwsError> {
    Err(no_password(tx, cx, input.user_name.as_ref())?)
}

pub fn get_account_password_policy(
    _: &Snapshot,
    cx: &Cx,
    _: GetAccountPasswordPolicyInput,
) -> Result<GetAccountPasswordPolicyOutput, AwsError> {
    let domain = &cx.scope.account;
    Err(error::no_such_entity_of(&format!("The Password Policy with domain name {domain} cannot be found.")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::testing::{read, refusal, write};
    use crate::iam::users::tests::with_user;

    #[test]
    fn a_user_that_is_to_be_deleted_has_nothing_else() {
        let fixture = with_user();
        let user_name = || Some("ann".to_owned());
        let keys = ListSSHPublicKeysInput { user_name: user_name(), ..Default::default() };
        assert_eq!(read(&fixture, list_ssh_public_keys, keys).expect("a list").ssh_public_keys, Some(vec![]));
        let devices = ListMFADevicesInput { user_name: user_name(), ..Default::default() };
        assert_eq!(read(&fixture, list_mfa_devices, devices).expect("a list").is_truncated, Some(false));
        let nobody = ListMFADevicesInput { user_name: Some("bob".to_owned()), ..Default::default() };
        assert_eq!(
            refusal(read(&fixture, list_mfa_devices, nobody)),
            "NoSuchEntity: The user with name bob cannot be found."
        );
        let marker = ListVirtualMFADevicesInput { marker: Some("x".to_owned()), ..Default::default() };
        assert_eq!(refusal(read(&fixture, list_virtual_mfa_devices, marker)), "ValidationError: Invalid Marker: x");
        let password = "NoSuchEntity: Login Profile for User ann cannot be found.";
        let profile = GetLoginProfileInput { user_name: user_name() };
        assert_eq!(refusal(read(&fixture, get_login_profile, profile)), password);
        let profile = DeleteLoginProfileInput { user_name: user_name() };
        assert_eq!(refusal(write(&fixture, delete_login_profile, profile)), password);
        assert_eq!(
            refusal(read(&fixture, get_account_password_policy, Default::default())),
            "NoSuchEntity: The Password Policy with domain name 123456789012 cannot be found."
        );
    }
}
