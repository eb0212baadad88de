//! The brain: deployments, placement, health decisions. Pure.
