//! VPCs as Terraform makes them, and what packets of tasks do in them.

use crate::kit::{Kit, definition, describe_task, register, wait_status};
use anyhow::{Context, ensure};
use longshore_tests::api::{Api, only};
use longshore_tests::aws::Aws;
use longshore_tests::wait;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A VPC 10.9.0.0/16 with an internet gateway, a subnet that leads to it, one that leads nowhere, and a group that lets
/// everything in.
struct Vpc {
    id: String,
    public: String,
    private: String,
    group: String,
}

impl Vpc {
    fn new(aws: &Aws) -> anyhow::Result<Self> {
        let ec2 = |arguments: &[&str], query: &str| aws.text(&[&["ec2"], arguments].concat(), query);
        let id = ec2(&["create-vpc", "--cidr-block", "10.9.0.0/16"], "Vpc.VpcId")?;
        let subnet = |cidr| ec2(&["create-subnet", "--vpc-id", &id, "--cidr-block", cidr], "Subnet.SubnetId");
        let (public, private) = (subnet("10.9.1.0/24")?, subnet("10.9.2.0/24")?);
        let gateway = ec2(&["create-internet-gateway"], "InternetGateway.InternetGatewayId")?;
        aws.call(&["ec2", "attach-internet-gateway", "--internet-gateway-id", &gateway, "--vpc-id", &id])?;
        route(aws, &id, &public, "--gateway-id", &gateway)?;
        let group =
            ec2(&["create-security-group", "--group-name", "open", "--description", "a", "--vpc-id", &id], "GroupId")?;
        let anything = ["authorize-security-group-ingress", "--group-id", &group, "--protocol", "-1"];
        aws.call(&[&["ec2"], &anything[..], &["--cidr", "0.0.0.0/0"]].concat())?;
        Ok(Self { id, public, private, group })
    }
}

/// A table of its own for a subnet, with a default route.
fn route(aws: &Aws, vpc: &str, subnet: &str, kind: &str, target: &str) -> anyhow::Result<()> {
    let table = aws.text(&["ec2", "create-route-table", "--vpc-id", vpc], "RouteTable.RouteTableId")?;
    let everywhere = ["--destination-cidr-block", "0.0.0.0/0", kind, target];
    aws.call(&[&["ec2", "create-route", "--route-table-id", &table], &everywhere[..]].concat())?;
    aws.call(&["ec2", "associate-route-table", "--route-table-id", &table, "--subnet-id", subnet])?;
    Ok(())
}

fn run(api: &mut Api, vpc: &Vpc, subnet: &str, definition: &str, public: bool) -> anyhow::Result<String> {
    let assign = if public { "ENABLED" } else { "DISABLED" };
    let network = json!({"subnets": [subnet], "securityGroups": [vpc.group], "assignPublicIp": assign});
    let input = json!({"taskDefinition": definition, "launchType": "FARGATE",
        "networkConfiguration": {"awsvpcConfiguration": network}});
    let answer = api.ecs("RunTask", &input)?;
    Ok(only(&answer, "tasks")?["taskArn"].as_str().context("an ARN")?.to_owned())
}

/// The public address of a task's interface.
fn public_address(aws: &Aws, task: &Value) -> anyhow::Result<String> {
    let details = task["attachments"][0]["details"].as_array().context("details")?;
    let eni = details.iter().find(|pair| pair["name"] == "networkInterfaceId").context("an interface")?;
    let eni = eni["value"].as_str().context("an id")?;
    let arguments = ["ec2", "describe-network-interfaces", "--network-interface-ids", eni];
    aws.text(&arguments, "NetworkInterfaces[0].Association.PublicIp")
}

/// What a page at port 8080 of an address says, if anything answers.
fn page(address: &str) -> Option<String> {
    let address: SocketAddr = format!("{address}:8080").parse().ok()?;
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(2)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text)
}

