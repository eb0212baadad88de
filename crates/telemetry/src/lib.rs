//! Log ingestion and query on append-only segments.
