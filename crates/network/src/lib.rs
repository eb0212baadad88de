//! VPC data plane of a node: namespaces, interfaces, security groups on packets.
