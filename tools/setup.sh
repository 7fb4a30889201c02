#!/bin/sh
# Installs and builds what a level of work on Godwit needs; does nothing, and says nothing, when it is all there.
#
#   sh tools/setup.sh npm      the npm packages, among them the Node that the rest runs on
#   sh tools/setup.sh native   npm, and a C compiler and the native addon
#   sh tools/setup.sh host     native, and what a host of a cluster needs: QEMU, nftables. Debian 12; root if something is missing
#   sh tools/setup.sh lab      native, and QEMU, network tools, peers (keepalived, FRR) and the guest image. Debian 12; root if something is missing
#   sh tools/setup.sh all      lab, and what the tests need besides
#
# Never runs `node` itself: a shell remembers where it found one, and would take the old one after this script.
set -eu
cd "$(dirname "$0")/.."

etc=${GODWIT_ETC:-/etc} # elsewhere in the tests of this script
apt_dir=$etc/apt
policy=${GODWIT_POLICY:-/usr/sbin/policy-rc.d}
oldest_qemu=1:8.2 # 8.1 can be kept from switching over by itself; 8.2 has avail-switchover-bandwidth, too

say() { echo "setup: $*"; }
warn() { echo "setup: $*" >&2; }
fail() {
  echo "setup: $*" >&2
  exit 1
}

# --- npm

npm_packages() {
  if [ node_modules/.godwit-setup -nt package-lock.json ]; then return; fi
  command -v npm > /dev/null || fail 'npm is missing. Install Node.js 20 or newer with npm (https://nodejs.org), then run this again.'
  # Not `npm ci`: it fails where the registry lacks the optional packages of other platforms that the lock file names.
  npm install --no-save --ignore-scripts --no-audit --no-fund --loglevel=error > /dev/null < /dev/null ||
    fail 'npm install failed, see above. Is the npm registry reachable (npm config get registry)? Then run this again.'
  touch node_modules/.godwit-setup
  say 'installed the npm packages in node_modules'
}

# --- apt

updated=
apt_update() {
  [ -z "$updated" ] || return 0
  apt-get update -qq < /dev/null > /dev/null || fail 'apt-get update failed, see above. Repair the package sources, then run this again.'
  updated=yes
}

need_root() {
  [ "$(id -u)" = 0 ] || fail "must be root to install $*. Run as root: sh tools/setup.sh $level"
}

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2> /dev/null)" = installed ]; }

candidate() { apt-cache policy "$1" | sed -n 's/^ *Candidate: //p'; }

# apt_install [-t SUITE] PACKAGE...: those named, without what they merely recommend.
apt_install() {
  out=$(DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends -o DPkg::Lock::Timeout=300 "$@" \
    2>&1 < /dev/null 9>&-) || {
    echo "$out" | tail -n 20 >&2
    fail "apt-get could not install $*, see above. Repair that (apt-get -f install, free disk space), then run this again."
  }
  say "installed $(echo "$*" | sed "s/^-t \([^ ]*\) \(.*\)/\2 from \1/")"
}

packages() {
  missing=
  for package in "$@"; do installed "$package" || missing="$missing $package"; done
  [ -n "$missing" ] || return 0
  # shellcheck disable=SC2086 # a list of packages
  need_root $missing
  apt_update
  for package in $missing; do
    case $(candidate "$package") in
      '' | '(none)') fail "no package source offers $package. Add Debian's main component to $apt_dir/sources.list, then run this again." ;;
    esac
  done
  # shellcheck disable=SC2086 # a list of packages
  apt_install $missing
}

# Packages whose daemons the lab runs itself, in namespaces: installed without starting them, nor at the next boot. What was
# installed before stays as its administrator wants it.
quiet_packages() {
  new=
  for package in "$@"; do installed "$package" || new="$new $package"; done
  [ -n "$new" ] || return 0
  # shellcheck disable=SC2086 # a list of packages
  need_root $new
  # What the packages' scripts ask before they start a service (deb-systemd-invoke(1p), invoke-rc.d(8)).
  if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 1' HUP INT TERM
    printf '#!/bin/sh\nexit 101\n' > "$policy"
    chmod 755 "$policy"
    # shellcheck disable=SC2086
    packages $new
    rm -f "$policy"
    trap - EXIT HUP INT TERM
  else
    # shellcheck disable=SC2086
    packages $new
  fi
  # shellcheck disable=SC2086
  if command -v systemctl > /dev/null; then systemctl disable --now --quiet $new > /dev/null 2>&1 || warn "could not disable the services of$new: see systemctl status$new"; fi
}

