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
#[allow(unused_imports, reason = "each test uses its part")]
pub(crate) use replay::{follow, replay};
pub(crate) use sets::play;
