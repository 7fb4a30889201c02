#!/bin/sh
# Builds what the lab boots and measures with: .cache/lab/guest/{vmlinuz,initrd.gz,cmdline,godwit-guest,godwit-probe,godwit-flow,godwit-emulate}.
# Takes the guest kernel as tools/setup.sh unpacked it in .cache/lab/kernel. Does nothing when nothing changed since the last build.
set -eu
cd "$(dirname "$0")/.."

source=src/lab/guest
kernel=.cache/lab/kernel
out=.cache/lab/guest

vmlinuz=$(ls "$kernel"/boot/vmlinuz-* 2>/dev/null | head -n 1)
if [ -z "$vmlinuz" ]; then
  echo "tools/guest-image.sh: no guest kernel in $kernel. Run: sh tools/setup.sh lab" >&2
  exit 1
fi

# What went into an image is written down last, so that a build cut short is done again.
inputs=$(cat "$source"/* tools/guest-image.sh /bin/busybox | cksum; echo "$vmlinuz")
if [ -f "$out/inputs" ] && [ "$(cat "$out/inputs")" = "$inputs" ]; then exit 0; fi

mkdir -p "$out"
work=$(mktemp -d "$out/build.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

compile() { gcc -std=gnu11 -O2 -Wall -Wextra "$@"; }
shared="$source/stream.c $source/loop.c"
# shellcheck disable=SC2086 # a list of files
compile -static -pthread -o "$work/godwit-guest" "$source/guest.c" "$source/services.c" "$source/load.c" $shared
# shellcheck disable=SC2086
compile -static -o "$work/godwit-probe" "$source/probe.c" "$source/probe-tcp.c" "$source/client.c" $shared
# shellcheck disable=SC2086
compile -static -o "$work/godwit-flow" "$source/flow.c" "$source/client.c" $shared
compile -static -o "$work/godwit-emulate" "$source/emulate.c" "$source/loop.c" -lm

# Each needs those before it.
modules='virtio/virtio_ring virtio/virtio virtio/virtio_pci_modern_dev virtio/virtio_pci_legacy_dev virtio/virtio_pci
  net/core/failover net/net_failover net/virtio_net block/virtio_blk'
root=$work/root
mkdir -p "$root/bin" "$root/lib/modules"
for module in $modules; do
  case $module in net/core/*) path=$module ;; *) path=drivers/$module ;; esac
  file=$(ls "$kernel"/lib/modules/*/kernel/"$path".ko* 2>/dev/null | head -n 1)
  name=${module##*/}
  case $file in
    '') continue ;; # built into this kernel
    *.xz) xz -dc "$file" > "$root/lib/modules/$name.ko" ;;
    *) cp "$file" "$root/lib/modules/$name.ko" ;;
  esac
  echo "$name" >> "$root/lib/modules/order"
done
cp /bin/busybox "$work/godwit-guest" "$root/bin/"
cp "$source/init" "$root/init"
chmod 755 "$root/init"
(cd "$root" && find . | LC_ALL=C sort | cpio -o -H newc --quiet) > "$work/initrd"
gzip -9n "$work/initrd"
cp "$vmlinuz" "$work/vmlinuz"

# The kernel's arguments for every guest; the lab adds those that init reads. Under TCG the last two halve what a packet costs: no
# page-table switch at each system call and interrupt, and no device read for the time.
echo 'console=ttyS0 quiet mitigations=off tsc=reliable' > "$work/cmdline"

# Renamed into place: a QEMU or a prober that is starting sees the old file or the new one, never half of one.
for file in vmlinuz initrd.gz cmdline godwit-guest godwit-probe godwit-flow godwit-emulate; do mv "$work/$file" "$out/$file"; done
echo "$inputs" > "$out/inputs"
echo "built the lab's guest image: $out"
