//! What is wrong: a sentence says so, and nothing is left behind.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::PathBuf;

use aya::maps::{Array, Map, MapData};
use flowkeep_bpf::abi::{CONFIG_WORDS, VERSION};
use flowkeep_lab::cable;
use nix::sys::signal::Signal;

use crate::lab::{Lab, attached, complaint, end, nothing_is_left, text};

/// Starts a program that is still root's, who may read it, but without capabilities.
const WITHOUT_CAPABILITIES: &str = "setpriv --bounding-set=-all --inh-caps=-all";

/// Starts a program to which the kernel tells that it is of another time: 6.18 is 2.6.78 there.
const OLD: &str = "setarch --uname-2.6";

#[test]
fn without_privileges_a_sentence_says_which() {
    let Some(lab) = Lab::new() else { return };
    let refused = |commands: &[&str], expected: &str| {
        for arguments in commands {
            let mut command = lab.command_by(WITHOUT_CAPABILITIES, arguments);
            let (said, code) = complaint(&mut command);
            assert!(said.starts_with(expected), "{arguments}: {said}");
            assert!(said.contains("; run it as root"), "{arguments}: {said}");
            assert_eq!(code, Some(3), "{arguments}");
        }
    };
    refused(&["run -i eth0", "attach -i eth0"], "no CAP_BPF, ");
    nothing_is_left(&lab);

    // What is there is another user's.
    lab.success("attach -i eth0");
    const NOBODY: u32 = 65_534;
    lab.here.enter(|| {
        let folder = PathBuf::from("/sys/fs/bpf/flowkeep");
        for entry in fs::read_dir(&folder).expect("it is attached") {
            let path = entry.expect("readable").path();
            chown(path, Some(NOBODY), None).expect("root may");
        }
    });
    let commands = [
        "list",
        "stats",
        "watch",
        "flush",
        "set",
        "run -i eth0",
        "attach -i eth0",
    ];
    refused(&commands, "no CAP_BPF, ");
    assert!(attached(&lab) > 0, "nothing of that did any harm");
    lab.success("detach --all");
    nothing_is_left(&lab);
}

/// Nothing of the kernel's own types is needed.
#[test]
fn without_btf_all_works() {
    let Some(lab) = Lab::new() else { return };
    let mount = "-t tmpfs none /sys/kernel/btf";
    // A kernel without them has no such folder.
    if lab
        .here
        .enter(|| fs::exists("/sys/kernel/btf").unwrap_or(false))
    {
        lab.here.run("mount", mount).expect("it can be mounted");
    }
    let said = lab.success("check");
    assert!(
        said.contains("BTF              no   no /sys/kernel/btf/vmlinux"),
        "{said}"
    );
    assert!(
        said.contains("programs         yes  loaded and verified"),
        "{said}"
    );
    lab.success("attach -i eth0");
    lab.ping();
    assert_eq!(lab.pings().len(), 1);
    lab.success("detach --all");
    nothing_is_left(&lab);
}

#[test]
fn an_old_kernel_is_named() {
    let Some(lab) = Lab::new() else { return };
    let output = lab.command_by(OLD, "check").output().expect("setarch runs");
    assert_eq!(output.status.code(), Some(3));
    let said = text(&output.stdout);
    let [kernel, remedy] = [0, 1].map(|line| said.lines().nth(line).unwrap_or_default());
    assert!(
        kernel.starts_with("kernel           no   Linux 2.6."),
        "{said}"
    );
    assert!(kernel.ends_with(" is too old"), "{said}");
    assert_eq!(remedy.trim(), "-> use Linux 5.15 or later");
    // When such a kernel refuses something, that is why: here it does for want of privileges.
    let starter = format!("{OLD} {WITHOUT_CAPABILITIES}");
    for arguments in ["run -i eth0", "attach -i eth0"] {
        let (said, code) = complaint(&mut lab.command_by(&starter, arguments));
        assert!(said.starts_with("Linux 2.6."), "{said}");
        assert!(
            said.ends_with(" is too old; use Linux 5.15 or later"),
            "{said}"
        );
        assert_eq!(code, Some(3));
    }
    nothing_is_left(&lab);
}