/// Two VPCs with equal addresses: a server in one, clients in the other with and without ways out.
pub fn packets_follow_routes_and_acls(kit: &Kit) -> anyhow::Result<()> {
    kit.on("builtin", |instance| {
        let image = longshore_tests::sample::busybox(instance)?;
        let (aws, mut api) = (Aws::new(instance), Api::open(instance.listen)?);
        api.ecs("CreateCluster", &json!({}))?;
        let (near, far) = (Vpc::new(&aws)?, Vpc::new(&aws)?);
        let script = "/bin/busybox mkdir -p /w; echo hello > /w/index.html; exec /bin/busybox httpd -f -p 8080 -h /w";
        let command = json!({"command": ["/bin/sh", "-c", script]});
        let server = register(&mut api, &definition("server", &image, &command))?;
        let server = run(&mut api, &far, &far.public, &server, true)?;
        let seen = wait_status(&mut api, &server, "RUNNING")?;
        let address = public_address(&aws, &seen)?;
        wait::until("the host reaches the public address", Duration::from_secs(10), || match page(&address) {
            Some(text) if text.contains("hello") => Ok(()),
            other => Err(format!("{other:?}")),
        })?;

        // The exit code says whether the server answered.
        let ask = r"printf 'GET / HTTP/1.0\r\n\r\n'";
        let script = format!("{ask} | /bin/busybox nc -w 3 {address} 8080 | /bin/busybox grep -q hello");
        let client = register(&mut api, &definition("client", &image, &json!({"command": ["/bin/sh", "-c", script]})))?;
        let mut reaches = |subnet: &str, public: bool| -> anyhow::Result<bool> {
            let task = run(&mut api, &near, subnet, &client, public)?;
            let seen = wait_status(&mut api, &task, "STOPPED")?;
            Ok(seen["containers"][0]["exitCode"] == 0)
        };
        ensure!(reaches(&near.public, true)?, "by the internet gateway");
        ensure!(!reaches(&near.public, false)?, "without a public address");
        ensure!(!reaches(&near.private, true)?, "without a route");
        let allocation = aws.text(&["ec2", "allocate-address", "--domain", "vpc"], "AllocationId")?;
        let create = ["ec2", "create-nat-gateway", "--subnet-id", &near.public, "--allocation-id", &allocation];
        let nat = aws.text(&create, "NatGateway.NatGatewayId")?;
        route(&aws, &near.id, &near.private, "--nat-gateway-id", &nat)?;
        ensure!(reaches(&near.private, false)?, "through the NAT gateway");

        let filter = format!("Name=vpc-id,Values={}", far.id);
        let acl = ["ec2", "describe-network-acls", "--filters", &filter];
        let acl = aws.text(&acl, "NetworkAcls[0].NetworkAclId")?;
        let deny = ["ec2", "create-network-acl-entry", "--network-acl-id", &acl, "--rule-number", "10", "--ingress"];
        let what = ["--protocol", "6", "--port-range", "From=8080,To=8080", "--rule-action", "deny"];
        aws.call(&[&deny[..], &what, &["--cidr-block", "0.0.0.0/0"]].concat())?;
        wait::until("the network ACL is in effect", Duration::from_secs(10), || match page(&address) {
            None => Ok(()),
            Some(text) => Err(text),
        })?;

        let outside = register(&mut api, &definition("outside", "docker.io/library/nginx:latest", &json!({})))?;
        let lonely = ["ec2", "create-subnet", "--vpc-id", &near.id, "--cidr-block", "10.9.3.0/24"];
        let lonely = aws.text(&lonely, "Subnet.SubnetId")?;
        let task = run(&mut api, &near, &lonely, &outside, false)?;
        wait_status(&mut api, &task, "STOPPED")?;
        let reason = describe_task(&mut api, &task)?["stoppedReason"].to_string();
        ensure!(reason.contains("CannotPullContainerError") && reason.contains("no route to the internet"), "{reason}");
        Ok(())
    })
}
