//! DeleteNetworkInterface: only of interfaces that nothing has; a task's or a load balancer's goes with it.

use super::error::{self, Kind};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ec2::{DeleteNetworkInterfaceInput, DeleteNetworkInterfaceOutput};
use longshore_store::Tx;
use longshore_types::ec2::EniOwner;
use longshore_types::id::EniId;

pub fn delete_network_interface(
    tx: &mut Tx,
    cx: &Cx,
    input: DeleteNetworkInterfaceInput,
) -> Result<DeleteNetworkInterfaceOutput, AwsError> {
    let id = EniId(input.network_interface_id);
    let removed = super::network::delete_interface(tx, &cx.scope, &id);
    match removed.ok_or_else(|| Kind::NetworkInterface.not_found(&[id.as_str()]))?.owner {
        EniOwner::User => error::finish(input.dry_run, DeleteNetworkInterfaceOutput {}),
        _ => Err(error::interface_in_use(id.as_str())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::network::{NewInterface, create_interface};
    use crate::ec2::testing::{default_subnet, refusal, write};
    use crate::testing::Fixture;
    use longshore_types::Tags;

    fn made(fixture: &Fixture, owner: EniOwner) -> DeleteNetworkInterfaceInput {
        let subnet = default_subnet(fixture);
        let interface = fixture.write(move |tx, cx| {
            let new = NewInterface {
                subnet: subnet.as_str().into(),
                security_groups: Vec::new(),
                owner,
                description: String::new(),
                public: false,
                tags: Tags::default(),
            };
            create_interface(tx, cx, new).expect("room")
        });
        DeleteNetworkInterfaceInput { network_interface_id: interface.id.to_string(), dry_run: None }
    }

    #[test]
    fn a_free_interface_goes() {
        let fixture = Fixture::new();
        let input = made(&fixture, EniOwner::User);
        write(&fixture, delete_network_interface, input.clone()).expect("it is free");
        let expected = format!(
            "InvalidNetworkInterfaceID.NotFound: The networkInterface ID '{}' does not exist",
            input.network_interface_id
        );
        assert_eq!(refusal(write(&fixture, delete_network_interface, input)), expected);
    }

    #[test]
    fn an_interface_in_use_stays() {
        let fixture = Fixture::new();
        let input = made(&fixture, EniOwner::LoadBalancer { arn: "arn".to_owned() });
        let expected =
            format!("InvalidParameterValue: Network interface '{}' is currently in use.", input.network_interface_id);
        assert_eq!(refusal(write(&fixture, delete_network_interface, input)), expected);
        fixture.read(|state, _| assert_eq!(state.network_interfaces().len(), 1));
    }
}