# Prints "[options] URI" of the first source of the suite $1, in both of apt's formats.
source_of() {
  for file in "$apt_dir"/sources.list "$apt_dir"/sources.list.d/*.list; do
    [ ! -f "$file" ] || sed -n 's/^ *deb  *\(\[[^]]*\]\)  */deb \1 /; s/^ *deb  *\([^[ ]\)/deb [] \1/; s/^deb //p' "$file"
  done | awk -v suite="$1" '{
    options = $0; sub(/\].*/, "]", options); sub(/^\[[^]]*\] */, "")
    if ($2 == suite) { print options, $1; exit }
  }'
  for file in "$apt_dir"/sources.list.d/*.sources; do
    [ ! -f "$file" ] || { cat "$file"; echo; }
  done | sed '/^#/d' | awk -v suite="$1" -v RS='' -F '\n' '{
    uri = key = ""; on = 1; here = 0
    for (i = 1; i <= NF; i++) {
      n = split($i, word, " "); name = tolower(word[1])
      if (name == "uris:") uri = word[2]
      if (name == "signed-by:" && word[2] ~ /^\//) key = word[2]
      if (name == "enabled:" && tolower(word[2]) == "no") on = 0
      if (name == "types:" && word[2] != "deb" && word[3] != "deb") on = 0
      if (name == "suites:") for (j = 2; j <= n; j++) if (word[j] == suite) here = 1
    }
    if (on && here && uri) { print (key ? "[signed-by=" key "]" : "[]"), uri; exit }
  }'
}

new_enough() { dpkg --compare-versions "${1:-0}" ge "$oldest_qemu"; }

# QEMU and qemu-img from the same source, new enough: Debian 12's own is not, its backports are.
qemu() {
  old=
  for package in qemu-system-x86 qemu-utils; do
    if ! installed "$package" || ! new_enough "$(dpkg-query -W -f '${Version}' "$package")"; then old="$old $package"; fi
  done
  [ -n "$old" ] || return 0
  # shellcheck disable=SC2086 # a list of packages
  need_root $old
  apt_update
  if new_enough "$(candidate qemu-system-x86)" && new_enough "$(candidate qemu-utils)"; then
    apt_install qemu-system-x86 qemu-utils
    return
  fi
  [ "$codename" = bookworm ] ||
    fail "QEMU 8.2 or newer is needed and no package source offers it. Install qemu-system-x86 and qemu-utils by hand."
  if [ -z "$(source_of bookworm-backports)" ]; then
    source=$(source_of bookworm | head -n 1)
    [ -n "$source" ] ||
      fail "no source of the suite bookworm in $apt_dir to take the mirror for bookworm-backports from. Add one, then run this again."
    echo "deb $source bookworm-backports main" | sed 's/ \[\] / /' > "$apt_dir/sources.list.d/godwit-backports.list"
    say "added the suite bookworm-backports: $apt_dir/sources.list.d/godwit-backports.list"
    updated=
    apt_update
  fi
  apt_install -t bookworm-backports qemu-system-x86 qemu-utils
}

# --- lab

# The guest's kernel, unpacked and not installed. What apt knows may be out of date: one more try after an update.
download() { (cd "$1" && apt-get download -q "$2") > /dev/null 2>&1 < /dev/null; }

guest_kernel() {
  if ls .cache/lab/kernel/boot/vmlinuz-* > /dev/null 2>&1; then return; fi
  rm -rf .cache/lab/kernel .cache/lab/kernel.new
  mkdir -p .cache/lab/kernel.new/deb
  new=.cache/lab/kernel.new
  for try in first second; do
    if { download $new/deb "linux-image-cloud-amd64/$codename" || download $new/deb linux-image-cloud-amd64; } &&
      image=$(dpkg -f $new/deb/linux-image-cloud-amd64_*.deb Depends | sed 's/[ ,].*//') &&
      download $new/deb "$image"; then break; fi
    [ $try = first ] ||
      fail 'linux-image-cloud-amd64 (the guest kernel) cannot be downloaded. Check `apt-get download linux-image-cloud-amd64`.'
    [ "$(id -u)" != 0 ] || apt_update
    rm -f $new/deb/*
  done
  dpkg -x $new/deb/"$image"_*.deb $new
  rm -rf $new/deb $new/usr
  mv $new .cache/lab/kernel
  say "unpacked the guest kernel $image in .cache/lab/kernel"
}

host() {
  [ "$(dpkg --print-architecture 2> /dev/null)" = amd64 ] || fail 'made for Debian 12 on amd64: install QEMU 8.2 or newer and nftables by hand elsewhere.'
  codename=$(. "$etc/os-release" && echo "${VERSION_CODENAME:-unknown}")
  [ "$codename" = bookworm ] || warn "made for Debian 12 (bookworm), this is $codename: going on, packages may be missing."
  # shellcheck disable=SC2048,SC2086 # a list of packages
  packages iproute2 nftables $*
  qemu
}

lab() {
  host busybox-static cpio xz-utils
  quiet_packages keepalived frr
  guest_kernel
  sh tools/guest-image.sh
}

# ---

level=${1:-}
case $level in
  npm | native | host | lab | all) ;;
  *)
    echo 'usage: sh tools/setup.sh npm|native|host|lab|all' >&2
    exit 2
    ;;
esac

# One at a time: two test runs may start together.
mkdir -p .cache
if command -v flock > /dev/null; then
  exec 9> .cache/setup.lock
  flock 9
fi

npm_packages
[ "$level" != npm ] || exit 0
packages gcc libc6-dev
sh tools/build-native.sh
[ "$level" != native ] || exit 0
if [ "$level" = host ]; then
  host
  exit 0
fi
lab
[ "$level" != all ] || packages procps strace iputils-ping iputils-arping
