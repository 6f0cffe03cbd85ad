//! Flowkeep core.
