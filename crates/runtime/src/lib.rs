//! OCI runtime and task supervisor. No tokio.
