//! Attaching, pinning and finding again, on a device of a network namespace of our own.
//!
//! Needs CAP_BPF, CAP_NET_ADMIN and CAP_SYS_ADMIN; without them the test says that it was skipped.

use std::fs;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use aya::maps::{Map, MapData, RingBuf};
use flowkeep_bpf::{Clock, Device, Error, Hook, Kernel, Means, Options, detach_abandoned};
use flowkeep_core::settings::Settings;
use flowkeep_core::table::{Memory, Seed};
use flowkeep_lab::{Missing, available, can_pin, eventually, skip};
use flowkeep_memory::Words;
use nix::net::if_::if_nametoindex;

/// A folder of the BPF file system, removed with what is in it.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = Kernel::unpin(&self.0);
    }
}

/// A folder for pins, and a tun device in a namespace that only this thread is in; nothing if this
/// machine does not allow it.
fn place(name: &str) -> Option<Folder> {
    if !available(&["tc", "ping"]) || !can_pin() {
        return None;
    }
    let folder = Folder(PathBuf::from(format!(
        "/sys/fs/bpf/flowkeep_{name}_{}",
        std::process::id()
    )));
    fs::create_dir(&folder.0).expect("a new folder");
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).expect("a network namespace");
    assert!(ip("tuntap add dev keep0 mode tun") && ip("link set lo up"));
    Some(folder)
}

/// Whether the kernel has links, which have an owner as filters do not.
fn has_tcx() -> bool {
    let has_tcx = matches!(flowkeep_bpf::support::tcx(), Ok(true));
    if !has_tcx {
        skip(&Missing::new("no tcx", "install Linux 6.6 or later"));
    }
    has_tcx
}

fn ip(arguments: &str) -> bool {
    Command::new("ip")
        .args(arguments.split(' '))
        .status()
        .is_ok_and(|status| status.success())
}

fn options(buckets: u32, pin: Option<PathBuf>) -> Options {
    let seed = Seed::from_u64(u64::from(buckets));
    let mut options = Options::new(Settings::default(), buckets, seed);
    options.pin = pin;
    options
}

#[test]
fn a_ping_on_the_loopback_device_is_tracked_and_found_again_after_a_restart() {
    let Some(folder) = place("restart") else {
        return;
    };
    let load = |buckets| Kernel::load(&options(buckets, Some(folder.0.clone())));
    let mut kernel = load(10).unwrap_or_else(|error| panic!("{error}"));
    kernel
        .attach("lo", Hook::Ingress, true)
        .unwrap_or_else(|error| panic!("{error}"));
    let ping = || Command::new("ping").args(["-c", "1", "127.0.0.1"]).output();
    assert!(ping().is_ok_and(|output| output.status.success()));
    assert_eq!(
        kernel.table().iter().count(),
        2,
        "request and reply, both coming in"
    );
    let seed = *kernel.table().memory().seed();
    drop(kernel);

    assert!(ping().is_ok_and(|output| output.status.success()));
    let kernel = load(99).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(
        kernel.table().memory().buckets(),
        10,
        "the pinned table's own size"
    );
    assert_eq!(*kernel.table().memory().seed(), seed);
    assert!(
        kernel.table().iter().count() > 2,
        "tracked while nobody was there"
    );
}

