# What the other scripts share: output and progress. Sourced.

if [[ -t 1 && -z ${NO_COLOR:-} ]]; then
    terminal=yes bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' green=$'\e[32m' plain=$'\e[0m'
else
    terminal='' bold='' dim='' red='' green='' plain=''
fi

heading() { printf '\n%s%s%s\n' "$bold" "$1" "$plain"; }
# The last words of a script that cannot go on: what is wrong, and the one line that mends it.
die() { printf '%s%s%s\n' "$red" "$1" "$plain" >&2; exit 1; }

need_root() { [[ $EUID -eq 0 ]] || die "needs root for network namespaces; run as root: sudo $0${*:+ $*}"; }

# missing_packages PACKAGES...: those that are not installed.
missing_packages() {
    local package
    for package; do
        [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] ||
            echo "$package"
    done
}

# install_packages PACKAGES...: as far as they are missing. Cheap when everything is there.
install_packages() {
    local log packages
    command -v apt-get >/dev/null || die "not a Debian; install what these packages contain: $*"
    mapfile -t packages < <(missing_packages "$@")
    ((${#packages[@]})) || return 0
    need_root
    log=$(mktemp /tmp/xrouter-install.XXXXXX)
    progress "install ${#packages[@]} packages" "$log" apt_install "${packages[@]}" || {
        tail -n 20 "$log"
        die "apt failed; see what it says: apt-get install ${packages[*]}"
    }
    rm -f "$log"
}

apt_install() {
    export DEBIAN_FRONTEND=noninteractive
    apt-get update && apt-get install -y --no-install-recommends "$@"
}

# Cargo is where rustup puts it, also under sudo.
need_cargo() {
    local home
    home=$(getent passwd "${SUDO_USER:-root}" | cut -d: -f6)
    PATH=$PATH:$HOME/.cargo/bin:$home/.cargo/bin
    if [[ ${home:-$HOME} != "$HOME" && ! -d $HOME/.rustup && -d $home/.rustup ]]; then
        export RUSTUP_HOME=$home/.rustup CARGO_HOME=$home/.cargo
    fi
    command -v cargo >/dev/null ||
        die 'no Rust toolchain; install one with rustup, then: rustup default stable'
}

# progress TITLE LOG COMMAND...: run a command with its output in a file. A terminal sees the time
# run and the last line of the output; anything else a line now and then.
progress() {
    local title=$1 log=$2 start=$SECONDS shown=0 status=0 pid
    shift 2
    "$@" >"$log" 2>&1 </dev/null &
    pid=$!
    while kill -0 $pid 2>/dev/null; do
        if [[ $terminal ]]; then
            printf '\r\e[K  %-46s %4d s  %s%.60s%s' "$title" $((SECONDS - start)) "$dim" \
                "$(tail -n 1 "$log" | tr -d '\r' | sed 's/^ *//')" "$plain"
        elif ((SECONDS - start >= shown + 30)); then
            shown=$((SECONDS - start))
            printf '  %-46s %4d s so far: %.60s\n' "$title" $shown "$(tail -n 1 "$log" | sed 's/^ *//')"
        fi
        sleep 0.2
    done
    wait $pid || status=$?
    result "$title" $status $((SECONDS - start))
    return $status
}

# result TITLE STATUS SECONDS: a line of its own for what has ended.
result() {
    local word="${green}ok${plain}    "
    (($2 == 0)) || word="${red}FAILED${plain}"
    [[ $terminal ]] && printf '\r\e[K'
    printf '  %-46s %s %s%4d s%s\n' "$1" "$word" "$dim" "$3" "$plain"
}

# figures FILE: what tests/net/figure.rs wrote, as a table: rule, asked, measured, met or not.
figures() { sort "$1" | column -t -s $'\t' -N rule,asked,measured,verdict; }
