#!/usr/bin/env bash
# What the client does while record.sh records; runs in the client's namespace.
# A program that should fail is named with the exit status it must fail with.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly here

main() {
    left_open
    path_mtu
    names
    web
    endings
    refused_and_unanswered
    echoes_and_fragments
    one_way
    routes
    vlan
}

# Two connections that the end of the recording finds open, and half-closed.
left_open() {
    say "connections that stay"
    act open 198.51.100.10 &
    act half-open 198.51.100.10 &
    sleep 0.5
}

# Uploads in full segments meet the narrow link behind the router. They come
# before all else: once the server has learned the path's MTU by its own long
# answers, it asks the client for short segments from the start.
path_mtu() {
    say "path MTU"
    head -c 5000 /dev/zero | tr '\0' x | upload http://198.51.100.10/upload
    head -c 5000 /dev/zero | tr '\0' x | upload 'http://[2001:db8:100::10]/upload'
    # Too long for the link, and IPv4's must not be fragmented.
    fails 1 ping -q -n -c 1 -W 1 -M 'do' -s 1450 198.51.100.20
    # The first request is too big; the second goes in fragments, but its reply
    # is too big on the way back; the third is answered.
    ping -q -n -c 3 -i 0.2 -W 1 -s 1440 2001:db8:100::20
}

names() {
    say "DNS"
    local server
    for server in 198.51.100.10 2001:db8:100::10; do
        ask @$server www.office.example A
        ask @$server www.office.example AAAA
    done
    ask @198.51.100.10 office.example MX
    ask @198.51.100.10 nobody.office.example A
    # An answer in two fragments, and one that is truncated, so that dig asks
    # again over TCP.
    ask @198.51.100.10 long.office.example TXT +bufsize=4096
    ask @198.51.100.10 long.office.example TXT +bufsize=1232
    # Nobody is there; two tries.
    fails 9 ask @198.51.100.53 www.office.example A +time=1 +tries=2
}

web() {
    say "HTTP"
    local host
    for host in 198.51.100.10 '[2001:db8:100::10]'; do
        get "http://$host/page/300" "http://$host/page/5000" "http://$host/missing"
        get "http://$host/page/8000"
    done
    # The system's resolver asks for A and AAAA over one socket.
    get http://www.office.example/page/400
    # The router loses some of the answer.
    get http://198.51.100.10:8090/page/16000
}

endings() {
    say "endings"
    fails 56 get http://198.51.100.10/cut # 56: reset while receiving
    act reset 198.51.100.10
    act reset 2001:db8:100::10
    act half-close 198.51.100.10
    act half-close 2001:db8:100::10
    act idle 198.51.100.10
    act reuse 198.51.100.10
}

refused_and_unanswered() {
    say "refused and unanswered"
    fails 7 get http://198.51.100.10:8081/ # 7: could not connect
    fails 7 get 'http://[2001:db8:100::10]:8081/'
    fails 9 ask @198.51.100.10 -p 5399 www.office.example A +time=2 +tries=1
    fails 9 ask @2001:db8:100::10 -p 5399 www.office.example A +time=2 +tries=1
    fails 28 get --connect-timeout 4 http://198.51.100.99/ # 28: timed out
    fails 7 get http://198.51.100.77/  # forbidden by the router
    fails 7 get http://198.51.100.200/ # no such host, says the edge
}

echoes_and_fragments() {
    say "ping, echo and fragments"
    ping -q -n -c 3 -i 0.2 198.51.100.10
    ping -q -n -c 3 -i 0.2 2001:db8:100::10
    ping -q -n -c 2 -i 0.2 -s 2000 192.0.2.1
    ping -q -n -c 2 -i 0.2 -s 2000 2001:db8:1::1
    fails 1 ping -q -n -c 2 -i 0.2 -W 1 198.51.100.99
    act echo 198.51.100.10 100
    act echo 2001:db8:100::10 100
    act echo 198.51.100.20 2500
    act echo 2001:db8:100::20 2500
}

one_way() {
    say "syslog"
    printf 'shift %d: all well\n' {1..8} | send_log 198.51.100.10
    printf 'shift %d: all well\n' {1..3} | send_log 2001:db8:100::10
}

# Errors from the router, then from the edge, then from the server itself.
routes() {
    say "traceroute"
    traceroute -n -q 1 -N 1 -w 2 198.51.100.10
    traceroute -n -q 1 -N 1 -w 2 2001:db8:100::10
    traceroute -n -q 1 -N 1 -w 2 -I 198.51.100.10
}

vlan() {
    say "VLAN 20"
    ping -q -n -c 2 -i 0.2 192.0.2.65
    ping -q -n -c 2 -i 0.2 2001:db8:20::1
    fails 9 ask @192.0.2.65 www.office.example A +time=2 +tries=1
    get http://198.51.100.30/page/800 http://198.51.100.30/page/1600
    get 'http://[2001:db8:100::30]/page/800'
}

say() { echo "traffic: $*" >&2; }

act() { python3 "$here/client.py" "$@"; }

ask() { dig +noall +answer "$@" >/dev/null; }

# Each URL's body goes nowhere; several are asked for over one connection.
get() {
    local words=() word
    for word in "$@"; do
        [[ $word != http* ]] || words+=(-o /dev/null)
        words+=("$word")
    done
    curl -sS --globoff --noproxy '*' "${words[@]}" 2>/dev/null
}

upload() { curl -sS --globoff --noproxy '*' -o /dev/null --data-binary @- -H 'Expect:' "$1"; }

# One datagram a line, all from one socket, without the machine's name in it.
send_log() {
    local file
    file=$(mktemp)
    cat >"$file"
    logger --server "$1" --port 514 --udp --rfc5424=notime,notq,nohost --tag office --file "$file"
    rm "$file"
}

# fails STATUS COMMAND...
fails() {
    local expected=$1 status=0
    shift
    "$@" || status=$?
    if [[ $status != "$expected" ]]; then
        echo "traffic.sh: exit status $status instead of $expected: $*" >&2
        exit 1
    fi
}

main >/dev/null