#[test]
fn a_pinned_table_is_opened_watched_and_detached() {
    let Some(folder) = place("opened") else {
        return;
    };
    assert!(matches!(Kernel::open(&folder.0), Err(Error::NotPinned(_))));
    let mut options = options(3, Some(folder.0.clone()));
    options.settings.tcp = 1234;
    let mut kernel = Kernel::load(&options).unwrap_or_else(|error| panic!("{error}"));
    kernel
        .attach("lo", Hook::Ingress, true)
        .unwrap_or_else(|error| panic!("{error}"));
    kernel
        .attach("keep0", Hook::Forward, false)
        .unwrap_or_else(|error| panic!("{error}"));
    let attached = |kernel: &Kernel| {
        let attached = kernel.attached().unwrap_or_else(|error| panic!("{error}"));
        let mut names: Vec<_> = attached
            .into_iter()
            .map(|attached| (attached.interface, attached.hook))
            .collect();
        names.sort();
        names
    };
    let both = [
        ("keep0".to_owned(), Hook::Forward),
        ("lo".to_owned(), Hook::Ingress),
    ];
    assert_eq!(attached(&kernel), both);

    let mut other = Kernel::open(&folder.0).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(attached(&other), both);
    assert_eq!(other.settings().tcp, 1234);
    other.configure(&Settings {
        tcp: 4321,
        ..other.settings()
    });
    assert_eq!(kernel.settings().tcp, 4321);
    let events = other.events().unwrap_or_else(|error| panic!("{error}"));
    assert!(kernel.watched() > Clock::now().ticks());
    assert!(matches!(kernel.events(), Err(Error::Watched)));
    assert!(matches!(kernel.unwatched(), Ok(None)));
    drop(events);
    assert_eq!(kernel.watched(), 0);
    let unwatched = kernel.unwatched();
    assert!(matches!(unwatched, Ok(Some(_))));
    assert!(matches!(other.events(), Err(Error::Watched)));
    drop(unwatched);
    assert!(kernel.events().is_ok());

    // A link goes a moment after the last one who had it: its pin, or another test's process that
    // is just beginning, and still has what this one has.
    let settles = |kernel: &Kernel, expected: &[_]| {
        let left = eventually(|| match attached(kernel) {
            found if found == expected => Ok(()),
            found => Err(found),
        });
        assert_eq!(left, Ok(()));
    };
    drop(kernel);
    settles(&other, &both[1..]);
    assert_eq!(other.is_running().ok(), Some(true));
    assert_eq!(other.detach("keep0").ok(), Some(false));
    assert_eq!(other.detach("lo").ok(), Some(true));
    settles(&other, &[]);
}

/// While one changes a setting, another one changes another.
#[test]
fn settings_that_are_changed_at_the_same_time_are_all_changed() {
    let Some(folder) = place("settings") else {
        return;
    };
    let one = Kernel::load(&options(1, Some(folder.0.clone())));
    let one = one.unwrap_or_else(|error| panic!("{error}"));
    let other = Kernel::open(&folder.0).unwrap_or_else(|error| panic!("{error}"));
    thread::scope(|scope| {
        let (sender, changed) = mpsc::channel();
        let changing = one.change(|settings| {
            scope.spawn(move || {
                let settings = other.change(|settings| settings.syn = 22);
                sender.send(settings.map_err(|error| error.to_string()))
            });
            // Long enough for one that does not wait.
            let early = changed.recv_timeout(Duration::from_millis(300));
            assert!(early.is_err(), "it does not wait: {early:?}");
            settings.tcp = 11;
        });
        assert_eq!(changing.ok().map(|settings| settings.tcp), Some(11));
        let settings = changed.recv().expect("it says how it went");
        assert_eq!(settings.map(|now| (now.tcp, now.syn)), Ok((11, 22)));
    });
    let found = one.settings();
    assert_eq!((found.tcp, found.syn), (11, 22));
    // A loader goes on with them.
    let again = Kernel::load(&options(1, Some(folder.0.clone())));
    assert_eq!(again.ok().map(|again| again.settings()), Some(found));
}

#[test]
fn devices_and_what_is_refused() {
    let Some(folder) = place("devices") else {
        return;
    };
    assert_eq!(Device::of("lo").ok(), Some(Device::Ethernet));
    assert_eq!(Device::of("keep0").ok(), Some(Device::Ip));
    let mut kernel = Kernel::load(&options(1, None)).unwrap_or_else(|error| panic!("{error}"));
    for hook in [Hook::Ingress, Hook::Egress] {
        kernel
            .attach("keep0", hook, false)
            .unwrap_or_else(|error| panic!("{error}"));
    }
    let missing = kernel.attach("nothing0", Hook::Egress, false);
    assert!(matches!(missing, Err(Error::Interface { .. })));
    assert!(matches!(
        Kernel::load(&options(0, None)),
        Err(Error::Size(0))
    ));

    // A header that is pinned without the rest of its table.
    let pinned = options(5, Some(folder.0.clone()));
    drop(Kernel::load(&pinned).unwrap_or_else(|error| panic!("{error}")));
    fs::remove_file(folder.0.join("RECORDS")).expect("it was pinned");
    assert!(matches!(Kernel::load(&pinned), Err(Error::Pinned { .. })));
}

