//! What each operation of Certificate Manager needs (Service Authorization Reference, "AWS Certificate Manager").

use crate::identity::Resources::{Any, Arns, Each};
use crate::identity::{Ask, Permission, Resources, on};

macro_rules! acm {
    ($operation:literal, $resources:expr) => {
        on($operation, concat!("acm:", $operation), $resources)
    };
}

const CERTIFICATE: Resources = Arns("CertificateArn");

pub const PERMISSIONS: &[Permission] = &[
    acm!("AddTagsToCertificate", CERTIFICATE),
    acm!("DeleteCertificate", CERTIFICATE),
    acm!("DescribeCertificate", CERTIFICATE),
    acm!("GetCertificate", CERTIFICATE),
    acm!("ImportCertificate", Each(imported)),
    acm!("ListCertificates", Any),
    acm!("ListTagsForCertificate", CERTIFICATE),
    acm!("RemoveTagsFromCertificate", CERTIFICATE),
    acm!("RequestCertificate", Each(imported)),
];

/// A new certificate could have any id.
fn imported(ask: &Ask<'_>) -> Vec<String> {
    vec![ask.get("CertificateArn").map_or_else(|| ask.arn("acm", "certificate/*"), str::to_owned)]
}
