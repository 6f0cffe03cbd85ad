//! What is Cilium's alone: its rule sets, the state that passes between a caller and an entry,
//! kinds of entries, creation with a state, and the operations on single entries.
//!
//! Flowkeep's default rules use none of it.

mod create;
mod kinds;
mod rules;
mod single;
mod state;

pub use create::Creation;
pub(crate) use create::related_tuple;
pub(crate) use kinds::accepted;
pub use kinds::{Kinds, Scope};
pub use rules::{Cilium18, Cilium119};
pub use single::NodePortQuery;
pub use state::State;
