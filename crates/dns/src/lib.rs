//! VPC resolver: zones, answers, forwarding.
