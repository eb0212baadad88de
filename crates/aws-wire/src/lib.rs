//! The wire: AWS JSON, query, EC2 query, SigV4, validation, error envelopes. Pure over bytes.
