//! What is found and what is not.
