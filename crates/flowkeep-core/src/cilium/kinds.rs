//! Which directions and which kinds of entries a look-up asks for (D9, D11).

use super::State;
use crate::entry::{Entry, EntryFlags};

/// Which directions are looked up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Scope {
    /// The packet's own direction only.
    Forward,
    /// The reverse direction only.
    Reverse,
    /// The reverse direction, then the packet's own.
    #[default]
    Both,
}

/// Kinds of entries that a look-up accepts (D11), combined by OR; any one suffices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Kinds(pub u8);

impl Kinds {
    /// Every entry.
    pub const ANY: Self = Self(0);
    /// A node-port entry with the caller's NAT index, or with any if the caller has none.
    pub const NODE_PORT: Self = Self(1);
    /// An entry for direct server return.
    pub const DSR: Self = Self(2);
    /// An entry with just the caller's NAT index.
    pub const SERVICE: Self = Self(4);
}

/// Whether the entry is of one of the kinds that the caller accepts (D11).
pub(crate) fn accepted(entry: &Entry, kinds: Kinds, state: Option<&State>) -> bool {
    let wanted = state.map_or(0, |state| state.rev_nat_index);
    let asked = |kind: Kinds| kinds.0 & kind.0 != 0;
    let entry_flags = entry.progress.entry_flags;
    asked(Kinds::NODE_PORT)
        && entry_flags.contains(EntryFlags::NODE_PORT)
        && entry.rev_nat_index != 0
        && (wanted == 0 || wanted == entry.rev_nat_index)
        || asked(Kinds::DSR) && entry_flags.contains(EntryFlags::DSR)
        || asked(Kinds::SERVICE) && entry.rev_nat_index == wanted
}
