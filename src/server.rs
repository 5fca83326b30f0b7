//! Builds every room from the settings; runs; shuts down in order.