/// The filters on one side of an interface, as `tc` shows them.
fn filters(interface: &str, side: &str) -> String {
    let output = Command::new("tc")
        .args(["filter", "show", "dev", interface, side])
        .output()
        .unwrap_or_else(|error| panic!("{error}"));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn filters_of_a_process_that_was_killed_are_taken_away() {
    let Some(folder) = place("killed") else {
        return;
    };
    let mut filter_options = options(1, None);
    filter_options.means = Some(Means::Clsact);
    let mut kernel = Kernel::load(&filter_options).unwrap_or_else(|error| panic!("{error}"));
    kernel
        .attach("lo", Hook::Egress, false)
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(detach_abandoned().ok(), Some(vec![]), "whose process lives");
    assert_ne!(filters("lo", "egress"), "");

    // As such a process leaves it.
    let pin = folder.0.join("program");
    let program = kernel
        .program(Hook::Ingress, Device::Ip)
        .unwrap_or_else(|error| panic!("{error}"));
    program.pin(&pin).unwrap_or_else(|error| panic!("{error}"));
    let add = format!(
        "filter add dev keep0 ingress pref {} handle 1 bpf direct-action object-pinned {}",
        0xf10b,
        pin.display()
    );
    for arguments in ["qdisc add dev keep0 clsact", &add] {
        let mut tc = Command::new("tc");
        let status = tc.args(arguments.split(' ')).status();
        assert!(status.is_ok_and(|status| status.success()), "{arguments}");
    }
    assert_ne!(filters("keep0", "ingress"), "");
    let names = detach_abandoned().ok();
    assert_eq!(names, Some(vec!["keep0".to_owned()]));
    assert_eq!(filters("keep0", "ingress"), "");
    assert_ne!(filters("lo", "egress"), "", "whose process lives");
}

/// A name is free for every user: one who takes it must not be able to keep Flowkeep away unseen.
#[test]
fn a_name_that_another_user_has_is_named() {
    let Some(_folder) = place("squatted") else {
        return;
    };
    let index = if_nametoindex("lo").expect("it is there");
    let name = SocketAddr::from_abstract_name(format!("flowkeep/filter/{index}/egress"));
    let name = name.expect("a name");
    let squatter = thread::spawn(move || {
        // SAFETY: it changes this thread's user, and touches no memory.
        let done = unsafe { libc::syscall(libc::SYS_setresuid, 65_534, 65_534, 65_534) };
        assert_eq!(done, 0, "root may");
        UnixListener::bind_addr(&name).expect("it is free")
    });
    let squatter = squatter.join().expect("no panic");
    let mut filter_options = options(1, None);
    filter_options.means = Some(Means::Clsact);
    let mut kernel = Kernel::load(&filter_options).unwrap_or_else(|error| panic!("{error}"));
    let refused = kernel.attach("lo", Hook::Egress, false);
    let refused = refused.expect_err("the name is taken").to_string();
    let expected = format!(
        "lo: process {} of user 65534 has the name ",
        std::process::id()
    );
    assert!(refused.starts_with(&expected), "{refused}");
    drop(squatter);
    let attached = kernel.attach("lo", Hook::Egress, false);
    assert!(attached.is_ok(), "{attached:?}");
    // Another Flowkeep is told from that.
    let mut other = Kernel::load(&filter_options).unwrap_or_else(|error| panic!("{error}"));
    let refused = other.attach("lo", Hook::Egress, false);
    assert!(
        matches!(refused, Err(Error::Attached { .. })),
        "{refused:?}"
    );
}

/// The lease of a reader that was killed runs out.
#[test]
fn nothing_is_sent_to_a_reader_that_was_killed() {
    let Some(folder) = place("lease") else {
        return;
    };
    let mut kernel = Kernel::load(&options(10, Some(folder.0.clone())))
        .unwrap_or_else(|error| panic!("{error}"));
    kernel
        .attach("lo", Hook::Ingress, false)
        .unwrap_or_else(|error| panic!("{error}"));
    let map = |name| MapData::from_pin(folder.0.join(name)).expect("it is pinned");
    let word = std::mem::offset_of!(flowkeep_bpf::abi::Config, watched) / 8;
    let config = map("CONFIG");
    let config = Words::shared(config.fd(), 8 * (word + 1)).expect("it can be mapped");
    let mut ring = RingBuf::try_from(Map::RingBuf(map("EVENTS"))).expect("a ring buffer");
    let mut sent = |until: u64| {
        config[word].store(until, Relaxed);
        let ping = Command::new("ping").args(["-c", "1", "127.0.0.1"]).output();
        assert!(ping.is_ok_and(|output| output.status.success()));
        std::iter::from_fn(|| ring.next().map(drop)).count()
    };
    let now = Clock::now().ticks();
    assert_ne!(sent(now + 60_000_000_000), 0, "somebody reads");
    assert_eq!(sent(now - 1), 0, "nobody has for a moment");
    assert_eq!(sent(1), 0, "nobody has since the machine was started");
    assert_eq!(sent(0), 0, "nobody ever has");
}

#[test]
fn pinned_filters_go_with_their_folder_whatever_else_is_in_it() {
    let Some(folder) = place("filters") else {
        return;
    };
    let mut filter_options = options(1, Some(folder.0.clone()));
    filter_options.means = Some(Means::Clsact);
    let mut kernel = Kernel::load(&filter_options).unwrap_or_else(|error| panic!("{error}"));
    kernel
        .attach("keep0", Hook::Forward, true)
        .unwrap_or_else(|error| panic!("{error}"));
    drop(kernel);
    assert_ne!(filters("keep0", "ingress"), "");
    let attached = flowkeep_bpf::pinned(&folder.0).unwrap_or_else(|error| panic!("{error}"));
    let [only] = attached.as_slice() else {
        panic!("one program: {attached:?}");
    };
    assert_eq!(
        (only.interface.as_str(), only.hook),
        ("keep0", Hook::Forward)
    );
    // Without it there is no table.
    fs::remove_file(folder.0.join("HEADER")).expect("it was pinned");
    Kernel::unpin(&folder.0).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(filters("keep0", "ingress"), "");
    assert!(!folder.0.exists());
}

#[test]
fn pinned_filters_are_found_whatever_their_interface_is_called() {
    let Some(folder) = place("renamed") else {
        return;
    };
    let load = || {
        let mut filter_options = options(1, Some(folder.0.clone()));
        filter_options.means = Some(Means::Clsact);
        Kernel::load(&filter_options).unwrap_or_else(|error| panic!("{error}"))
    };
    let attach = |interface| {
        let attached = load().attach(interface, Hook::Forward, true);
        attached.unwrap_or_else(|error| panic!("{error}"));
    };
    let pinned = || {
        let pinned = flowkeep_bpf::pinned(&folder.0).unwrap_or_else(|error| panic!("{error}"));
        let names = pinned.into_iter().map(|attached| attached.interface);
        names.collect::<Vec<_>>()
    };
    attach("keep0");
    assert!(ip("link set dev keep0 name kept0"));
    assert_eq!(pinned(), ["kept0"]);
    // Attached anew, in the same place; and another one that has its name.
    attach("kept0");
    assert!(ip("tuntap add dev keep0 mode tun"));
    attach("keep0");
    let mut names = pinned();
    names.sort();
    assert_eq!(names, ["keep0", "kept0"]);
    assert!(ip("link set dev kept0 name keep2"));
    assert_eq!(load().detach("keep2").ok(), Some(true));
    assert_eq!(filters("keep2", "ingress"), "");
    assert_ne!(filters("keep0", "ingress"), "", "that of the other one");

    // In another namespace an interface of the same name is another one.
    let here = fs::File::open("/proc/thread-self/ns/net").expect("this thread's namespace");
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).expect("as before");
    let refused = load().detach("keep0");
    let refused = refused.expect_err("it is not here").to_string();
    assert!(
        refused.contains(" in another network namespace"),
        "{refused}"
    );
    assert!(load().attached().is_ok_and(|found| found.is_empty()));
    nix::sched::setns(here, nix::sched::CloneFlags::CLONE_NEWNET).expect("where it was");
    // Its interface goes, and another one of its name comes.
    assert!(ip("link delete keep0") && ip("tuntap add dev keep0 mode tun"));
    attach("keep0");
    assert_eq!(pinned(), ["keep0"]);
    assert_eq!(load().detach("keep0").ok(), Some(true));
    assert_eq!(filters("keep0", "ingress"), "");
    assert!(pinned().is_empty());
}

