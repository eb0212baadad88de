//! `--auth iam` with the AWS CLI: keys, policies, roles, and AWS's words for no.

use crate::kit::Kit;
use anyhow::{Context, ensure};
use longshore_tests::aws::Aws;
use serde_json::{Value, json};

fn text<'a>(value: &'a Value, pointer: &str) -> anyhow::Result<&'a str> {
    value.pointer(pointer).and_then(Value::as_str).with_context(|| format!("{pointer} of {value}"))
}

/// The CLI's complaint.
fn refusal(result: anyhow::Result<Value>) -> anyhow::Result<String> {
    match result {
        Ok(answer) => anyhow::bail!("it is allowed: {answer}"),
        Err(error) => Ok(format!("{error:#}")),
    }
}

fn says(result: anyhow::Result<Value>, expected: &str) -> anyhow::Result<()> {
    let said = refusal(result)?;
    ensure!(said.contains(expected), "it says {said}\ninstead of {expected}");
    Ok(())
}

pub fn policies_decide(kit: &Kit) -> anyhow::Result<()> {
    kit.on_with("none", &["--auth", "iam"], |instance| {
        let account = instance.account.clone();
        let root = Aws::root(instance)?;
        let anybody = Aws::new(instance);
        says(anybody.call(&["ecs", "list-clusters"]), "UnrecognizedClientException")?;
        says(anybody.call(&["sts", "get-caller-identity"]), "InvalidClientTokenId")?;
        says(anybody.call(&["ec2", "describe-vpcs"]), "AuthFailure")?;

        root.call(&["iam", "create-user", "--user-name", "ann"])?;
        let key = root.call(&["iam", "create-access-key", "--user-name", "ann"])?;
        let id = text(&key, "/AccessKey/AccessKeyId")?;
        let ann = root.with_key(id, text(&key, "/AccessKey/SecretAccessKey")?, None);
        let who = ann.call(&["sts", "get-caller-identity"])?;
        let user = format!("arn:aws:iam::{account}:user/ann");
        ensure!(text(&who, "/Arn")? == user, "{who}");
        says(root.with_key(id, "wrong", None).call(&["ecs", "list-clusters"]), "InvalidSignatureException")?;
        says(
            ann.call(&["ecs", "delete-cluster", "--cluster", "web"]),
            &format!(
                "(AccessDeniedException) when calling the DeleteCluster operation: User: {user} is not authorized to perform: ecs:DeleteCluster on resource: arn:aws:ecs:us-east-1:{account}:cluster/web because no identity-based policy allows the ecs:DeleteCluster action"
            ),
        )?;
        says(ann.call(&["ec2", "describe-vpcs"]), "(UnauthorizedOperation)")?;
        says(ann.call(&["iam", "list-users"]), "(AccessDenied)")?;

        let policy = json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "ecs:*", "Resource": "*"},
            {"Effect": "Deny", "Action": "ecs:DeleteCluster", "Resource": format!("arn:aws:ecs:*:{account}:cluster/prod")},
        ]})
        .to_string();
        let made = root.call(&["iam", "create-policy", "--policy-name", "ecs", "--policy-document", &policy])?;
        let arn = text(&made, "/Policy/Arn")?;
        root.call(&["iam", "attach-user-policy", "--user-name", "ann", "--policy-arn", arn])?;
        ann.call(&["ecs", "create-cluster", "--cluster-name", "prod"])?;
        says(
            ann.call(&["ecs", "delete-cluster", "--cluster", "prod"]),
            "with an explicit deny in an identity-based policy",
        )?;
        // Another service's ARN is none of a cluster, whatever it ends in.
        let other = format!("arn:aws:x:us-east-1:{account}:cluster/prod");
        says(ann.call(&["ecs", "delete-cluster", "--cluster", &other]), "InvalidParameterException")?;

        passing_roles(&root, &ann, &account)?;
        assuming_roles(&root, &ann, &account)
    })
}

