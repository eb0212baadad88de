//! AWS's managed policies that containers are given: ids, versions and documents (`managed/<name>.json`) are AWS's own, as
//! IAM answered them (by way of moto 5.2.5, Apache-2.0, which keeps its answers; ids by way of moto 2.3.2).

use longshore_types::Timestamp;

/// A managed policy of AWS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Managed {
    /// `/` or `/service-role/`.
    pub path: &'static str,
    pub name: &'static str,
    /// AWS's id; `None` for the few whose id we do not know.
    pub id: Option<&'static str>,
    /// Number of the version in force.
    pub version: u32,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub document: &'static str,
}

macro_rules! managed {
    ($path:literal, $name:literal, $id:expr, $version:literal, $created:literal, $updated:literal) => {
        Managed {
            path: $path,
            name: $name,
            id: $id,
            version: $version,
            created_at: Timestamp($created),
            updated_at: Timestamp($updated),
            document: include_str!(concat!("managed/", $name, ".json")),
        }
    };
}

/// Path, name, id, version, created, updated.
#[rustfmt::skip]
static POLICIES: &[Managed] = &[
    managed!("/", "AWSAppMeshEnvoyAccess", Some("ANPAZKAPJZG4PMG6ZGSZZ"), 1, 1562189377000, 1562189377000),
    managed!("/", "AWSAppMeshFullAccess", Some("ANPAZKAPJZG4ILVZ5BWFU"), 6, 1555437040000, 1610049248000),
    managed!("/service-role/", "AWSAppRunnerServicePolicyForECRAccess", Some("ANPAZKAPJZG4LYM3IT6IY"), 1, 1621019841000, 1621019841000),
    managed!("/aws-service-role/", "AWSApplicationAutoscalingECSServicePolicy", Some("ANPAJFXLLV7AKH5PSFOYG"), 3, 1508975588000, 1779312433000),
    managed!("/service-role/", "AWSBatchServiceRole", Some("ANPAIUETIXPCKASQJURFE"), 14, 1481052984000, 1787696848000),
    managed!("/", "AWSCloudMapDiscoverInstanceAccess", Some("ANPAIPRD7PYYQVYPDME4K"), 2, 1543449762000, 1695246489000),
    managed!("/", "AWSCloudMapFullAccess", Some("ANPAIZPIMAQZJS3WUXUJM"), 2, 1543449451000, 1596050135000),
    managed!("/service-role/", "AWSCodeDeployRole", Some("ANPAJ2NKMKD73QS5NBFLA"), 12, 1430762737000, 1789035428000),
    managed!("/", "AWSCodeDeployRoleForECS", Some("ANPAIIL3KXEKRGEN2HFIO"), 3, 1543351257000, 1569278266000),
    managed!("/aws-service-role/", "AWSElasticLoadBalancingServiceRolePolicy", Some("ANPAIMHWGGSRHLOQUICJQ"), 14, 1505859544000, 1770919088000),
    managed!("/service-role/", "AWSLambdaBasicExecutionRole", Some("ANPAJNCQGXC42545SKXIK"), 1, 1428591823000, 1428591823000),
    managed!("/service-role/", "AWSLambdaVPCAccessExecutionRole", Some("ANPAJVTME3YLVNL72YR2K"), 3, 1455232526000, 1704494306000),
    managed!("/", "AWSXRayDaemonWriteAccess", Some("ANPAIOE47HSUE5AVBNEDM"), 2, 1535497233000, 1707861510000),
    managed!("/", "AWSXrayFullAccess", Some("ANPAJQBYG45NSJMVQDB2K"), 2, 1480617055000, 1712855256000),
    managed!("/", "AWSXrayWriteOnlyAccess", Some("ANPAIAACM4LMYSRGBCTM6"), 2, 1480616393000, 1535497384000),
    managed!("/", "AdministratorAccess", Some("ANPAIWMBCKSKIEE64ZLYK"), 1, 1423247986000, 1423247986000),
    managed!("/", "AmazonDynamoDBFullAccess", Some("ANPAINUGF2JSOSUY76KYA"), 15, 1423248011000, 1611941910000),
    managed!("/", "AmazonDynamoDBReadOnlyAccess", Some("ANPAIY2XFNA232XJ6J7X2"), 15, 1423248012000, 1731951495000),
    managed!("/", "AmazonEC2ContainerRegistryFullAccess", Some("ANPAIESRL7KD7IIVF6V4W"), 3, 1450717608000, 1607126659000),
    managed!("/", "AmazonEC2ContainerRegistryPowerUser", Some("ANPAJDNE5PIHROIBGGDDW"), 3, 1450717533000, 1576010888000),
    managed!("/", "AmazonEC2ContainerRegistryPullOnly", None, 1, 1728061129000, 1728061129000),
    managed!("/", "AmazonEC2ContainerRegistryReadOnly", Some("ANPAIFYZPA37OOHVIH7KQ"), 3, 1450717455000, 1576011392000),
    managed!("/service-role/", "AmazonEC2ContainerServiceAutoscaleRole", Some("ANPAIUAP3EGGGXXCPDQKK"), 2, 1463095544000, 1517858115000),
    managed!("/service-role/", "AmazonEC2ContainerServiceEventsRole", Some("ANPAITKFNIUAG27VSYNZ4"), 3, 1496163095000, 1678141512000),
    managed!("/service-role/", "AmazonEC2ContainerServiceRole", Some("ANPAJO53W2XHNACG7V77Q"), 2, 1428596059000, 1470920881000),
    managed!("/service-role/", "AmazonEC2ContainerServiceforEC2Role", Some("ANPAJLYJCVHC7TQHCSQDS"), 10, 1426790718000, 1770919192000),
    managed!("/", "AmazonEC2FullAccess", Some("ANPAI3VAJF5ZCRZ7MCQE6"), 5, 1423248015000, 1543285016000),
    managed!("/", "AmazonEC2ReadOnlyAccess", Some("ANPAIGDT4SV4GSETWTBZK"), 5, 1423248017000, 1770919397000),
    managed!("/", "AmazonECSInfrastructureRolePolicyForLoadBalancers", None, 6, 1752770227000, 1770919265000),
    managed!("/service-role/", "AmazonECSInfrastructureRolePolicyForServiceConnectTransportLayerSecurity", None, 4, 1705694916000, 1770919325000),
    managed!("/service-role/", "AmazonECSInfrastructureRolePolicyForVolumes", None, 5, 1704927401000, 1770919354000),
    managed!("/aws-service-role/", "AmazonECSServiceRolePolicy", Some("ANPAIVUWKCAI7URU4WUEI"), 24, 1507943938000, 1776899529000),
    managed!("/service-role/", "AmazonECSTaskExecutionRolePolicy", Some("ANPAJG4T4G4PV56DE72PY"), 1, 1510858102000, 1510858102000),
    managed!("/", "AmazonECS_FullAccess", Some("ANPAJ7S7AN6YQPTJC7IFS"), 22, 1510090614000, 1788360427000),
    managed!("/", "AmazonElastiCacheFullAccess", Some("ANPAIA2V44CPHAUAAECKG"), 3, 1423248020000, 1701143396000),
    managed!("/", "AmazonElasticFileSystemClientFullAccess", Some("ANPAZKAPJZG4KAMR2MLDF"), 1, 1578932820000, 1578932820000),
    managed!("/", "AmazonElasticFileSystemClientReadWriteAccess", Some("ANPAZKAPJZG4H74P6RBOF"), 1, 1578932515000, 1578932515000),
    managed!("/", "AmazonElasticFileSystemFullAccess", Some("ANPAJKXTMNVQGIDNCKPBC"), 10, 1432743748000, 1731008060000),
    managed!("/", "AmazonEventBridgeFullAccess", Some("ANPAZKAPJZG4BUM4GCASI"), 7, 1562854135000, 1770919105000),
    managed!("/", "AmazonKinesisFullAccess", Some("ANPAIVF32HAMOXCUYRAYE"), 1, 1423248029000, 1423248029000),
    managed!("/", "AmazonRDSDataFullAccess", Some("ANPAJ5HUMNZCSW4IC74T6"), 3, 1542749376000, 1574287126000),
    managed!("/", "AmazonRDSFullAccess", Some("ANPAI3R4QMOG6Q5A4VWVG"), 14, 1423248052000, 1692313217000),
    managed!("/", "AmazonRDSReadOnlyAccess", Some("ANPAJKTTTYV2IIHKLZ346"), 7, 1423248053000, 1681475529000),
    managed!("/", "AmazonRoute53FullAccess", Some("ANPAJWVDLG5RPST6PHQ3A"), 7, 1423248054000, 1770919240000),
    managed!("/", "AmazonS3FullAccess", Some("ANPAIFIR6V6BVTRAHWINE"), 2, 1423248058000, 1632773797000),
    managed!("/", "AmazonS3ReadOnlyAccess", Some("ANPAIZTJ4DXE7G6AGAE6M"), 3, 1423248059000, 1691703099000),
    managed!("/", "AmazonSESFullAccess", Some("ANPAJ2P4NXCHAT7NDPNR4"), 1, 1423248062000, 1423248062000),
    managed!("/", "AmazonSNSFullAccess", Some("ANPAJWEKLCXXUNT2SOLSG"), 2, 1423248065000, 1727217125000),
    managed!("/", "AmazonSQSFullAccess", Some("ANPAI65L554VRJ33ECQS6"), 1, 1423248067000, 1423248067000),
    managed!("/", "AmazonSQSReadOnlyAccess", Some("ANPAIUGSSQY362XGCM6KW"), 4, 1423248068000, 1716574604000),
    managed!("/service-role/", "AmazonSSMAutomationRole", Some("ANPAJIBQCTBCXD2XRNB6W"), 9, 1480975795000, 1774028534000),
    managed!("/", "AmazonSSMFullAccess", Some("ANPAJA7V6HI4ISQFMDYAG"), 4, 1432921187000, 1574280536000),
    managed!("/service-role/", "AmazonSSMMaintenanceWindowRole", Some("ANPAJV3JNYSTZ47VOXYME"), 3, 1480607874000, 1564186565000),
    managed!("/", "AmazonSSMManagedInstanceCore", Some("ANPAIXSHM2BNB2D3AXXRU"), 2, 1552670532000, 1558630461000),
    managed!("/", "AmazonSSMReadOnlyAccess", Some("ANPAJODSKQGGJTHRYZ5FC"), 1, 1432921459000, 1432921459000),
    managed!("/", "AmazonVPCFullAccess", Some("ANPAJBWPGNOVKZD3JI2P2"), 13, 1423248076000, 1770919244000),
    managed!("/", "CloudWatchAgentServerPolicy", Some("ANPAIGOPKN7KRDAKTLG4I"), 3, 1520384804000, 1707237457000),
    managed!("/service-role/", "CloudWatchEventsInvocationAccess", Some("ANPAJJXD6JKJLK2WDLZNO"), 1, 1452796593000, 1452796593000),
    managed!("/", "CloudWatchFullAccess", Some("ANPAIKEABORKUXN6DEAZU"), 4, 1423248000000, 1669555429000),
    managed!("/", "CloudWatchLogsFullAccess", Some("ANPAJ3ZGNWK2R5HW5BQFO"), 8, 1423248002000, 1770919233000),
    managed!("/", "CloudWatchLogsReadOnlyAccess", Some("ANPAJ2YIYDYSNNEHK3VKW"), 12, 1423248003000, 1770919153000),
    managed!("/", "CloudWatchReadOnlyAccess", Some("ANPAJN23PDQP7SZQAE3QE"), 25, 1423248001000, 1790096227000),
    managed!("/", "ElasticLoadBalancingFullAccess", Some("ANPAIDPMLA3IUIOQCISJ4"), 9, 1537476127000, 1771873027000),
    managed!("/", "ElasticLoadBalancingReadOnly", Some("ANPAJMO7B7SNFLQ6HH736"), 3, 1537474629000, 1701022546000),
    managed!("/", "IAMFullAccess", Some("ANPAI7XKCFMBPM3QQRRVQ"), 2, 1423248038000, 1561146000000),
    managed!("/", "IAMReadOnlyAccess", Some("ANPAJKSO7NDY4T57MWDSQ"), 4, 1423248039000, 1516907487000),
    managed!("/", "PowerUserAccess", Some("ANPAJYRXTHIB4FOVS3ZXS"), 12, 1423247987000, 1770919154000),
    managed!("/", "ReadOnlyAccess", Some("ANPAILL3HVNFSB6DCOWYQ"), 190, 1423247988000, 1790271428000),
    managed!("/", "SecretsManagerReadWrite", Some("ANPAI3VG7CI5BIQZQ6G2E"), 6, 1522865129000, 1787701030000),
    managed!("/", "SecurityAudit", Some("ANPAIX2T3QCXHR2OGGCTO"), 94, 1423248061000, 1790800028000),
];

