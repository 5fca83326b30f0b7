//! Server settings: file < environment < flag.
