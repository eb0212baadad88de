//! Node agent: runs tasks, reports what it sees.