/// All of them.
pub fn all() -> impl Iterator<Item = &'static Managed> {
    POLICIES.iter()
}

/// The policy of this ARN.
pub fn find(arn: &str) -> Option<&'static Managed> {
    let path_and_name = arn.strip_prefix("arn:aws:iam::aws:policy")?;
    POLICIES.iter().find(|policy| path_and_name.strip_prefix(policy.path) == Some(policy.name))
}

impl Managed {
    pub fn arn(&self) -> String {
        format!("arn:aws:iam::aws:policy{}{}", self.path, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use longshore_policy::Policy;

    #[test]
    fn policies_are_found_by_arn() {
        let arn = "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy";
        let policy = find(arn).expect("ECS needs it");
        assert_eq!((policy.name, policy.arn().as_str()), ("AmazonECSTaskExecutionRolePolicy", arn));
        assert_eq!(policy.id, Some("ANPAJG4T4G4PV56DE72PY"));
        assert_eq!(find("arn:aws:iam::aws:policy/AmazonECSTaskExecutionRolePolicy"), None);
        assert_eq!(find("arn:aws:iam::123456789012:policy/AdministratorAccess"), None);
        assert!(POLICIES.iter().all(|policy| find(&policy.arn()) == Some(policy)));
    }

    #[test]
    fn every_document_is_a_policy() {
        for policy in POLICIES {
            if let Err(error) = Policy::parse(policy.document) {
                panic!("{}: {error}", policy.name);
            }
        }
    }
}
