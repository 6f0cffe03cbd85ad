//! The lab itself. Needs root; without it each test says that it was skipped.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::panic;

use anyhow::Result;
use flowkeep_lab::{Background, Host, available, cable, eventually, tunnel, vlan};

/// Two hosts, or `None` if there can be none here.
fn hosts() -> Result<Option<[Host; 2]>> {
    if !available(&["ping"]) {
        return Ok(None);
    }
    Ok(Some([Host::new()?, Host::new()?]))
}

/// Gives both ends an address, and sends a line from one to the other.
fn talk(hosts: &[Host; 2], interfaces: [&str; 2], network: u8) -> Result<()> {
    let [client, server] = hosts;
    for (host, (interface, last)) in hosts.iter().zip(interfaces.iter().zip(1..)) {
        host.address(interface, &format!("192.0.{network}.{last}/24"))?;
        host.address(interface, &format!("2001:db8:{network}::{last}/64"))?;
    }
    for address in [
        format!("192.0.{network}.2"),
        format!("2001:db8:{network}::2"),
    ] {
        let listener = server.enter(|| TcpListener::bind((address.as_str(), 7)))?;
        let mut stream = client.enter(|| TcpStream::connect((address.as_str(), 7)))?;
        stream.write_all(b"hello")?;
        drop(stream);
        let mut heard = String::new();
        listener.accept()?.0.read_to_string(&mut heard)?;
        assert_eq!(heard, "hello");
    }
    client.run("ping", &format!("-c 1 2001:db8:{network}::2"))
}

#[test]
fn a_cable_a_tunnel_and_a_vlan_carry_packets() -> Result<()> {
    let Some(hosts) = hosts()? else {
        return Ok(());
    };
    let [client, server] = &hosts;
    cable(client, "eth0", server, "eth7")?;
    talk(&hosts, ["eth0", "eth7"], 2)?;
    let _tunnel = tunnel(client, "tun0", server, "tun1")?;
    talk(&hosts, ["tun0", "tun1"], 3)?;
    let tagged = [vlan(client, "eth0", 20)?, vlan(server, "eth7", 20)?];
    talk(&hosts, tagged.each_ref().map(flowkeep_lab::Vlan::name), 4)
}

#[test]
fn nothing_is_seen_outside_and_nothing_stays() -> Result<()> {
    let Some([host, _]) = hosts()? else {
        return Ok(());
    };
    let pin = "/sys/fs/bpf/flowkeep_lab_test";
    host.enter(|| fs::create_dir(pin))?;
    assert!(host.enter(|| fs::exists(pin))?);
    assert!(!fs::exists(pin).unwrap_or(false));
    let missing = host.ip("link set nothing0 up");
    assert!(missing.is_err_and(|error| error.to_string().contains("nothing0")));

    let panicked = panic::catch_unwind(|| host.enter(|| panic!("as in a test")));
    assert!(panicked.is_err());
    assert_eq!(host.enter(|| 7), 7, "still there");

    // A relative path is the same on a host.
    let folder = std::env::current_dir()?;
    assert_eq!(host.enter(std::env::current_dir)?, folder);
    let output = host.command("pwd").output()?;
    assert_eq!(
        String::from_utf8_lossy(&output.stdout).trim(),
        folder.to_string_lossy()
    );

    let mut sleeper = Background::start(host.command("sleep").arg("1000"))?;
    let process = format!("/proc/{}", sleeper.child().id());
    assert!(fs::exists(&process)?);
    drop(sleeper);
    let gone = eventually(|| {
        (!fs::exists(&process).unwrap_or(true))
            .then_some(())
            .ok_or(())
    });
    assert!(gone.is_ok());
    Ok(())
}
