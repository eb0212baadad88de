//! Certificate Manager: certificates that are imported, and self-signed ones made on request. Load balancers'
//! HTTPS listeners use them.

pub(crate) mod certificate;
mod delete_certificate;
mod describe_certificate;
mod error;
mod import_certificate;
mod list_certificates;
mod names;
pub mod permissions;
mod request_certificate;
pub(crate) mod tags;
#[cfg(test)]
pub(crate) mod testing;
mod view;

pub use certificate::key_place;
pub use names::find;

use crate::Routes;
use longshore_aws_model::acm::*;

pub fn routes(routes: Routes) -> Routes {
    routes
        .write::<ImportCertificate>(import_certificate::import_certificate)
        .write::<RequestCertificate>(request_certificate::request_certificate)
        .read::<DescribeCertificate>(describe_certificate::describe_certificate)
        .read::<GetCertificate>(describe_certificate::get_certificate)
        .read::<ListCertificates>(list_certificates::list_certificates)
        .write::<DeleteCertificate>(delete_certificate::delete_certificate)
        .write::<AddTagsToCertificate>(tags::add_tags_to_certificate)
        .write::<RemoveTagsFromCertificate>(tags::remove_tags_from_certificate)
        .read::<ListTagsForCertificate>(tags::list_tags_for_certificate)
}
