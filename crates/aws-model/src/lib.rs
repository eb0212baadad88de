//! Generated AWS inputs, outputs, errors and operations, and the schema they are read and written by.
//!
//! `models/operations.toml` lists what is served; `cargo xtask codegen` writes one module a service from `models/*.json`.
//! Each structure knows its [`Schema`] and how to hand itself to a [`ShapeWriter`] and fetch itself from a [`ShapeReader`];
//! which protocol stands behind those two traits is `aws-wire`'s business, and this crate knows none.
//!
//! Rules of the generated types: enums are `String`s (the schema has their values), structures in lists are plain, and every
//! member is an `Option` except the required members of an operation's own input.

#[rustfmt::skip]
mod generated;
mod operation;
pub mod schema;
mod value;

pub use generated::*;
pub use operation::{AwsError, ErrorMember, Operation};
pub use schema::{
    ErrorSchema, Http, Kind, Member, OperationSchema, Place, Protocol, Schema, ServiceSchema, TimestampFormat,
};
pub(crate) use value::shape;
pub use value::{
    Document, Field, OnElement, OnEntry, OnMember, ReadError, Shape, ShapeReader, ShapeWriter, Timestamp, Value,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_found_by_name_and_the_rest_is_known_by_name() {
        for service in SERVICES {
            assert!(service.operations.is_sorted_by_key(|o| o.name) && service.unserved.is_sorted());
            for op in service.operations {
                assert!(service.operation(op.name).is_some_and(|o| std::ptr::eq(o, *op)));
                assert!(op.service == *service && service.unserved(op.name).is_none());
            }
        }
        assert_eq!(ecs::SERVICE.unserved("CreateTaskSet"), Some("CreateTaskSet"));
        assert!(ecs::SERVICE.operation("runTask").is_none());
    }

    #[test]
    fn errors_are_found_by_code_and_by_name_with_their_status() {
        let op = elbv2::DescribeLoadBalancers::SCHEMA;
        let by_code = op.error(elbv2::codes::LOAD_BALANCER_NOT_FOUND).expect("is modelled");
        assert_eq!(by_code.name, "LoadBalancerNotFoundException");
        assert_eq!(AwsError::new("NoSuchEntity", "").status(Some(iam::GetRole::SCHEMA)), 404);
        assert_eq!(AwsError::new("Odd", "").status(Some(op)), 400);
        assert_eq!(AwsError::fault("Odd", "").status(None), 500);
        assert_eq!(AwsError::new("Odd", "").with_status(429).status(None), 429);
    }

    #[test]
    fn ec2_forms_have_names_of_their_own() {
        let member = |name: &str| {
            let all = ec2::CreateVpc::SCHEMA.input.members();
            all.iter().find(|m| m.name == name).map(|m| (m.wire, m.query)).expect("is a member")
        };
        assert_eq!(member("TagSpecifications"), ("TagSpecification", "TagSpecification"));
        assert_eq!(member("InstanceTenancy"), ("instanceTenancy", "InstanceTenancy"));
    }
}