#[test]
fn a_missing_interface_is_named() {
    let Some(lab) = Lab::new() else { return };
    for command in ["run", "attach"] {
        for interfaces in ["nothing0", "eth0,nothing0"] {
            let (said, code) = lab.failure(&format!("{command} -i {interfaces}"));
            assert_eq!(
                said,
                "no interface nothing0 here; 'ip link' lists the interfaces"
            );
            assert_eq!(code, Some(1));
        }
        let output = lab.flowkeep(&format!("{command} -i eth0,"));
        assert_eq!(output.status.code(), Some(2), "an interface without a name");
    }
    nothing_is_left(&lab);
}

#[test]
fn a_pinned_table_of_another_version_is_not_touched() {
    let Some(lab) = Lab::new() else { return };
    lab.success("attach -i eth0 --connections 1000");
    assert!(attached(&lab) > 0);
    lab.here.enter(|| {
        let header = "/sys/fs/bpf/flowkeep/HEADER";
        fs::remove_file(header).expect("it is pinned");
        let other: Array<_, u64> = Array::create(1, 0).expect("a map");
        other.pin(header).expect("its place is free");
    });
    for command in ["list", "stats", "run -i eth0", "attach -i eth0"] {
        let (complaint, code) = lab.failure(command);
        assert!(complaint.contains("/flowkeep/HEADER: "), "{complaint}");
        assert!(
            complaint.contains("; remove it with 'flowkeep detach --all'"),
            "{complaint}"
        );
        assert_eq!(code, Some(1), "{command}");
    }
    lab.success("detach --all");
    nothing_is_left(&lab);

    // As a program of another version would have made it: that is the first word.
    lab.success("attach -i eth0 --connections 1000");
    lab.here.enter(|| {
        let config = MapData::from_pin("/sys/fs/bpf/flowkeep/CONFIG").expect("it is pinned");
        let mut config = Map::Array(config);
        let config: Result<Array<_, [u64; CONFIG_WORDS]>, _> = (&mut config).try_into();
        let mut config = config.expect("an array");
        let mut words = config.get(&0, 0).expect("one element");
        assert_eq!(words[0], VERSION);
        words[0] += 1;
        config.set(0, words, 0).expect("it can be written");
    });
    let versions = format!(
        "CONFIG: created by version {} of the programs, but this is version {VERSION}; ",
        VERSION + 1
    );
    for command in ["list", "watch", "flush", "run -i eth0", "attach -i eth0"] {
        let (said, code) = lab.failure(command);
        assert!(said.contains(&versions), "{command}: {said}");
        assert_eq!(code, Some(1), "{command}");
    }
    lab.success("detach --all");
    nothing_is_left(&lab);
}

#[test]
fn where_nothing_can_be_pinned_nothing_is_attached() {
    let Some(lab) = Lab::new() else { return };
    let refused = |what: &str| {
        for command in ["run -i eth0", "attach -i eth0"] {
            let (complaint, code) = lab.failure(command);
            assert!(complaint.contains(what), "{complaint}");
            assert_eq!(code, Some(3), "{command}");
        }
        nothing_is_left(&lab);
    };
    let mount = |arguments| lab.here.run("mount", arguments).expect("it can be mounted");
    mount("-o remount,ro /sys/fs/bpf");
    refused("read-only file system; make it writable with ");
    mount("-t tmpfs none /sys/fs/bpf");
    refused("is not in a BPF file system");
}

#[test]
fn what_can_not_be_unpinned_is_named() {
    let Some(lab) = Lab::new() else { return };
    let running = lab.run("-i eth0");
    let remount = |how| {
        let mount = format!("-o remount,{how} /sys/fs/bpf");
        lab.here.run("mount", &mount).expect("it can be mounted");
    };
    remount("ro");
    running.signal(Signal::SIGINT).expect("it runs");
    let (said, code) = end(running);
    let stays = "flowkeep: /sys/fs/bpf/flowkeep and its pins remain, ";
    assert!(said.starts_with(stays), "{said}");
    assert!(said.contains("Read-only file system"), "{said}");
    assert!(
        said.contains("; remove them with 'flowkeep detach --all'"),
        "{said}"
    );
    assert_eq!((said.lines().count(), code), (1, Some(1)));
    remount("rw");
    lab.success("detach --all");
    nothing_is_left(&lab);
}

