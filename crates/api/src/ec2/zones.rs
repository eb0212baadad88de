//! Regions and their availability zones. Each region has three zones here: `a`, `b` and `c`.

use longshore_types::Region;
use longshore_types::id::ZoneName;

/// An availability zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// `us-east-1a`.
    pub name: ZoneName,
    /// `use1-az1`.
    pub id: String,
}

/// The zones of a region, in order.
pub fn zones(region: &Region) -> [Zone; 3] {
    let code = region_code(region.as_str());
    [("a", 1), ("b", 2), ("c", 3)]
        .map(|(letter, number)| Zone { name: ZoneName(format!("{region}{letter}")), id: format!("{code}-az{number}") })
}

/// The zone of this name or id.
pub fn find(region: &Region, name_or_id: &str) -> Option<Zone> {
    zones(region).into_iter().find(|zone| zone.name.as_str() == name_or_id || zone.id == name_or_id)
}

/// AWS's short form of a region in zone ids: `us-east-1` is `use1`, `ap-northeast-2` is `apne2`.
fn region_code(region: &str) -> String {
    let shorten = |part: &str| match part {
        "northeast" => "ne".to_owned(),
        "northwest" => "nw".to_owned(),
        "southeast" => "se".to_owned(),
        "southwest" => "sw".to_owned(),
        part if part.bytes().all(|b| b.is_ascii_digit()) => part.to_owned(),
        part => part.chars().take(1).collect(),
    };
    match region.split_once('-') {
        Some((continent, rest)) => format!("{continent}{}", rest.split('-').map(shorten).collect::<String>()),
        None => region.to_owned(),
    }
}

/// Whether AWS has it.
pub fn is_region(region: &Region) -> bool {
    REGIONS.iter().any(|(name, _)| *name == region.as_str())
}

/// Regions of the partition `aws`, and whether an account has to opt in to them.
pub const REGIONS: &[(&str, bool)] = &[
    ("af-south-1", true),
    ("ap-east-1", true),
    ("ap-east-2", true),
    ("ap-northeast-1", false),
    ("ap-northeast-2", false),
    ("ap-northeast-3", false),
    ("ap-south-1", false),
    ("ap-south-2", true),
    ("ap-southeast-1", false),
    ("ap-southeast-2", false),
    ("ap-southeast-3", true),
    ("ap-southeast-4", true),
    ("ap-southeast-5", true),
    ("ap-southeast-6", true),
    ("ap-southeast-7", true),
    ("ca-central-1", false),
    ("ca-west-1", true),
    ("eu-central-1", false),
    ("eu-central-2", true),
    ("eu-north-1", false),
    ("eu-south-1", true),
    ("eu-south-2", true),
    ("eu-west-1", false),
    ("eu-west-2", false),
    ("eu-west-3", false),
    ("il-central-1", true),
    ("me-central-1", true),
    ("me-south-1", true),
    ("mx-central-1", true),
    ("sa-east-1", false),
    ("us-east-1", false),
    ("us-east-2", false),
    ("us-west-1", false),
    ("us-west-2", false),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zone_ids_are_those_of_aws() {
        for (region, id) in [
            ("us-east-1", "use1-az1"),
            ("us-west-2", "usw2-az1"),
            ("eu-central-1", "euc1-az1"),
            ("ap-northeast-2", "apne2-az1"),
            ("ap-southeast-1", "apse1-az1"),
            ("ap-south-1", "aps1-az1"),
            ("us-gov-west-1", "usgw1-az1"),
            ("moon", "moon-az1"),
        ] {
            assert_eq!(zones(&region.into())[0].id, id);
        }
        assert_eq!(find(&"eu-west-1".into(), "euw1-az3").expect("a zone").name.as_str(), "eu-west-1c");
        assert_eq!(find(&"eu-west-1".into(), "us-east-1a"), None);
    }
}
