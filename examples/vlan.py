#!/usr/bin/env python3
"""An IEEE 802.1Q interface in user space: vlan.py TRUNK VLAN

Makes the tap interface TRUNK.VLAN and carries its frames over TRUNK with the
VLAN's tag, until it is killed. It stands in for `ip link add type vlan`, which
not every kernel has.
"""

import fcntl
import os
import select
import socket
import struct
import subprocess
import sys

ETH_P_ALL = 0x0003
ETH_P_8021Q = 0x8100
MACS = 12  # bytes of the two addresses that precede the tag

# <linux/if_tun.h>
TUNSETIFF = 0x400454CA
IFF_TAP = 0x0002
IFF_NO_PI = 0x1000

# <linux/if_packet.h>
SOL_PACKET = 263
PACKET_AUXDATA = 8
PACKET_OUTGOING = 4
TP_STATUS_VLAN_VALID = 1 << 4
AUXDATA = struct.Struct("=IIIHHHH")  # struct tpacket_auxdata


def main():
    trunk_name, vlan = sys.argv[1], int(sys.argv[2])
    tap_name = f"{trunk_name}.{vlan}"

    tap = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH", tap_name.encode(), IFF_TAP | IFF_NO_PI))
    trunk = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    trunk.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
    trunk.bind((trunk_name, ETH_P_ALL))

    # As with the kernel's own VLAN interfaces, the address is the trunk's.
    with open(f"/sys/class/net/{trunk_name}/address", encoding="ascii") as file:
        mac = file.read().strip()
    subprocess.run(["ip", "link", "set", tap_name, "address", mac, "up"], check=True)

    tag = struct.pack("!HH", ETH_P_8021Q, vlan)
    while True:
        ready, _, _ = select.select([tap, trunk], [], [])
        if tap in ready:
            frame = os.read(tap, 65536)
            trunk.send(frame[:MACS] + tag + frame[MACS:])
        if trunk in ready:
            frame, control, _, sender = trunk.recvmsg(65536, socket.CMSG_SPACE(AUXDATA.size))
            if sender[2] != PACKET_OUTGOING and stripped_tag(control) == vlan:
                os.write(tap, frame)


def stripped_tag(control):
    """The VLAN of a frame; the kernel takes the tag out and hands it over aside."""
    for level, kind, data in control:
        if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
            status, _, _, _, _, tci, _ = AUXDATA.unpack_from(data)
            if status & TP_STATUS_VLAN_VALID:
                return tci & 0x0FFF
    return None


main()