/// A task definition's role takes the right to pass it, to tasks.
fn passing_roles(root: &Aws, ann: &Aws, account: &str) -> anyhow::Result<()> {
    let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ecs-tasks.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
    root.call(&["iam", "create-role", "--role-name", "task", "--assume-role-policy-document", trust])?;
    let role = format!("arn:aws:iam::{account}:role/task");
    let register = || {
        ann.call(&[
            "ecs",
            "register-task-definition",
            "--family",
            "web",
            "--requires-compatibilities",
            "FARGATE",
            "--network-mode",
            "awsvpc",
            "--cpu",
            "256",
            "--memory",
            "512",
            "--task-role-arn",
            &role,
            "--container-definitions",
            r#"[{"name":"a","image":"busybox"}]"#,
        ])
    };
    says(register(), &format!("is not authorized to perform: iam:PassRole on resource: {role}"))?;
    let pass = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Action": "iam:PassRole", "Resource": role,
        "Condition": {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}},
    }]})
    .to_string();
    root.call(&["iam", "put-user-policy", "--user-name", "ann", "--policy-name", "pass", "--policy-document", &pass])?;
    register()?;

    // Who runs the task passes its role again, and a role's name under another path is no leave for it.
    let subnet = root.text(&["ec2", "describe-subnets"], "Subnets[0].SubnetId")?;
    let network = format!("awsvpcConfiguration={{subnets=[{subnet}]}}");
    let run = |more: &[&str]| {
        let call = ["ecs", "run-task", "--task-definition", "web", "--launch-type", "FARGATE"];
        ann.call(&[&call[..], &["--network-configuration", &network], more].concat())
    };
    ann.call(&["ecs", "create-cluster"])?;
    run(&[])?;
    let dev = pass.replace(":role/task", ":role/dev/*");
    root.call(&["iam", "put-user-policy", "--user-name", "ann", "--policy-name", "pass", "--policy-document", &dev])?;
    says(run(&[]), &format!("is not authorized to perform: iam:PassRole on resource: {role}"))?;
    let disguised = json!({"taskRoleArn": role.replace(":role/", ":role/dev/")}).to_string();
    says(run(&["--overrides", &disguised]), "ECS was unable to assume the role")
}

/// A session has its role's policies, within the policy it was begun with.
fn assuming_roles(root: &Aws, ann: &Aws, account: &str) -> anyhow::Result<()> {
    let trust = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"AWS": format!("arn:aws:iam::{account}:user/ann")}, "Action": "sts:AssumeRole",
    }]})
    .to_string();
    root.call(&["iam", "create-role", "--role-name", "dev", "--assume-role-policy-document", &trust])?;
    let read_only = "arn:aws:iam::aws:policy/ReadOnlyAccess";
    root.call(&["iam", "attach-role-policy", "--role-name", "dev", "--policy-arn", read_only])?;
    let role = format!("arn:aws:iam::{account}:role/dev");
    let assume = |more: &[&str]| -> anyhow::Result<Aws> {
        let mut arguments = vec!["sts", "assume-role", "--role-arn", &role, "--role-session-name", "test"];
        arguments.extend(more);
        let session = ann.call(&arguments)?;
        let part = |name: &str| text(&session, &format!("/Credentials/{name}")).map(str::to_owned);
        Ok(root.with_key(&part("AccessKeyId")?, &part("SecretAccessKey")?, Some(&part("SessionToken")?)))
    };
    let dev = assume(&[])?;
    dev.call(&["ec2", "describe-vpcs"])?;
    says(dev.call(&["ecs", "create-cluster"]), &format!("arn:aws:sts::{account}:assumed-role/dev/test is not"))?;
    let narrow = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecs:*","Resource":"*"}]}"#;
    let narrowed = assume(&["--policy", narrow])?;
    narrowed.call(&["ecs", "list-clusters"])?;
    says(narrowed.call(&["ec2", "describe-vpcs"]), "because no session policy allows the ec2:DescribeVpcs action")?;
    root.call(&["iam", "detach-role-policy", "--role-name", "dev", "--policy-arn", read_only])?;
    says(dev.call(&["ec2", "describe-vpcs"]), "because no identity-based policy allows")
}

pub fn open_mode_stays_on_loopback(kit: &Kit) -> anyhow::Result<()> {
    let output = std::process::Command::new(&kit.binary)
        .args([
            "up",
            "--runtime",
            "none",
            "--listen",
            "0.0.0.0:0",
            "--run-dir",
            "/nonexistent",
            "--data-dir",
            "/nonexistent",
        ])
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(!output.status.success() && said.contains("--auth iam"), "{said}");
    Ok(())
}
