//! Generated AWS inputs, outputs, errors and operations, and the schema they are read and written by. Pure.
