//! A handle to an entry, in one register: what is done through it is a global function of BPF each,
//! see [`step`](crate::outcome::step).

use flowkeep_core::entry::{Entry, Progress};
use flowkeep_core::table::{BucketTable, EntryHandle, Handle, Sighting};
use flowkeep_core::tracker::{Direction, Instant};
use flowkeep_core::tuple::{Address, Tuple};

use crate::memory::Maps;
use crate::word::Word;
use crate::work::Work;

/// What [`Handle`] is in a program.
#[derive(Clone, Copy)]
pub(crate) struct SteppedHandle(u64);

impl SteppedHandle {
    #[inline(always)]
    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    #[inline(always)]
    pub(crate) const fn bits(self) -> u64 {
        self.0
    }
}

impl EntryHandle for SteppedHandle {
    #[inline(always)]
    fn progress(&self) -> Option<Progress> {
        if handle_progress(self.0) == 0 {
            return None;
        }
        Some(Work::get()?.before)
    }

    #[inline(always)]
    fn advance(&self, before: &Progress, after: &Progress) -> bool {
        let Some(work) = Work::get() else {
            return false;
        };
        (work.before, work.after) = (*before, *after);
        handle_advance(self.0) != 0
    }

    #[inline(always)]
    fn count(&self, direction: Direction, packets: u64, length: u64, _: Instant) -> bool {
        let ingress = u32::from(matches!(direction, Direction::Ingress));
        handle_count(self.0, ingress, packets, length) != 0
    }

    /// No step asks for it.
    #[inline(always)]
    fn tuple(&self) -> Option<Tuple> {
        None
    }

    #[inline(always)]
    fn entry(&self) -> Option<Entry> {
        if handle_entry(self.0) == 0 {
            return None;
        }
        // Field by field: compilers cut a copy of the whole behind its smallest fields, and then read
        // what follows from the stack where the verifier does not allow it, at odd offsets.
        let Entry {
            progress,
            rev_nat_index,
            nat_port,
            source_identity,
            rx,
            tx,
            nat_address,
            created,
            last_seen,
        } = Work::get()?.entry;
        Some(Entry {
            progress,
            rev_nat_index,
            nat_port,
            source_identity,
            rx,
            tx,
            nat_address,
            created,
            last_seen,
        })
    }

    #[inline(always)]
    fn set_rev_nat_index(&self, index: u16) {
        handle_set_rev_nat_index(self.0, u32::from(index));
    }

    #[inline(always)]
    fn set_nat_address(&self, address: Address) {
        let octets = u128::from_ne_bytes(address.octets());
        handle_set_nat_address(self.0, octets as u64, (octets >> 64) as u64);
    }

    #[inline(always)]
    fn set_rx_bytes(&self, bytes: u64) {
        handle_set_rx_bytes(self.0, bytes);
    }
}

/// Does something through the handle that these bits name, and returns what that returns; 0 if there
/// is none.
#[inline(always)]
fn with(bits: u64, does: impl FnOnce(Handle<'_, Word>, &mut Work) -> bool) -> u32 {
    let (Some(maps), Some(work)) = (Maps::<false>::new(), Work::get()) else {
        return 0;
    };
    let table = BucketTable::new(maps);
    match table.found(Sighting::from_bits(bits)) {
        Some(found) => u32::from(does(found.handle, work)),
        None => 0,
    }
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn handle_progress(bits: u64) -> u32 {
    with(bits, |handle, work| {
        handle
            .progress()
            .map(|progress| work.before = progress)
            .is_some()
    })
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn handle_advance(bits: u64) -> u32 {
    with(bits, |handle, work| {
        handle.advance(&work.before, &work.after)
    })
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn handle_count(bits: u64, ingress: u32, packets: u64, length: u64) -> u32 {
    with(bits, |handle, work| {
        let direction = if ingress != 0 {
            Direction::Ingress
        } else {
            Direction::Egress
        };
        handle.count(direction, packets, length, work.now)
    })
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn handle_entry(bits: u64) -> u32 {
    with(bits, |handle, work| {
        handle.entry().map(|entry| work.entry = entry).is_some()
    })
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn handle_set_rev_nat_index(bits: u64, index: u32) -> u32 {
    with(bits, |handle, _| {
        handle.set_rev_nat_index(index as u16);
        true
    })
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn handle_set_nat_address(bits: u64, first: u64, second: u64) -> u32 {
    with(bits, |handle, _| {
        let octets = u128::from(first) | u128::from(second) << 64;
        handle.set_nat_address(Address::from_octets(octets.to_ne_bytes()));
        true
    })
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn handle_set_rx_bytes(bits: u64, bytes: u64) -> u32 {
    with(bits, |handle, _| {
        handle.set_rx_bytes(bytes);
        true
    })
}
