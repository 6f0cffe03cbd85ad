//! The examples, run as their users would.

#[path = "../../../examples/data_plane.rs"]
#[allow(dead_code, reason = "its main is not called")]
mod data_plane;
#[cfg(target_os = "linux")]
#[path = "../../../examples/firewall.rs"]
#[allow(dead_code, reason = "its main is not called")]
mod firewall;
#[cfg(target_os = "linux")]
#[path = "../../../examples/tun.rs"]
#[allow(dead_code, reason = "its main is not called")]
mod tun;

use flowkeep::capture::{Frame, Reader};
use flowkeep::connection::Timestamp;
use flowkeep_core::packet::LinkType;
use flowkeep_core::tracker::Status::{Established, Invalid, New, Reply};

use data_plane::{DataPlane, datagram};

#[test]
fn the_data_plane_passes_what_its_rule_admits_and_what_belongs_to_it() {
    const INSIDE: [u8; 4] = [192, 0, 2, 1];
    const OUTSIDE: [u8; 4] = [198, 51, 100, 7];
    let plane = DataPlane::new().expect("memory");
    let judged = |data: &[u8]| {
        plane.forward(&Frame {
            link: LinkType::RawIp,
            time: Timestamp(0),
            wire_length: data.len() as u32,
            data,
        })
    };
    let (question, answer) = (
        datagram((INSIDE, 5000), (OUTSIDE, 53)),
        datagram((OUTSIDE, 53), (INSIDE, 5000)),
    );
    assert_eq!(judged(&answer), (New, false), "nobody has asked");
    assert_eq!(judged(&answer), (New, false), "nothing was stored");
    assert_eq!(judged(&question), (New, true));
    assert_eq!(judged(&question), (Established, true));
    assert_eq!(judged(&answer), (Reply, true));
    assert_eq!(judged(&answer[..20]), (Invalid, false));
    let to_web = datagram((OUTSIDE, 6000), (INSIDE, 443));
    assert_eq!(judged(&to_web), (New, true));
}

#[test]
fn the_data_plane_passes_all_that_a_client_inside_began() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/office.pcap");
    let mut reader = Reader::open(path).expect("the capture");
    let plane = DataPlane::new().expect("memory");
    let (mut passed, mut dropped) = (0, 0);
    while let Some(frame) = reader.next_frame().expect("a capture that can be read") {
        // The rule knows no IPv6 address.
        let mut types = frame
            .data
            .iter()
            .skip(12)
            .step_by(4)
            .zip(frame.data.iter().skip(13).step_by(4));
        let is_ipv6 = types.by_ref().take(2).any(|pair| pair == (&0x86, &0xdd));
        match plane.forward(&frame) {
            (_, true) => passed += 1,
            (status, false) => {
                dropped += 1;
                assert!(is_ipv6 || status != New, "{frame:?}");
            }
        }
    }
    assert!(passed > 300 && dropped > 50, "{passed} and {dropped}");
}

#[cfg(target_os = "linux")]
#[test]
fn the_tun_example_prints_when_connections_begin_and_end() -> anyhow::Result<()> {
    use std::cell::RefCell;
    use std::net::UdpSocket;
    use std::time::{Duration, Instant};

    use flowkeep_core::settings::Settings;
    use flowkeep_lab::{Host, available};

    if !available(&[]) {
        return Ok(());
    }
    let settings = Settings {
        non_tcp: 1,
        ..Settings::default()
    };
    let host = Host::new()?;
    let lines = RefCell::new(Vec::new());
    let failed = |error: Box<dyn std::error::Error>| anyhow::anyhow!("{error}");
    let device = host.enter(|| tun::tun("tun0").map_err(failed))?;
    let [client, server] = host.enter(|| {
        anyhow::Ok([
            UdpSocket::bind("192.0.2.1:5000")?,
            UdpSocket::bind("192.0.2.1:53")?,
        ])
    })?;
    client.send_to(b"question", "192.0.2.2:53")?;
    server.set_nonblocking(true)?;
    let start = Instant::now();
    let print = |what: &str, connection: &flowkeep_core::tuple::Tuple, rest: &str| {
        let (from, to) = (connection.originator(), connection.responder());
        lines
            .borrow_mut()
            .push(format!("{what} {from} > {to}{rest}"));
    };
    let ends = || {
        let mut buffer = [0; 64];
        if let Ok((_, from)) = server.recv_from(&mut buffer) {
            server.send_to(b"the answer", from).expect("sent");
        }
        let ended = lines.borrow().iter().filter(|line| is_end(line)).count();
        ended == 2 || start.elapsed() > Duration::from_secs(20)
    };
    tun::run(device, &settings, print, ends).map_err(failed)?;
    let mut lines = lines.into_inner();
    lines.retain(|line| !line.contains('['));
    lines.sort_unstable();
    let expected = [
        "begin 192.0.2.1:5000 > 192.0.2.2:53",
        "begin 192.0.2.2:5000 > 192.0.2.1:53",
        "end 192.0.2.1:5000 > 192.0.2.2:53 sent 36 received 38",
        "end 192.0.2.2:5000 > 192.0.2.1:53 sent 36 received 38",
    ];
    assert_eq!(lines, expected);
    Ok(())
}

/// Of IPv4: the kernel sends IPv6 of its own.
#[cfg(target_os = "linux")]
fn is_end(line: &str) -> bool {
    line.starts_with("end") && !line.contains('[')
}

#[cfg(target_os = "linux")]
#[test]
fn the_firewall_example_admits_ssh_and_what_belongs_to_the_hosts_own_connections()
-> anyhow::Result<()> {
    use std::io::{Read as _, Write as _};
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::time::Duration;

    use flowkeep_lab::{Host, available, cable};

    if !available(&[]) {
        return Ok(());
    }
    let (outside, protected) = (Host::new()?, Host::new()?);
    cable(&outside, "eth0", &protected, "eth0")?;
    outside.ip("address add 192.0.2.1/24 dev eth0")?;
    protected.ip("address add 192.0.2.2/24 dev eth0")?;
    let kernel = protected.enter(|| firewall::protect("eth0"))?;
    let listen = |host: &Host, address: &str| host.enter(|| TcpListener::bind(address));
    let connect = |host: &Host, address: &str| {
        let address: SocketAddr = address.parse().expect("an address");
        host.enter(|| TcpStream::connect_timeout(&address, Duration::from_secs(2)))
    };
    let exchange = |mut client: TcpStream, server: &TcpListener| -> anyhow::Result<()> {
        let (mut accepted, _) = server.accept()?;
        client.write_all(b"question")?;
        accepted.read_exact(&mut [0; 8])?;
        accepted.write_all(b"answer")?;
        client.read_exact(&mut [0; 6])?;
        Ok(())
    };
    let ssh = listen(&protected, "192.0.2.2:22")?;
    exchange(connect(&outside, "192.0.2.2:22")?, &ssh)?;
    let web = listen(&outside, "192.0.2.1:80")?;
    exchange(connect(&protected, "192.0.2.1:80")?, &web)?;
    let _secret = listen(&protected, "192.0.2.2:8080")?;
    assert!(connect(&outside, "192.0.2.2:8080").is_err(), "dropped");
    let entries = kernel.table().iter();
    let mut responders: Vec<_> = entries
        .map(|(_, tuple, _)| tuple.responder().to_string())
        .filter(|responder| !responder.starts_with('['))
        .collect();
    responders.sort_unstable();
    assert_eq!(responders, ["192.0.2.1:80", "192.0.2.2:22"]);
    Ok(())
}
