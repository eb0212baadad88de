//! AWS's managed policies that containers are given, known by ARN. What they permit is not evaluated here.

/// A managed policy of AWS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Managed {
    /// `/` or `/service-role/`.
    pub path: &'static str,
    pub name: &'static str,
}

const ROOT: &str = "/";
const SERVICE: &str = "/service-role/";

const POLICIES: &[Managed] = &[
    Managed { path: SERVICE, name: "AmazonEC2ContainerServiceAutoscaleRole" },
    Managed { path: SERVICE, name: "AmazonEC2ContainerServiceEventsRole" },
    Managed { path: SERVICE, name: "AmazonEC2ContainerServiceRole" },
    Managed { path: SERVICE, name: "AmazonEC2ContainerServiceforEC2Role" },
    Managed { path: SERVICE, name: "AmazonECSInfrastructureRolePolicyForServiceConnectTransportLayerSecurity" },
    Managed { path: SERVICE, name: "AmazonECSInfrastructureRolePolicyForVolumes" },
    Managed { path: SERVICE, name: "AmazonECSTaskExecutionRolePolicy" },
    Managed { path: SERVICE, name: "AmazonSSMAutomationRole" },
    Managed { path: SERVICE, name: "AmazonSSMMaintenanceWindowRole" },
    Managed { path: SERVICE, name: "AWSAppRunnerServicePolicyForECRAccess" },
    Managed { path: SERVICE, name: "AWSBatchServiceRole" },
    Managed { path: SERVICE, name: "AWSCodeDeployRole" },
    Managed { path: SERVICE, name: "AWSLambdaBasicExecutionRole" },
    Managed { path: SERVICE, name: "AWSLambdaVPCAccessExecutionRole" },
    Managed { path: SERVICE, name: "CloudWatchEventsInvocationAccess" },
    Managed { path: ROOT, name: "AdministratorAccess" },
    Managed { path: ROOT, name: "AmazonDynamoDBFullAccess" },
    Managed { path: ROOT, name: "AmazonDynamoDBReadOnlyAccess" },
    Managed { path: ROOT, name: "AmazonEC2ContainerRegistryFullAccess" },
    Managed { path: ROOT, name: "AmazonEC2ContainerRegistryPowerUser" },
    Managed { path: ROOT, name: "AmazonEC2ContainerRegistryPullOnly" },
    Managed { path: ROOT, name: "AmazonEC2ContainerRegistryReadOnly" },
    Managed { path: ROOT, name: "AmazonEC2FullAccess" },
    Managed { path: ROOT, name: "AmazonEC2ReadOnlyAccess" },
    Managed { path: ROOT, name: "AmazonECS_FullAccess" },
    Managed { path: ROOT, name: "AmazonElasticFileSystemClientFullAccess" },
    Managed { path: ROOT, name: "AmazonElasticFileSystemClientReadWriteAccess" },
    Managed { path: ROOT, name: "AmazonElasticFileSystemFullAccess" },
    Managed { path: ROOT, name: "AmazonElastiCacheFullAccess" },
    Managed { path: ROOT, name: "AmazonEventBridgeFullAccess" },
    Managed { path: ROOT, name: "AmazonKinesisFullAccess" },
    Managed { path: ROOT, name: "AmazonRDSDataFullAccess" },
    Managed { path: ROOT, name: "AmazonRDSFullAccess" },
    Managed { path: ROOT, name: "AmazonRDSReadOnlyAccess" },
    Managed { path: ROOT, name: "AmazonRoute53FullAccess" },
    Managed { path: ROOT, name: "AmazonS3FullAccess" },
    Managed { path: ROOT, name: "AmazonS3ReadOnlyAccess" },
    Managed { path: ROOT, name: "AmazonSESFullAccess" },
    Managed { path: ROOT, name: "AmazonSNSFullAccess" },
    Managed { path: ROOT, name: "AmazonSQSFullAccess" },
    Managed { path: ROOT, name: "AmazonSQSReadOnlyAccess" },
    Managed { path: ROOT, name: "AmazonSSMFullAccess" },
    Managed { path: ROOT, name: "AmazonSSMManagedInstanceCore" },
    Managed { path: ROOT, name: "AmazonSSMReadOnlyAccess" },
    Managed { path: ROOT, name: "AmazonVPCFullAccess" },
    Managed { path: ROOT, name: "AWSAppMeshEnvoyAccess" },
    Managed { path: ROOT, name: "AWSAppMeshFullAccess" },
    Managed { path: ROOT, name: "AWSCloudMapDiscoverInstanceAccess" },
    Managed { path: ROOT, name: "AWSCloudMapFullAccess" },
    Managed { path: ROOT, name: "AWSCodeDeployRoleForECS" },
    Managed { path: ROOT, name: "AWSXRayDaemonWriteAccess" },
    Managed { path: ROOT, name: "AWSXrayFullAccess" },
    Managed { path: ROOT, name: "AWSXrayWriteOnlyAccess" },
    Managed { path: ROOT, name: "CloudWatchAgentServerPolicy" },
    Managed { path: ROOT, name: "CloudWatchFullAccess" },
    Managed { path: ROOT, name: "CloudWatchLogsFullAccess" },
    Managed { path: ROOT, name: "CloudWatchLogsReadOnlyAccess" },
    Managed { path: ROOT, name: "CloudWatchReadOnlyAccess" },
    Managed { path: ROOT, name: "ElasticLoadBalancingFullAccess" },
    Managed { path: ROOT, name: "ElasticLoadBalancingReadOnly" },
    Managed { path: ROOT, name: "IAMFullAccess" },
    Managed { path: ROOT, name: "IAMReadOnlyAccess" },
    Managed { path: ROOT, name: "PowerUserAccess" },
    Managed { path: ROOT, name: "ReadOnlyAccess" },
    Managed { path: ROOT, name: "SecretsManagerReadWrite" },
    Managed { path: ROOT, name: "SecurityAudit" },
];

/// The policy of this ARN.
pub fn find(arn: &str) -> Option<Managed> {
    let path_and_name = arn.strip_prefix("arn:aws:iam::aws:policy")?;
    POLICIES.iter().find(|policy| path_and_name.strip_prefix(policy.path) == Some(policy.name)).copied()
}

impl Managed {
    pub fn arn(self) -> String {
        format!("arn:aws:iam::aws:policy{}{}", self.path, self.name)
    }

    /// An id of the shape of AWS's, the same for the same policy; AWS's own are not known to us.
    pub fn id(self) -> String {
        let seed = self
            .name
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        format!("ANPA{}", longshore_types::IdSource::new(u128::from(seed)).alphanumeric(17))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_found_by_arn() {
        let arn = "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy";
        let policy = find(arn).expect("ECS needs it");
        assert_eq!((policy.name, policy.arn().as_str()), ("AmazonECSTaskExecutionRolePolicy", arn));
        assert_eq!(policy.id().len(), 21);
        assert_eq!(find("arn:aws:iam::aws:policy/AmazonECSTaskExecutionRolePolicy"), None);
        assert_eq!(find("arn:aws:iam::123456789012:policy/AdministratorAccess"), None);
        assert!(POLICIES.iter().all(|policy| find(&policy.arn()) == Some(*policy)));
    }
}
