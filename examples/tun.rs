//! Tracks the connections over a tun device, and prints when each begins and ends (Linux, as root):
//!
//! ```sh
//! sudo -E cargo run --example tun        # and in another terminal: ping 192.0.2.2
//! ```
//!
//! Behind the device is a mirror: packets come back with their addresses exchanged, so that this host
//! itself answers as 192.0.2.2, by connections that come back from there.
use std::error::Error;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use flowkeep::memory::{Region, random_seed};
use flowkeep_core::packet::{FromWire, LinkType, NoFragments};
use flowkeep_core::rules;
use flowkeep_core::settings::Settings;
use flowkeep_core::table::{BucketTable, EntryHandle as _};
use flowkeep_core::tracker::{self, Change, Context, Direction, Tracker};
use flowkeep_core::tuple::Tuple;

/// Tracks what goes through the device, until `ends` says so.
pub(crate) fn run(
    mut device: File,
    settings: &Settings,
    mut print: impl FnMut(&str, &Tuple, &str),
    ends: impl Fn() -> bool,
) -> Result<(), Box<dyn Error>> {
    let memory = Region::<false>::anonymous(1024, 1_000_000_000, &random_seed())?;
    let table = BucketTable::new(memory);
    let tracker: Tracker<'_, rules::Default, _> = Tracker::new(settings, &table);
    let start = Instant::now();
    let mut buffer = [0; 1 << 16];
    while !ends() {
        let now = tracker::Instant::from(start.elapsed());
        let length = match device.read(&mut buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                table.sweep(0, u32::MAX, now.seconds, |tuple, entry| {
                    let (sent, received) = (entry.tx.bytes, entry.rx.bytes);
                    print("end", tuple, &format!(" sent {sent} received {received}"));
                });
                sleep(Duration::from_millis(10));
                continue;
            }
            length => length?,
        };
        let packet = &mut buffer[..length];
        let context = Context::new(LinkType::RawIp, Direction::Forwarded, length as u32, now);
        for reflect in [false, true] {
            if reflect {
                let is_ipv4 = packet.first().is_some_and(|first| first >> 4 == 4);
                let (at, half) = if is_ipv4 { (12, 4) } else { (8, 16) };
                let addresses = packet.get_mut(at..at + 2 * half).unwrap_or_default();
                addresses.rotate_left(half.min(addresses.len()));
            }
            let verdict = tracker.track(&FromWire(packet), &context, &mut NoFragments);
            if verdict.change.is_some_and(Change::begins)
                && let Some(tuple) = verdict.handle.and_then(|handle| handle.tuple())
            {
                print("begin", &tuple, "");
            }
        }
        device.write_all(packet)?;
    }
    Ok(())
}

/// Creates a tun device, whose reads do not block, and routes 192.0.2.0/24 to it.
pub(crate) fn tun(name: &str) -> Result<File, Box<dyn Error>> {
    let mut options = OpenOptions::new();
    options.custom_flags(libc::O_NONBLOCK).read(true);
    let device = options.write(true).open("/dev/net/tun")?;
    // A `struct ifreq`: the name, and from byte 16 on the flags.
    let mut request = [0_u8; size_of::<libc::ifreq>()];
    request[..name.len()].copy_from_slice(name.as_bytes());
    request[16..20].copy_from_slice(&(libc::IFF_TUN | libc::IFF_NO_PI).to_ne_bytes());
    // SAFETY: the kernel reads and writes a request that is valid until it returns.
    if unsafe { libc::ioctl(device.as_raw_fd(), libc::TUNSETIFF, &raw mut request) } < 0 {
        return Err(io::Error::last_os_error().into());
    }
    let up = format!("ip address add 192.0.2.1/24 dev {name} && ip link set {name} up");
    let status = Command::new("sh").args(["-c", &up]).status()?;
    status
        .success()
        .then_some(device)
        .ok_or_else(|| "no ip".into())
}

fn main() -> Result<(), Box<dyn Error>> {
    let print = |what: &str, connection: &Tuple, rest: &str| {
        let (from, to) = (connection.originator(), connection.responder());
        println!("{what} {from} > {to}{rest}");
    };
    run(tun("flowkeep0")?, &Settings::default(), print, || false)
}