/// The kernel would look for it everywhere before it said so.
#[test]
fn without_memory_for_a_table_the_kernel_is_not_asked() {
    let Some(lab) = Lab::new() else { return };
    // As if there were no more: a file of this host alone, in place of the kernel's.
    let name = format!("flowkeep-meminfo-{}", std::process::id());
    let path = std::env::temp_dir().join(name);
    fs::write(&path, "MemTotal: 300000 kB\nMemAvailable: 102400 kB\n").expect("it can be written");
    let mount = format!("--bind {} /proc/meminfo", path.display());
    lab.here.run("mount", &mount).expect("it can be mounted");
    fs::remove_file(&path).expect("it was written");
    for command in ["run", "attach"] {
        let (said, code) = lab.failure(&format!("{command} -i eth0 --connections 1000000"));
        let expected = "no memory for 1,000,000 connections: they need 137.1 MiB, and 100.0 MiB are \
                        available; ask for fewer with --connections";
        assert_eq!(said, expected);
        assert_eq!(code, Some(1));
        nothing_is_left(&lab);
    }
    lab.success("attach -i eth0 --connections 100000");
    // What is there takes no more.
    lab.success("attach -i eth0 --connections 100000");
    lab.success("detach --all");
}

/// A BPF file system is never full, but paths have an end: the first interface's programs can be
/// pinned, and the second one's, whose name is longer, can't.
#[test]
fn what_can_not_all_be_pinned_is_not_pinned_at_all() {
    let Some(lab) = Lab::new() else { return };
    cable(&lab.here, "eth0123456789", &lab.there, "eth1").expect("another cable");
    const LONGEST_PATH: usize = 4095;
    // A filter's pin says which interface it is, too.
    let between = if matches!(flowkeep_bpf::support::tcx(), Ok(true)) {
        "/ingress@eth01234567"
    } else {
        "/ingress-filter-2-4026531840@eth01234567"
    };
    let longest = LONGEST_PATH - between.len();
    let folder = lab.here.enter(|| {
        let mut parent = PathBuf::from("/sys/fs/bpf");
        while parent.as_os_str().len() + 2 * 201 < longest {
            parent.push("d".repeat(200));
            fs::create_dir(&parent).expect("it can be made");
        }
        let left = longest - parent.as_os_str().len() - 1;
        parent.push("e".repeat(left));
        parent
    });
    for interfaces in ["eth0,eth0123456789", "eth0123456789,eth0"] {
        let (said, code) = lab.failure(&format!(
            "attach -i {interfaces} --folder {}",
            folder.display()
        ));
        let refused = "eth0123456789: the kernel refuses to attach the program: File name too long";
        assert!(said.starts_with(refused), "{said}");
        assert_eq!(code, Some(1));
        assert!(!lab.here.enter(|| fs::exists(&folder).unwrap_or(true)));
        nothing_is_left(&lab);
    }
}

/// What others have put into the folder stays as it is.
#[test]
fn what_is_in_the_way_is_left_there() {
    let Some(lab) = Lab::new() else { return };
    let folder = PathBuf::from("/sys/fs/bpf/flowkeep");
    let refused = || {
        for command in ["run -i eth0", "attach -i eth0", "detach --all"] {
            let (said, code) = lab.failure(command);
            assert!(
                said.ends_with("; use another --folder"),
                "{command}: {said}"
            );
            assert_eq!(code, Some(1), "{command}");
        }
        assert_eq!(lab.pins().map(|pins| pins.len()), Some(1), "as it was");
        assert_eq!(attached(&lab), 0);
    };
    lab.here.enter(|| fs::create_dir(&folder)).expect("made");
    // By the names of what is pinned there.
    for name in ["LOST", "egress@eth0"] {
        let path = folder.join(name);
        lab.here.enter(|| fs::create_dir(&path)).expect("made");
        refused();
        lab.here.enter(|| fs::remove_dir(&path)).expect("there");
    }
    let link = folder.join("HEADER");
    lab.here.enter(|| symlink("/", &link)).expect("made");
    refused();
}

