//! Actions that the load balancer answers itself. Forwarding is in [`crate::proxy`].

pub(crate) mod fixed_response;
pub(crate) mod redirect;
