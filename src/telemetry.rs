//! Logs by tracing, text or JSON.
