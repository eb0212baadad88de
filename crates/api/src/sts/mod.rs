//! STS: who one is, and sessions of roles.

use crate::Routes;
use longshore_aws_model::sts::*;

pub mod secret;
pub mod session;

pub mod permissions;

mod assume_role;
mod decode_authorization_message;
mod get_access_key_info;
mod get_caller_identity;
mod get_federation_token;
mod get_session_token;

pub fn routes(routes: Routes) -> Routes {
    routes
        .read::<GetCallerIdentity>(get_caller_identity::get_caller_identity)
        .write::<AssumeRole>(assume_role::assume_role)
        .write::<GetSessionToken>(get_session_token::get_session_token)
        .write::<GetFederationToken>(get_federation_token::get_federation_token)
        .read::<GetAccessKeyInfo>(get_access_key_info::get_access_key_info)
        .read::<DecodeAuthorizationMessage>(decode_authorization_message::decode_authorization_message)
}
