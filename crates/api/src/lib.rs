//! AWS operations: one file each.
