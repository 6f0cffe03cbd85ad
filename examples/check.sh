#!/usr/bin/env bash
# Is each kind of traffic that README.md promises in the capture, and nothing
# else? Reads the capture with tshark and names what is missing or too much.
#
# Usage: check.sh [FILE]
set -euo pipefail

file=${1:-$(dirname "${BASH_SOURCE[0]}")/office.pcap}
failures=0
readonly file

# Not what an ICMP error quotes, which tshark's filters see as well.
readonly own='!icmp && !icmpv6'

main() {
    #      least most  display filter
    expect 13    13    "$own && ip && http.request"
    expect 8     8     "$own && ipv6 && http.request"
    expect 2     99    "http.request_number == 3"
    expect 1     99    "tcp.srcport == 8090 && tcp.analysis.retransmission"
    expect 1     1     "tcp.srcport == 80 && tcp.flags.reset == 1"
    expect 1     9     "ip && tcp.dstport == 80 && tcp.flags.reset == 1"
    expect 1     9     "ipv6 && tcp.dstport == 80 && tcp.flags.reset == 1"
    expect 4     4     "tcp.port == 7000 && tcp.flags == 0x12"
    # Only the two that are half-closed on purpose are answered and closed.
    expect 2     2     "tcp.srcport == 7000 && tcp.flags.fin == 1"
    expect 3     3     "tcp.dstport == 7000 && tcp.flags.fin == 1"
    expect 1     1     "tcp.srcport == 80 && tcp.flags.fin == 1 && tcp.time_delta > 1.9"
    expect 2     2     "tcp.srcport == 40000 && tcp.flags == 0x02"
    expect 2     2     "tcp.srcport == 8081 && tcp.flags.reset == 1"
    expect 3     6     "$own && ip.dst == 198.51.100.99 && tcp.flags == 0x02"
    expect 0     0     "ip.src == 198.51.100.99 && tcp && $own"
    expect 1     1     "icmp.type == 3 && icmp.code == 10 || icmp.type == 3 && icmp.code == 13"
    expect 1     6     "icmp.type == 3 && icmp.code == 1"

    expect 10    10    "$own && udp && dns.flags.response == 1"
    expect 2     2     "ip.dst == 198.51.100.53"
    expect 1     1     "udp && dns.flags.truncated == 1"
    expect 1     1     "tcp && dns.flags.response == 1"
    expect 1     1     "dns.flags.rcode == 3"
    expect 2     2     "icmp.type == 3 && icmp.code == 3 && udp.dstport in {53, 5399}"
    expect 1     1     "icmpv6.type == 1 && icmpv6.code == 4 && udp.dstport == 5399"
    expect 11    11    "$own && udp.dstport == 514"
    expect 0     0     "udp.srcport == 514"

    expect 2     99    "icmp.type == 3 && icmp.code == 4"
    expect 2     99    "icmpv6.type == 2"
    expect 8     99    "$own && ip.flags.mf == 1 || ip.frag_offset > 0"
    expect 8     99    "ipv6.fraghdr"
    expect 4     4     "icmp.type == 11"
    expect 2     2     "icmpv6.type == 3"
    expect 8     8     "icmp.type == 0"
    expect 8     8     "icmpv6.type == 129"

    expect 2     2     "vlan.id == 20 && icmp.type == 0"
    expect 2     2     "vlan.id == 20 && icmpv6.type == 129"
    expect 3     3     "vlan.id == 20 && http.request"
    expect 0     0     "vlan && vlan.id != 20"

    # Little noise, no strangers, nothing damaged, in the order of time.
    expect 2     30    "arp || icmpv6.type in {133..137}"
    expect 0     0     "icmpv6.type in {130..132} || icmpv6.type == 143 || igmp"
    expect 0     0     "ip && !(ip.addr == 192.0.2.0/24)"
    expect 0     0     "ipv6 && !(ipv6.addr == 2001:db8::/32) && !(ipv6.addr == fe80::/10)"
    expect 0     0     "!arp && !ip && !ipv6"
    expect 0     0     "frame.cap_len != frame.len"
    expect 0     0     "ip.checksum.status == Bad && $own"
    expect 0     0     "(tcp.checksum.status == Bad || udp.checksum.status == Bad) && $own"
    expect 0     0     "icmp.checksum.status == Bad || icmpv6.checksum.status == Bad"
    expect 0     0     "frame.time_delta < 0"
    ((failures == 0))
}

# expect LEAST MOST FILTER: how many packets may pass the filter?
expect() {
    local found
    if ! found=$(tshark -r "$file" -o ip.check_checksum:TRUE -o tcp.check_checksum:TRUE \
        -o udp.check_checksum:TRUE -Y "$3" -T fields -e frame.number 2>/dev/null | wc -l); then
        echo "check.sh: tshark cannot read $file with the filter $3" >&2
        exit 1
    fi
    if ((found < $1 || found > $2)); then
        echo "check.sh: $found packets, not $1 to $2: $3" >&2
        failures=$((failures + 1))
    fi
}

main
