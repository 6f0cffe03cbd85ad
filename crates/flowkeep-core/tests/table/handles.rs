//! What is done through a handle reaches the entry that it was found for, or nothing.

use flowkeep_core::entry::{EntryFlags, Progress};
use flowkeep_core::table::{BucketTable, EntryHandle, Handle, HostBounds, Statistic, Table};
use flowkeep_core::tracker::Direction;
use flowkeep_core::tuple::Address;

use crate::common::memory::Owned;
use crate::common::peek::{Peek, check, memory};
use crate::common::{Worth, at, entry, tuple};

type Peeked<const SHARED: bool> = BucketTable<Owned<Peek, SHARED>>;

fn store<const SHARED: bool>(table: &Peeked<SHARED>, number: u32) -> Handle<'_, Peek> {
    let tuple = tuple(number);
    let entry = entry(number, Worth::Unanswered, 60 + number);
    table
        .insert(table.hash(&tuple), &tuple, &entry, at(1))
        .expect("somebody can go")
}

fn progress(handle: &Handle<'_, Peek>) -> Progress {
    handle.progress().expect("it is there")
}

/// A stale handle and the next owner of its slot.
fn stale_handle_is_powerless<const SHARED: bool>() {
    let (memory, words) = memory::<SHARED, HostBounds>(1, 1);
    let table = BucketTable::new(memory);
    let stale = store(&table, 0);
    let before = progress(&stale);
    let mut number = 0;
    // The first that was stored expires first: it makes room for the 49th.
    let owner = loop {
        number += 1;
        let stored = store(&table, number);
        if stored.index() == stale.index() {
            break stored;
        }
    };
    let whole = owner.entry();
    assert_eq!(whole, Some(entry(number, Worth::Unanswered, 60 + number)));

    assert_eq!(stale.progress(), None);
    assert_eq!(stale.entry(), None);
    assert_eq!(stale.tuple(), None);
    for after in [
        before,
        Progress {
            lifetime: 999,
            ..before
        },
        Progress {
            tx_flags: 0x55,
            last_rx_report: 7,
            ..before
        },
    ] {
        assert!(!stale.advance(&before, &after));
    }
    // Even where the next owner happens to look the same.
    assert!(!stale.advance(&progress(&owner), &before));
    stale.set_rev_nat_index(1);
    stale.set_nat_address(Address::from_v4([1, 2, 3, 4]));
    stale.set_rx_bytes(1);
    assert!(!table.remove(&stale, 1));
    assert_eq!(owner.entry(), whole);

    let counted = stale.count(Direction::Egress, 1, 10, at(5));
    if SHARED {
        assert!(!counted, "it is told so");
        assert_eq!(owner.entry(), whole);
    }
    check(&table, &words);
}

#[test]
fn a_stale_handle_is_powerless_where_others_may_be() {
    stale_handle_is_powerless::<true>();
}

#[test]
fn a_stale_handle_is_powerless_where_nobody_else_is() {
    stale_handle_is_powerless::<false>();
}

fn a_removed_entry_is_gone<const SHARED: bool>() {
    let (memory, words) = memory::<SHARED, HostBounds>(2, 1);
    let table = BucketTable::new(memory);
    let handle = store(&table, 3);
    let before = progress(&handle);
    assert!(table.remove(&handle, 1));
    assert!(!table.remove(&handle, 1), "once");
    assert!(!handle.advance(&before, &before));
    assert_eq!(handle.entry(), None);
    assert!(table.find(table.hash(&tuple(3)), &tuple(3)).is_none());
    assert_eq!(table.iter().count(), 0);
    assert_eq!(table.memory().counted(Statistic::Removed), 1);
    check(&table, &words);
    // Its slot is used again, and the old handle does not come back to life.
    let again = store(&table, 3);
    assert_eq!(again.index(), handle.index());
    assert_eq!(handle.entry(), None);
}

#[test]
fn a_removed_entry_is_gone_for_all() {
    a_removed_entry_is_gone::<true>();
    a_removed_entry_is_gone::<false>();
}

fn what_changed_since_it_was_judged_stays<const SHARED: bool>() {
    let (memory, words) = memory::<SHARED, HostBounds>(1, 1);
    let table = BucketTable::new(memory);
    let handle = store(&table, 3);
    let judged = progress(&handle);
    let mut answered = judged;
    answered.entry_flags.insert(EntryFlags::REPLIED);
    let mut refreshed = answered;
    refreshed.lifetime += 1;
    for after in [answered, refreshed] {
        let before = progress(&handle);
        assert!(handle.advance(&before, &after));
        assert!(!table.remove_unchanged(&handle, &judged, 1));
        assert_eq!(handle.progress(), Some(after));
    }
    assert!(table.remove_unchanged(&handle, &refreshed, 1));
    assert_eq!(handle.progress(), None);
    check(&table, &words);
}

#[test]
fn an_entry_that_changed_since_it_was_judged_stays() {
    what_changed_since_it_was_judged_stays::<true>();
    what_changed_since_it_was_judged_stays::<false>();
}

fn an_overtaken_advance_changes_nothing<const SHARED: bool>() {
    let (memory, _) = memory::<SHARED, HostBounds>(1, 1);
    let table = BucketTable::new(memory);
    let handle = store(&table, 3);
    let before = progress(&handle);
    let mut faster = before;
    faster.lifetime += 10;
    faster.entry_flags.insert(EntryFlags::REPLIED);
    assert!(handle.advance(&before, &faster));
    let mut slower = before;
    slower.lifetime += 5;
    slower.tx_flags = 0xff;
    slower.last_tx_report = 0;
    assert!(!handle.advance(&before, &slower));
    assert_eq!(handle.progress(), Some(faster));
}

#[test]
fn an_advance_that_was_overtaken_changes_nothing() {
    an_overtaken_advance_changes_nothing::<true>();
    an_overtaken_advance_changes_nothing::<false>();
}

#[test]
fn every_field_of_an_entry_comes_back() {
    let (memory, _) = memory::<true, HostBounds>(1, 1);
    let table = BucketTable::new(memory);
    let handle = store(&table, 0xfedc_ba98);
    let stored = entry(
        0xfedc_ba98,
        Worth::Unanswered,
        60_u32.wrapping_add(0xfedc_ba98),
    );
    assert_eq!(handle.entry(), Some(stored));
    handle.set_rev_nat_index(0xabcd);
    handle.set_nat_address(Address::from_octets([9; 16]));
    handle.set_rx_bytes(77);
    handle.count(Direction::Ingress, 1, 23, at(3));
    handle.count(Direction::Service, 1, 5, at(4));
    let mut expected = stored;
    expected.rev_nat_index = 0xabcd;
    expected.nat_address = Address::from_octets([9; 16]);
    expected.rx.packets += 1;
    expected.rx.bytes = 100;
    expected.tx.packets += 1;
    expected.tx.bytes += 5;
    // Counted by a clock that was behind the entry's creation: never before it.
    expected.last_seen = expected.created;
    assert_eq!(handle.entry(), Some(expected));
}
