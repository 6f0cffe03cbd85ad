//! Flowkeep.
