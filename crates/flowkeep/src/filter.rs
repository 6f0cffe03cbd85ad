//! Filters for connections.

use core::net::SocketAddr;
use core::ops::RangeInclusive;

use crate::connection::{Connection, ConnectionState};
use crate::prefix::Prefix;
use crate::protocol::Protocol;

/// Conditions on a connection. Each list that is not empty must have a value that matches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Its protocol.
    pub protocols: Vec<Protocol>,
    /// The address of either side.
    pub addresses: Vec<Prefix>,
    /// The port of either side. A connection without ports does not match.
    pub ports: Vec<RangeInclusive<u16>>,
    /// Its state.
    pub states: Vec<ConnectionState>,
}

impl Filter {
    /// Whether a connection matches all conditions.
    #[must_use]
    pub fn matches(&self, connection: &Connection) -> bool {
        let ends = [connection.originator, connection.responder];
        self.matches_state(connection.state) && self.matches_ends(connection.protocol, ends)
    }

    /// Whether there is no condition.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a state matches its condition.
    pub(crate) fn matches_state(&self, state: ConnectionState) -> bool {
        self.states.is_empty() || self.states.contains(&state)
    }

    /// Whether a protocol and both ends match their conditions.
    pub(crate) fn matches_ends(&self, protocol: u8, ends: [SocketAddr; 2]) -> bool {
        let protocol = Protocol(protocol);
        (self.protocols.is_empty() || self.protocols.contains(&protocol))
            && (self.addresses.is_empty()
                || ends.iter().any(|end| {
                    self.addresses
                        .iter()
                        .any(|prefix| prefix.contains(end.ip()))
                }))
            && (self.ports.is_empty()
                || protocol.has_ports()
                    && ends
                        .iter()
                        .any(|end| self.ports.iter().any(|range| range.contains(&end.port()))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::sample;

    fn passes(filter: &Filter) -> bool {
        // tcp 192.0.2.1:40000 to 198.51.100.2:443, answered
        filter.matches(&sample())
    }

    #[test]
    fn each_list_is_a_condition_on_either_side() {
        assert!(passes(&Filter::default()));
        for (matches, protocol) in [(true, Protocol::TCP), (false, Protocol::UDP)] {
            let filter = Filter {
                protocols: vec![Protocol::ICMP, protocol],
                ..Filter::default()
            };
            assert_eq!(passes(&filter), matches);
        }
        for (matches, prefix) in [
            (true, "192.0.2.0/24"),
            (true, "198.51.100.2"),
            (false, "192.0.2.2"),
        ] {
            let filter = Filter {
                addresses: vec![prefix.parse().expect("a prefix")],
                ..Filter::default()
            };
            assert_eq!(passes(&filter), matches, "{prefix}");
        }
        for (matches, range) in [(true, 443..=443), (true, 39_999..=40_001), (false, 1..=442)] {
            let filter = Filter {
                ports: vec![range],
                ..Filter::default()
            };
            assert_eq!(passes(&filter), matches);
        }
        for (matches, state) in [
            (true, ConnectionState::Answered),
            (false, ConnectionState::Closed),
        ] {
            let filter = Filter {
                states: vec![state],
                ..Filter::default()
            };
            assert_eq!(passes(&filter), matches);
        }
    }

    #[test]
    fn all_conditions_must_be_met() {
        let filter = Filter {
            protocols: vec![Protocol::TCP],
            states: vec![ConnectionState::Closed],
            ..Filter::default()
        };
        assert!(!passes(&filter));
    }

    #[test]
    fn an_echo_identifier_is_not_a_port() {
        let mut echo = sample();
        echo.protocol = 1;
        let filter = Filter {
            ports: vec![0..=u16::MAX],
            ..Filter::default()
        };
        assert!(!filter.matches(&echo));
    }
}
