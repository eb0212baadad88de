//! Content store, pull, unpack, snapshots, Dockerfile builds.
