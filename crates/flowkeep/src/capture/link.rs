//! Link types as numbers in capture files (the tcpdump group's LINKTYPE registry).

use flowkeep_core::packet::LinkType;

/// The link type for a number in a capture file; `None` if it is not supported.
///
/// 12 and 14 are `DLT_RAW` of some systems. Files that were written without the registry have them
/// instead of 101.
pub(super) const fn link_type(number: u32) -> Option<LinkType> {
    Some(match number {
        0 | 108 => LinkType::BsdLoopback,
        1 => LinkType::Ethernet,
        9 | 50 => LinkType::Ppp,
        10 => LinkType::Fddi,
        105 => LinkType::Ieee80211,
        127 => LinkType::Radiotap,
        12 | 14 | 101 | 228 | 229 => LinkType::RawIp,
        113 => LinkType::LinuxSll,
        239 => LinkType::Nflog,
        276 => LinkType::LinuxSll2,
        _ => return None,
    })
}

/// The registry's name for a link type that captures of IP networks may have.
pub(super) fn link_type_name(number: u32) -> Option<&'static str> {
    NAMES
        .iter()
        .find(|(known, _)| *known == number)
        .map(|(_, name)| *name)
}

const NAMES: &[(u32, &str)] = &[
    (0, "NULL"),
    (1, "ETHERNET"),
    (3, "AX25"),
    (6, "IEEE802_5"),
    (7, "ARCNET_BSD"),
    (8, "SLIP"),
    (9, "PPP"),
    (10, "FDDI"),
    (50, "PPP_HDLC"),
    (51, "PPP_ETHER"),
    (100, "ATM_RFC1483"),
    (101, "RAW"),
    (104, "C_HDLC"),
    (105, "IEEE802_11"),
    (107, "FRELAY"),
    (108, "LOOP"),
    (113, "LINUX_SLL"),
    (117, "PFLOG"),
    (119, "IEEE802_11_PRISM"),
    (122, "IP_OVER_FC"),
    (123, "SUNATM"),
    (127, "IEEE802_11_RADIOTAP"),
    (138, "APPLE_IP_OVER_IEEE1394"),
    (143, "DOCSIS"),
    (144, "LINUX_IRDA"),
    (147, "USER0"),
    (163, "IEEE802_11_AVS"),
    (166, "PPP_PPPD"),
    (169, "GPRS_LLC"),
    (187, "BLUETOOTH_HCI_H4"),
    (189, "USB_LINUX"),
    (192, "PPI"),
    (195, "IEEE802_15_4_WITHFCS"),
    (197, "ERF"),
    (201, "BLUETOOTH_HCI_H4_WITH_PHDR"),
    (204, "PPP_WITH_DIR"),
    (205, "C_HDLC_WITH_DIR"),
    (206, "FRELAY_WITH_DIR"),
    (220, "USB_LINUX_MMAPPED"),
    (226, "IPNET"),
    (227, "CAN_SOCKETCAN"),
    (228, "IPV4"),
    (229, "IPV6"),
    (230, "IEEE802_15_4_NOFCS"),
    (231, "DBUS"),
    (239, "NFLOG"),
    (240, "NETANALYZER"),
    (242, "IPOIB"),
    (247, "INFINIBAND"),
    (249, "USBPCAP"),
    (252, "WIRESHARK_UPPER_PDU"),
    (253, "NETLINK"),
    (254, "BLUETOOTH_LINUX_MONITOR"),
    (258, "PKTAP"),
    (259, "EPON"),
    (271, "VSOCK"),
    (276, "LINUX_SLL2"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_supported_link_type_has_a_name() {
        for number in [0, 1, 9, 10, 50, 101, 105, 108, 113, 127, 228, 229, 239, 276] {
            assert!(link_type(number).is_some());
            assert!(link_type_name(number).is_some(), "{number}");
        }
    }

    #[test]
    fn what_is_not_known_is_not_guessed() {
        assert_eq!(link_type(249), None);
        assert_eq!(link_type_name(249), Some("USBPCAP"));
        assert_eq!(link_type(4_000_000_000), None);
        assert_eq!(link_type_name(4_000_000_000), None);
    }
}
