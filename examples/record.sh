#!/usr/bin/env bash
# Records examples/office.pcap: real programs talking through a small network
# of our own, seen from the client's interface. Needs root; touches nothing
# outside of the network namespaces that it makes and removes again.
#
#   client ------------- router ------------- edge ------------- server
#   192.0.2.10       .1 | .1   203.0.113.0/24  .2 | .1   198.51.100.10 .20 .30
#   VLAN 20: .70    .65 |      MTU 1400           |
#
# Usage: record.sh [FILE]
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
output=${1:-$here/office.pcap}
run=flowkeep-office-$$
scratch=$(mktemp -d)
readonly here output run scratch

main() {
    trap cleanup EXIT
    require_root_and_programs
    build_network
    start_servers
    start_capture
    on client bash "$here/traffic.sh"
    stop_capture
    bash "$here/check.sh" "$scratch/office.pcap"
    cp "$scratch/office.pcap" "$output"
    echo "recorded $output: $(stat -c %s "$output") bytes"
}

require_root_and_programs() {
    if [[ $(id -u) != 0 ]]; then
        echo "record.sh: needs root, to make network namespaces" >&2
        exit 1
    fi
    local program missing=()
    # The program, then Debian's package that has it.
    while read -r program package; do
        command -v "$program" >/dev/null || missing+=("$package")
    done <<'PROGRAMS'
curl curl
dig dnsutils
dnsmasq dnsmasq-base
ethtool ethtool
ip iproute2
logger bsdutils
nft nftables
ping iputils-ping
python3 python3
tcpdump tcpdump
traceroute traceroute
tshark tshark
PROGRAMS
    if ((${#missing[@]})); then
        echo "record.sh: needs more programs, install them with: apt-get install ${missing[*]}" >&2
        exit 1
    fi
    if [[ ! -c /dev/net/tun ]]; then
        echo "record.sh: needs /dev/net/tun, load the kernel module tun" >&2
        exit 1
    fi
}

# Runs a command in the namespace of one host.
on() {
    local host=$1
    shift
    ip netns exec "$run-$host" "$@"
}

# Starts a program in the background of one host; cleanup ends it with the host.
serve() {
    local host=$1
    shift
    ip netns exec "$run-$host" "$@" >>"$scratch/$host.log" 2>&1 &
}

build_network() {
    local host
    for host in client router edge server; do
        ip netns add "$run-$host"
        quieten "$host"
        ip -n "$run-$host" link set lo up
    done
    for host in router edge; do
        on "$host" sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
    done
    connect client eth0 02:00:00:00:00:10 router lan0 02:00:00:00:00:01 1500
    # A link narrower than its neighbours, for path-MTU discovery.
    connect router wan0 02:00:00:00:01:01 edge wan0 02:00:00:00:01:02 1400
    connect edge srv0 02:00:00:00:02:01 server eth0 02:00:00:00:02:10 1500
    tag client eth0 20
    tag router lan0 20

    address client eth0 192.0.2.10/26 2001:db8:1::10/64
    address client eth0.20 192.0.2.70/26 2001:db8:20::70/64
    address router lan0 192.0.2.1/26 2001:db8:1::1/64
    address router lan0.20 192.0.2.65/26 2001:db8:20::1/64
    address router wan0 203.0.113.1/24 2001:db8:ff::1/64
    address edge wan0 203.0.113.2/24 2001:db8:ff::2/64
    address edge srv0 198.51.100.1/24 2001:db8:100::1/64
    address server eth0 198.51.100.10/24 2001:db8:100::10/64
    address server eth0 198.51.100.20/24 2001:db8:100::20/64
    address server eth0 198.51.100.30/24 2001:db8:100::30/64

    route client default 192.0.2.1 2001:db8:1::1
    # The client reaches the server's third address over the VLAN.
    ip -n "$run-client" route add 198.51.100.30 via 192.0.2.65
    ip -n "$run-client" -6 route add 2001:db8:100::30 via 2001:db8:20::1
    route router default 203.0.113.2 2001:db8:ff::2
    route edge default 203.0.113.1 2001:db8:ff::1
    route server default 198.51.100.1 2001:db8:100::1

    ip -n "$run-router" route add blackhole 198.51.100.53 # a dead name server
    ip -n "$run-router" route add prohibit 198.51.100.77  # forbidden by policy
    ip -n "$run-router" route add blackhole 198.51.100.99 # a firewall that drops
    lose_packets

    mkdir -p "/etc/netns/$run-client"
    echo "nameserver 198.51.100.10" >"/etc/netns/$run-client/resolv.conf"
}

# No router solicitations and address tests in the recording; every ICMP error
# is sent, though the kernel would hold back those that follow one another.
quieten() {
    on "$1" sysctl -qw \
        net.ipv4.conf.all.rp_filter=0 \
        net.ipv4.conf.default.rp_filter=0 \
        net.ipv4.icmp_ratelimit=0 \
        net.ipv4.icmp_msgs_per_sec=100000 \
        net.ipv6.icmp.ratelimit=0 \
        net.ipv6.conf.default.accept_ra=0 \
        net.ipv6.conf.default.accept_dad=0 \
        net.ipv6.conf.default.router_solicitations=0
}

# connect HOST INTERFACE MAC HOST INTERFACE MAC MTU
connect() {
    ip -n "$run-$1" link add name "$2" address "$3" mtu "$7" type veth \
        peer name "$5" address "$6" mtu "$7" netns "$run-$4"
    local host interface
    for end in "$1 $2" "$4 $5"; do
        read -r host interface <<<"$end"
        # Packets as they are on a wire: whole, with their checksums and tags.
        on "$host" ethtool -K "$interface" rx off tx off tso off gso off gro off \
            txvlan off rxvlan off >/dev/null
        ip -n "$run-$host" link set "$interface" up
    done
}

# Gives a host the interface TRUNK.VLAN, and waits for it.
tag() {
    serve "$1" python3 "$here/vlan.py" "$2" "$3"
    until_true "the VLAN on $1" ip -n "$run-$1" link show "$2.$3" up
}

address() {
    ip -n "$run-$1" address add "$3" dev "$2"
    ip -n "$run-$1" address add "$4" dev "$2" nodad
}

route() {
    ip -n "$run-$1" route add "$2" via "$3"
    ip -n "$run-$1" -6 route add "$2" via "$4"
}

# The router loses every ninth packet that comes from port 8090.
lose_packets() {
    on router nft -f - <<'RULES'
table inet loss {
    chain forward {
        type filter hook forward priority filter
        tcp sport 8090 numgen inc mod 9 == 5 drop
    }
}
RULES
}

start_servers() {
    serve server python3 "$here/server.py"
    # An answer of about 2,000 bytes: two fragments, or one that is truncated.
    local text
    text=$(printf 'lorem ipsum dolor sit amet %.0s' {1..8})
    serve server dnsmasq --keep-in-foreground --conf-file=/dev/null --pid-file= --user=root \
        --no-resolv --no-hosts --local=/example/ --edns-packet-max=4096 --log-facility=- \
        --host-record=www.office.example,198.51.100.10,2001:db8:100::10 \
        --mx-host=office.example,mail.office.example,10 \
        --host-record=mail.office.example,198.51.100.20 \
        --txt-record="long.office.example,$text,$text,$text,$text,$text,$text,$text,$text,$text"
    until_true "the servers" servers_listen
    # Multicast listener reports come within a second or two of an interface.
    sleep 3
}

servers_listen() {
    local port
    for port in 53 80 7000 8090; do
        [[ -n $(on server ss -Hltn "sport = :$port") ]] || return 1
    done
}

# until_true WHAT COMMAND...: tries for ten seconds.
until_true() {
    local what=$1 try
    shift
    for try in {1..100}; do
        if [[ -n $("$@" 2>/dev/null && echo yes) ]]; then return; fi
        sleep 0.1
    done
    echo "record.sh: $what did not start (try $try):" >&2
    tail -n 5 "$scratch"/*.log >&2
    exit 1
}

start_capture() {
    ip netns exec "$run-client" tcpdump -i eth0 -n -U -Z root -w "$scratch/office.pcap" \
        2>"$scratch/tcpdump.txt" &
    tcpdump=$!
    until_true tcpdump grep -q 'listening on' "$scratch/tcpdump.txt"
}

stop_capture() {
    sleep 1 # the last packets are still on their way to the file
    kill -INT "$tcpdump"
    wait "$tcpdump"
    if ! grep -q '^0 packets dropped by kernel' "$scratch/tcpdump.txt"; then
        echo "record.sh: tcpdump missed packets, try again:" >&2
        cat "$scratch/tcpdump.txt" >&2
        exit 1
    fi
}

cleanup() {
    local host pids
    for host in client router edge server; do
        # Only what runs in a namespace of this run is ours.
        pids=$(ip netns pids "$run-$host" 2>/dev/null || true)
        # shellcheck disable=SC2086 # one word for each process
        [[ -z $pids ]] || kill -KILL $pids || true
        ip netns delete "$run-$host" || true
    done 2>/dev/null
    wait 2>/dev/null || true
    rm -rf "$scratch" "/etc/netns/$run-client"
    rmdir /etc/netns 2>/dev/null || true # only if nobody else keeps files there
}

main
