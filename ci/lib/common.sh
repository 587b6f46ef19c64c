# shellcheck shell=bash
# What the scripts of ci/ share. Sourced from the top of the tree, never run.

# Statuses of a suite that could not run here; `ci/test` lists it as left out. The
# first is a failure under CI, since ci/setup could have installed what is missing;
# the second is not: what it needs cannot be had from anywhere.
# The users are the scripts that source this file.
# shellcheck disable=SC2034
readonly LEFT_OUT=77 OUT_OF_REACH=78

# What is slow to make and worth keeping between runs; outside the tree.
cache_dir="${XDG_CACHE_HOME:-$HOME/.cache}/hioload"
# Where cargo puts what it builds; logs and screenshots go there too.
target_dir="${CARGO_TARGET_DIR:-target}"
# Where the Python packages of the client tests are installed.
# shellcheck disable=SC2034
venv_dir="$cache_dir/venv"

say() { printf '%s\n' "$*" >&2; }

fail() {
    say "$(basename "$0"): $*"
    exit 1
}

# left_out REASON: ends the suite. The last line that begins so is its reason.
left_out() {
    say "left out: $*"
    exit "$LEFT_OUT"
}

# out_of_reach REASON: the same, where ci/setup would be no help.
out_of_reach() {
    say "left out: $*"
    exit "$OUT_OF_REACH"
}

have() { command -v "$1" >/dev/null 2>&1; }

is_root() { [ "$(id -u)" -eq 0 ]; }

# A TCP port of 127.0.0.1 that nobody listens on at this moment.
free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# wait_for_port PORT PID SECONDS: until PORT accepts, as long as PID is alive.
wait_for_port() {
    local port=$1 pid=$2 deadline=$((SECONDS + $3))
    until (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
        kill -0 "$pid" 2>/dev/null || return 1
        [ "$SECONDS" -lt "$deadline" ] || return 1
        sleep 0.1
    done
}

# twice COMMAND...: package registries fail now and then; once more is enough.
twice() {
    "$@" && return
    say "failed, trying once more: $*"
    sleep 3
    "$@"
}

# The mirror of Debian that apt uses, or DEBIAN_MIRROR.
debian_mirror() {
    local mirror=${DEBIAN_MIRROR:-}
    # shellcheck disable=SC2016  # apt-get expands it
    [ -n "$mirror" ] || mirror=$(apt-get indextargets --format '$(REPO_URI)' \
        'Created-By: Packages' 'Origin: Debian' 'Label: Debian' | sort -u | head -n 1)
    [ -n "$mirror" ] || {
        say "apt's sources name no mirror of Debian; set DEBIAN_MIRROR"
        return 1
    }
    printf '%s\n' "$mirror"
}

# What is built and tested with DPDK: all of it together, so that nothing is built twice.
with_dpdk=(-p dpdk-sys -p hioload-dpdk -p hioload-net -p hioload -p hioload-pktgen
    --features 'hioload-net/dpdk hioload/dpdk hioload-pktgen/dpdk')

# build_with_dpdk PROFILE [TARGETS]: programs and examples, unless it says which; others may have
# built them without DPDK.
build_with_dpdk() {
    local profile=$1 targets=(--bins --examples)
    shift
    [ $# -eq 0 ] || targets=("$@")
    cargo build --locked --profile "$profile" "${with_dpdk[@]}" "${targets[@]}" >&2
}
