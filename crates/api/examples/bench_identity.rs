//! What enforcement costs a request: a signature verified and an operation allowed, by policies of different sizes.
//!
//! `cargo run --release -p longshore-api --example bench_identity`

use longshore_aws_model::Operation as _;
use longshore_aws_model::ecs::{DescribeTasks, DescribeTasksInput};
use longshore_aws_wire::sigv4::{Credential, Mode, SignedRequest, SigningKey, string_to_sign};
use longshore_policy::{Grants, Named, NoContext, Policy, Principal, Request, decide};
use std::hint::black_box;
use std::time::Instant;

fn measure(name: &str, mut run: impl FnMut()) {
    const ROUNDS: u32 = 2000;
    run();
    let started = Instant::now();
    for _ in 0..ROUNDS {
        run();
    }
    println!("{name}: {:.1} us", started.elapsed().as_secs_f64() * 1e6 / f64::from(ROUNDS));
}

fn main() {
    let authorization = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260102/us-east-1/ecs/aws4_request, SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature=00";
    let headers = [
        ("host", "127.0.0.1:4566"),
        ("content-type", "application/x-amz-json-1.1"),
        ("x-amz-date", "20260102T030405Z"),
        ("x-amz-target", "AmazonEC2ContainerServiceV20141113.DescribeTasks"),
        ("authorization", authorization),
    ];
    let body = [b'x'; 600];
    let request = SignedRequest { method: "POST", path: "/", query: "", headers: &headers, body: &body };
    let credential = || Credential::find(&|name| request.header(name), "").expect("reads").expect("is signed");
    let kept = credential();
    measure("read the Authorization header", || drop(black_box(credential())));
    measure("derive a signing key (once a day, region and service)", || {
        black_box(SigningKey::derive("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "20260102", "us-east-1", "ecs"));
    });
    measure("hash a request of 600 bytes", || {
        black_box(string_to_sign(&request, &kept, Mode::Normalized)).expect("it can be signed");
    });

    let input = DescribeTasksInput {
        cluster: Some("web".to_owned()),
        tasks: (0..10).map(|n| format!("arn:aws:ecs:us-east-1:123456789012:task/web/{n:032}")).collect(),
        ..Default::default()
    };
    println!(
        "{} has {} permissions",
        DescribeTasks::SCHEMA.name,
        longshore_api::identity::permissions(DescribeTasks::SCHEMA).len()
    );
    measure("read the fields of DescribeTasks of ten", || {
        black_box(longshore_api::identity::Fields::of(&input));
    });
    for (name, text) in [
        ("AdministratorAccess", longshore_api::iam::managed::find("arn:aws:iam::aws:policy/AdministratorAccess")),
        ("AmazonECS_FullAccess", longshore_api::iam::managed::find("arn:aws:iam::aws:policy/AmazonECS_FullAccess")),
        ("ReadOnlyAccess", longshore_api::iam::managed::find("arn:aws:iam::aws:policy/ReadOnlyAccess")),
    ] {
        let document = text.expect("it is known").document;
        measure(&format!("compile {name} ({} bytes)", document.len()), || {
            black_box(Policy::parse(document)).expect("a policy");
        });
        let policy = Policy::parse(document).expect("a policy");
        let grants = Grants { identity: vec![Named { name: name.to_owned(), policy }], ..Default::default() };
        let ask = |resource: &str| {
            let principal =
                Principal::Aws { arn: "arn:aws:iam::123456789012:user/ann", role: None, account: "123456789012" };
            let request = Request { action: "ecs:DescribeTasks", resource, principal, context: &NoContext };
            black_box(decide(&request, &grants, None))
        };
        measure(&format!("decide DescribeTasks of ten by {name}"), || {
            input.tasks.iter().for_each(|task| {
                ask(task);
            });
        });
    }
}
