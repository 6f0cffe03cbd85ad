//! Loads the tc programs of `examples/firewall`, which track connections by Flowkeep and drop what
//! begins none that they admit, and attaches them to an interface (Linux, as root):
//!
//! ```sh
//! sudo -E cargo run --example firewall -- eth0
//! ```
use std::error::Error;
use std::{env, io};

use flowkeep::memory::random_seed;
use flowkeep_bpf::{Hook, Kernel, Options};
use flowkeep_core::settings::Settings;

/// Protects the host on an interface until the result is dropped.
pub(crate) fn protect(interface: &str) -> Result<Kernel, flowkeep_bpf::Error> {
    let mut options = Options::new(Settings::default(), 1024, random_seed());
    options.object = Some(include_bytes!("firewall/firewall.o"));
    let mut kernel = Kernel::load(&options)?;
    for hook in [Hook::Egress, Hook::Ingress] {
        kernel.attach(interface, hook, false)?;
    }
    Ok(kernel)
}

fn main() -> Result<(), Box<dyn Error>> {
    let interface = env::args().nth(1).ok_or("name an interface")?;
    let kernel = protect(&interface)?;
    println!("{interface} is protected; press Enter to end");
    io::stdin().read_line(&mut String::new())?;
    for (_, tuple, entry) in kernel.table().iter() {
        let (from, to) = (tuple.originator(), tuple.responder());
        println!("{from} > {to}: {} bytes", entry.tx.bytes + entry.rx.bytes);
    }
    Ok(())
}