/// Another user who made the folder, or may write to it, could replace what is pinned there.
#[test]
fn a_folder_that_others_can_change_is_refused() {
    let Some(lab) = Lab::new() else { return };
    const NOBODY: u32 = 65_534;
    let [top, folder] = ["/sys/fs/bpf/theirs", "/sys/fs/bpf/theirs/flowkeep"].map(PathBuf::from);
    let refused = |commands: &[&str], at: &PathBuf, why: &str| {
        for command in commands {
            let command = format!("{command} --folder {}", folder.display());
            let (said, code) = lab.failure(&command);
            let expected = format!("{}: {why}", at.display());
            assert!(said.starts_with(&expected), "{command}: {said}");
            assert!(
                said.ends_with("; remove it, or use another --folder"),
                "{said}"
            );
            assert_eq!(code, Some(1), "{command}");
        }
        assert_eq!(attached(&lab), 0);
    };
    let all = ["run -i eth0", "attach -i eth0", "detach --all"];
    // There is nothing to detach from a folder that does not exist.
    let start = &all[..2];
    let set = |path: &PathBuf, owner, mode| {
        lab.here.enter(|| {
            chown(path, Some(owner), None).expect("root may");
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("root may");
        });
    };
    lab.here.enter(|| fs::create_dir(&top)).expect("made");
    // The folder above it is somebody else's, or everybody's.
    set(&top, NOBODY, 0o755);
    refused(start, &top, "it belongs to user 65534");
    set(&top, 0, 0o777);
    refused(start, &top, "other users may write to it (mode 0777)");
    // Only the owner of a file can remove it from a sticky folder.
    set(&top, 0, 0o1777);
    lab.here.enter(|| fs::create_dir(&folder)).expect("made");
    for (owner, mode, why) in [
        (NOBODY, 0o700, "it belongs to user 65534"),
        (0, 0o720, "other users may write to it (mode 0720)"),
        (0, 0o1777, "other users may write to it (mode 1777)"),
    ] {
        set(&folder, owner, mode);
        refused(&all, &folder, why);
    }
    // What is pinned there is not looked at either.
    set(&folder, 0, 0o755);
    lab.success(&format!("attach -i eth0 --folder {}", folder.display()));
    lab.here.enter(|| {
        let mode = fs::metadata(&folder)
            .expect("it is there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o7777, 0o700, "nobody else can open it, and lock it");
    });
    set(&folder, NOBODY, 0o700);
    for command in ["list", "stats", "watch", "set", "flush", "delete -p tcp"] {
        let (said, code) = lab.failure(&format!("{command} --folder {}", folder.display()));
        assert!(
            said.contains("it belongs to user 65534"),
            "{command}: {said}"
        );
        assert_eq!(code, Some(1), "{command}");
    }
    set(&folder, 0, 0o700);
    lab.success(&format!("detach --all --folder {}", folder.display()));
    nothing_is_left(&lab);
}

#[test]
fn no_folder_is_made_that_would_stay() {
    let Some(lab) = Lab::new() else { return };
    for command in ["run -i eth0", "attach -i eth0"] {
        let (said, code) = lab.failure(&format!("{command} --folder /sys/fs/bpf/a/b"));
        let refused =
            "/sys/fs/bpf/a/b cannot be created, because the folder above it does not exist; ";
        assert!(said.starts_with(refused), "{said}");
        assert_eq!(code, Some(1));
        assert!(
            !lab.here
                .enter(|| fs::exists("/sys/fs/bpf/a").unwrap_or(true))
        );
    }
    nothing_is_left(&lab);
}

#[test]
fn this_machine_offers_what_the_tests_need() {
    let Some(lab) = Lab::new() else { return };
    let said = lab.success("check");
    for line in [
        "privileges       yes",
        "programs         yes  loaded and verified",
    ] {
        assert!(said.contains(line), "{said}");
    }
}
