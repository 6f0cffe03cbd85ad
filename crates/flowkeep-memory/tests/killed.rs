//! Processes that share a table and are killed at random moments, as `flowkeep delete`,
//! `flowkeep flush` and sweeps may be: ten seconds and a sweep later the table must be as good as
//! new. `flowkeep-core`'s `table/killed.rs` goes through all moments one by one; this shows the same
//! of real processes and of a mapping that they share.
//!
//! The processes are this test program, started again.

#![cfg(target_os = "linux")]

use std::env;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use flowkeep_core::entry::{Entry, EntryFlags, Progress};
use flowkeep_core::error::Refusal;
use flowkeep_core::table::{
    BucketHeader, BucketTable, EntryHandle as _, HEADER_BYTES, Record, SLOTS, Seed, Table as _,
};
use flowkeep_core::tracker::Instant;
use flowkeep_core::tuple::{Address, Flags, Tuple};
use flowkeep_memory::{Region, Words};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// So many that to remove all takes milliseconds.
const BUCKETS: u32 = 512;
/// How many connections there is room for.
const ROOM: u32 = BUCKETS * SLOTS as u32;
/// Those that are there all the time, and are numbered from 0 on.
const RESIDENTS: u32 = 40;
/// Processes that are killed in each test.
const KILLS: u32 = 30;
/// Seconds between two of them: more than it takes for one to be known to be gone.
const APART: u32 = 20;
/// Environment variables that tell a process what to do, where the table is, and the time.
const ROLE: &str = "FLOWKEEP_KILLED_ROLE";
const FOLDER: &str = "FLOWKEEP_KILLED_FOLDER";
const NOW: &str = "FLOWKEEP_KILLED_NOW";

type SharedTable = BucketTable<Region<true>>;

/// What the processes do until they are killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Removes whatever is not a resident.
    Flush,
    /// Removes what has expired.
    Sweep,
    /// Inserts in place of others.
    Insert,
}

const ROLES: [(Role, &str); 3] = [
    (Role::Flush, "flush"),
    (Role::Sweep, "sweep"),
    (Role::Insert, "insert"),
];

/// The memory of a table, in files that are removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("flowkeep_{name}_{}", std::process::id()));
        fs::create_dir(&path).expect("a folder");
        for (file, bytes) in parts(&path) {
            let file = File::create(file).expect("a file");
            file.set_len(bytes as u64).expect("room for a table");
        }
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The files of a table, and how long they are.
fn parts(folder: &Path) -> [(PathBuf, usize); 3] {
    let buckets = BUCKETS as usize;
    [
        (folder.join("header"), HEADER_BYTES),
        (
            folder.join("buckets"),
            buckets * size_of::<BucketHeader<u64>>(),
        ),
        (
            folder.join("records"),
            buckets * SLOTS * size_of::<Record<u64>>(),
        ),
    ]
}

/// The table, as all see it. Whoever is first describes it.
fn open(folder: &Path, describe: bool) -> SharedTable {
    let maps = parts(folder).map(|(path, bytes)| {
        let file = File::options().read(true).write(true).open(path);
        Words::shared(file.expect("it was created"), bytes).expect("it is as long")
    });
    if describe {
        let header = maps[0].header().expect("it is long enough");
        header.describe(BUCKETS, 1, &Seed::from_u64(3));
    }
    BucketTable::new(Region::apart(maps).expect("a table"))
}

const fn at(seconds: u32) -> Instant {
    Instant {
        seconds,
        ticks: seconds as u64,
    }
}

fn tuple(number: u32) -> Tuple {
    let [a, b, c, d] = number.to_be_bytes();
    let (client, server) = ([10, a, b, c], [192, 0, 2, 1]);
    let port = 1024 + u16::from(d);
    let [client, server] = [client, server].map(Address::from_v4);
    Tuple::new(server, client, 443, port, 6, Flags::OUT)
}

/// An entry that tells whose it is.
fn entry(number: u32, is_assured: bool, lifetime: u32) -> Entry {
    let mut entry_flags = EntryFlags::TCP;
    if is_assured {
        entry_flags.insert(EntryFlags::REPLIED);
        entry_flags.insert(EntryFlags::SEEN_NON_SYN);
    }
    Entry {
        progress: Progress {
            lifetime,
            entry_flags,
            ..Progress::default()
        },
        source_identity: number,
        created: u64::from(number),
        last_seen: u64::from(number),
        ..Entry::default()
    }
}

fn insert(table: &SharedTable, number: u32, entry: &Entry, now: u32) -> Result<(), Refusal> {
    let tuple = tuple(number);
    let stored = table.insert(table.hash(&tuple), &tuple, entry, at(now));
    stored.map(|_| ())
}