#[test]
fn what_a_loader_that_was_killed_has_pinned_is_not_taken() {
    let Some(folder) = place("half") else {
        return;
    };
    let load = |buckets| Kernel::load(&options(buckets, Some(folder.0.clone())));
    drop(load(3).unwrap_or_else(|error| panic!("{error}")));
    fs::remove_file(folder.0.join("HEADER")).expect("it was pinned");
    let kernel = load(7).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(kernel.table().memory().buckets(), 7);
    drop(kernel);
    let kernel = Kernel::open(&folder.0).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(kernel.table().memory().buckets(), 7);
}

#[test]
fn a_pin_of_another_namespace_is_left_alone_and_one_of_nothing_is_not() {
    let Some(folder) = place("elsewhere") else {
        return;
    };
    if !has_tcx() {
        return;
    }
    let load = || {
        Kernel::load(&options(1, Some(folder.0.clone()))).unwrap_or_else(|error| panic!("{error}"))
    };
    let mut kernel = load();
    for interface in ["lo", "keep0"] {
        kernel
            .attach(interface, Hook::Forward, true)
            .unwrap_or_else(|error| panic!("{error}"));
    }
    drop(kernel);
    let pin = folder.0.join("forward@lo");
    assert!(pin.exists());
    // Its interface goes, and another comes.
    assert!(ip("link delete keep0") && ip("tuntap add dev keep0 mode tun"));
    let again = load().attach("keep0", Hook::Forward, true);
    assert!(again.is_ok(), "{again:?}");

    let here = fs::File::open("/proc/thread-self/ns/net").expect("this thread's namespace");
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).expect("as before");
    let refused = load().attach("lo", Hook::Forward, true);
    assert!(
        matches!(refused, Err(Error::Elsewhere { .. })),
        "{refused:?}"
    );
    nix::sched::setns(here, nix::sched::CloneFlags::CLONE_NEWNET).expect("where it was");
    let mut attached = load().attached().unwrap_or_else(|error| panic!("{error}"));
    attached.sort_by(|one, other| one.interface.cmp(&other.interface));
    let names: Vec<_> = attached.iter().map(|found| &*found.interface).collect();
    assert_eq!(names, ["keep0", "lo"]);
}

