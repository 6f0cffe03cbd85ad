//! Plays recorded scenarios: shared by all tests that hold a tracker to them. What plays the single
//! steps is a [`Driver`].

mod driver;
mod format;
mod names;
mod render;
mod replay;
mod sets;

pub(crate) use driver::{Answer, Driver, Looked, Operation};
pub(crate) use format::{Meta, Scenario, Version};
pub(crate) use replay::replay;
pub(crate) use sets::play;