/// Not a test: what the processes do.
#[test]
fn process() {
    let Ok(name) = env::var(ROLE) else { return };
    let role = ROLES.iter().find(|(_, known)| *known == name);
    let (role, _) = *role.expect("a role");
    let variable = |name| env::var_os(name).expect("the other one has set it");
    let table = open(Path::new(&variable(FOLDER)), false);
    let now = variable(NOW).into_string().expect("a number");
    let now: u32 = now.parse().expect("a number");
    println!("{STARTED}");
    let mut random = fastrand::Rng::with_seed(now.into());
    loop {
        match role {
            Role::Flush => {
                for (handle, _, entry) in table.iter() {
                    if entry.source_identity >= RESIDENTS {
                        table.remove(&handle, now);
                    }
                }
            }
            Role::Sweep => {
                table.sweep(0, u32::MAX, now, |_, _| {});
            }
            Role::Insert => add(&table, &mut random, now),
        }
    }
}

/// What a process says when it begins.
const STARTED: &str = "it begins";

/// Inserts connections that give way to others, and expire with this second.
fn add(table: &SharedTable, random: &mut fastrand::Rng, now: u32) {
    for _ in 0..ROOM {
        let number = random.u32(RESIDENTS..10 * ROOM);
        // Refused where a lock is held.
        let _ = insert(table, number, &entry(number, false, now), now);
    }
}

/// Starts a process and waits until it has begun.
fn start(role: &str, folder: &Folder, now: u32) -> Child {
    let mut command = Command::new(env::current_exe().expect("this program"));
    command.args(["process", "--exact", "--nocapture"]);
    command.env(ROLE, role).env(FOLDER, &folder.0);
    command.env(NOW, now.to_string()).stdout(Stdio::piped());
    let mut process = command.spawn().expect("it runs already");
    let said = BufReader::new(process.stdout.take().expect("it is piped"));
    let begun = said.lines().map_while(Result::ok);
    assert!({ begun }.any(|line| line.contains(STARTED)));
    process
}

fn survives(role: Role) {
    let (_, name) = ROLES[role as usize];
    let folder = Folder::new(name);
    let table = open(&folder.0, true);
    for number in 0..RESIDENTS {
        let resident = entry(number, true, u32::MAX);
        insert(&table, number, &resident, 1).expect("there is room");
    }
    let mut random = fastrand::Rng::new();
    let mut wrong = Vec::new();
    for number in 0..KILLS {
        let now = 1_000 + number * APART;
        // There is enough to remove until it is killed.
        add(&table, &mut random, now - 1);
        let mut process = start(name, &folder, now);
        let most = if role == Role::Insert { 20_000 } else { 3_000 };
        thread::sleep(Duration::from_micros(random.u64(0..most)));
        let signal = [Signal::SIGKILL, Signal::SIGINT][number as usize % 2];
        let pid = Pid::from_raw(process.id().cast_signed());
        kill(pid, signal).expect("it is a child");
        let status = process.wait().expect("it is a child");
        assert_eq!(status.signal(), Some(signal as i32), "it ended by itself");
        wrong.extend(look(&table, now + APART / 2));
    }
    wrong.extend(fill(&table, 1_000 + KILLS * APART));
    assert!(wrong.is_empty(), "{name}: {}", wrong.join(", "));
}

/// What is wrong some seconds after a process has been killed.
fn look(table: &SharedTable, now: u32) -> Option<String> {
    table.sweep(0, u32::MAX, now, |_, _| {});
    for number in 0..RESIDENTS {
        let tuple = tuple(number);
        let found = table.find(table.hash(&tuple), &tuple);
        let found = found.and_then(|handle| handle.entry());
        if found != Some(entry(number, true, u32::MAX)) {
            return Some(format!("resident {number} is {found:?}"));
        }
    }
    for (handle, tuple, entry) in table.iter() {
        let found = table.find(table.hash(&tuple), &tuple);
        if found.map(|found| found.index()) != Some(handle.index()) {
            return Some(format!("{entry:?} is hidden"));
        }
    }
    None
}

/// What is wrong with a table that is filled up at the end.
fn fill(table: &SharedTable, now: u32) -> Option<String> {
    let mut is_held = false;
    for number in 1 << 24..(1 << 24) + 40 * ROOM {
        let stored = insert(table, number, &entry(number, true, u32::MAX), now);
        is_held |= stored == Err(Refusal::Contended);
    }
    if is_held {
        return Some("a lock is held".to_owned());
    }
    let dead = ROOM as usize - table.iter().count();
    (dead != 0).then(|| format!("{dead} slots are dead after {KILLS} kills"))
}

#[test]
fn flushes_are_killed() {
    survives(Role::Flush);
}

#[test]
fn sweeps_are_killed() {
    survives(Role::Sweep);
}

#[test]
fn insertions_are_killed() {
    survives(Role::Insert);
}
