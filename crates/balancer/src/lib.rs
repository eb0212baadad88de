//! Layer-7 load balancer data plane.
