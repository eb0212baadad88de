//! Revisioned, transactional, watched, durable tables.