/// A pin's place is taken, so that the last step of attaching fails.
#[test]
fn what_can_not_be_pinned_is_not_attached() {
    let Some(folder) = place("taken") else {
        return;
    };
    let index = if_nametoindex("keep0").expect("it is there");
    let namespace = fs::metadata("/proc/thread-self/ns/net").expect("Linux has it");
    let filter = format!("ingress-filter-{index}-{}@keep0", namespace.ino());
    for (means, name) in [
        (Means::Clsact, filter),
        (Means::Tcx, "ingress@keep0".to_owned()),
    ] {
        if means == Means::Tcx && !has_tcx() {
            continue;
        }
        let mut taken_options = options(1, Some(folder.0.clone()));
        taken_options.means = Some(means);
        let mut kernel = Kernel::load(&taken_options).unwrap_or_else(|error| panic!("{error}"));
        let taken = folder.0.join(name);
        std::os::unix::fs::symlink("nowhere", &taken).expect("the place is free");
        let refused = kernel.attach("keep0", Hook::Ingress, true);
        let refused = refused.err().map(|error| error.to_string());
        let reason = "keep0: the kernel refuses to attach the program: File exists (os error 17)";
        assert_eq!(refused.as_deref(), Some(reason), "{means:?}");
        fs::remove_file(&taken).expect("it is still there");
        assert_eq!(filters("keep0", "ingress"), "", "{means:?}");
        let left = eventually(|| match kernel.attached() {
            Ok(left) if left.is_empty() => Ok(()),
            left => Err(left),
        });
        assert!(left.is_ok(), "{means:?}: {left:?}");
    }
}

/// On kernels without links: there is one filter, and who has it is told of to others.
#[test]
fn of_two_with_filters_one_is_attached() {
    let Some(_folder) = place("two") else {
        return;
    };
    let mut filter_options = options(1, None);
    filter_options.means = Some(Means::Clsact);
    let load = || Kernel::load(&filter_options).unwrap_or_else(|error| panic!("{error}"));
    let (mut one, mut other) = (load(), load());
    one.attach("lo", Hook::Ingress, false)
        .unwrap_or_else(|error| panic!("{error}"));
    let refused = other.attach("lo", Hook::Ingress, false);
    assert!(
        matches!(refused, Err(Error::Attached { .. })),
        "{refused:?}"
    );
    assert_ne!(filters("lo", "ingress"), "", "that of the first");
    drop(one);
    assert_eq!(filters("lo", "ingress"), "");
    // The name, too, is free again once no process that was just beginning has it.
    let attached = eventually(|| other.attach("lo", Hook::Ingress, false));
    assert!(attached.is_ok(), "{attached:?}");
}
