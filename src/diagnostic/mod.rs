//! How we talk to people who write files: problems with a place, help, and "did you mean".
