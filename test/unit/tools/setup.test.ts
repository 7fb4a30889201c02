/** tools/setup.sh in a project, an /etc and a package manager made up for it: what it decides to install, and what it says. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, describe, it } from 'node:test';

const NEW_QEMU = '1:10.0.2';
const OLD_QEMU = '1:7.2';
const ALL = 'gcc libc6-dev iproute2 nftables busybox-static cpio xz-utils keepalived frr procps strace iputils-ping iputils-arping';

interface Machine {
  /** Installed packages with their versions; the others are absent. */
  readonly installed: Readonly<Record<string, string>>;
  /** What apt offers without a target suite; `1.0` unless named, and nothing when null. */
  readonly offered?: Readonly<Record<string, string | null>>;
  readonly root?: boolean;
  /** Its own policy-rc.d. */
  readonly policy?: string;
  /** Files below /etc/apt. */
  readonly sources?: Readonly<Record<string, string>>;
}

function packages(names: string, version = '1.0'): Record<string, string> {
  return Object.fromEntries(names.split(' ').map((name) => [name, version]));
}

interface Outcome {
  readonly status: number | null;
  readonly out: string;
  readonly err: string;
  /** apt-get's arguments, its options for quiet and lock aside. */
  readonly calls: string[];
  /** What kept services from starting while apt-get ran, null when nothing did; and whether it is still there. */
  readonly policy: { readonly during: string | null; readonly after: string | null };
  readonly systemctl: string | null;
  /** The source added, null when none was. */
  readonly backports: string | null;
}

function setup(t: TestContext, level: string, machine: Machine): Outcome {
  const root = mkdtempSync(join(tmpdir(), 'godwit-setup-'));
  t.after(() => rmSync(root, { recursive: true }));
  const write = (path: string, text: string): void => {
    mkdirSync(join(root, path, '..'), { recursive: true });
    writeFileSync(join(root, path), text);
  };
  const program = (name: string, body: string): void => {
    write(`bin/${name}`, `#!/bin/sh\n${body}\n`);
    chmodSync(join(root, `bin/${name}`), 0o755);
  };
  mkdirSync(join(root, 'tools'), { recursive: true });
  copyFileSync(join(import.meta.dirname, '../../../tools/setup.sh'), join(root, 'tools/setup.sh'));
  write('tools/build-native.sh', '');
  write('tools/guest-image.sh', '');
  write('.cache/lab/kernel/boot/vmlinuz-6.1', '');
  write('package-lock.json', '{}');
  write('node_modules/.godwit-setup', '');
  spawnSync('touch', ['-d', '1 minute ago', join(root, 'package-lock.json')]);

  write('etc/os-release', 'VERSION_CODENAME=bookworm\n');
  write('etc/apt/sources.list.d/none.list', '');
  for (const [file, text] of Object.entries(machine.sources ?? {})) write(`etc/apt/${file}`, text);
  for (const [name, version] of Object.entries(machine.installed)) write(`installed/${name}`, version);
  for (const [name, version] of Object.entries(machine.offered ?? {})) write(`offered/${name}`, version ?? '(none)');
  program('id', `echo ${machine.root === false ? 1000 : 0}`);
  program('dpkg', `case $1 in --print-architecture) echo amd64 ;; *) exec /usr/bin/dpkg "$@" ;; esac`);
  const installed = `${root}/installed/$4`;
  program('dpkg-query', `[ -f ${installed} ] || exit 1; case $3 in *Version*) cat ${installed} ;; *) printf installed ;; esac`);
  program('apt-cache', `echo "  Candidate: $(cat ${root}/offered/$2 2> /dev/null || echo 1.0)"`);
  if (machine.policy !== undefined) write('policy-rc.d', machine.policy);
  program('apt-get', `echo "$@" >> ${root}/calls; [ ! -f ${root}/policy-rc.d ] || cp ${root}/policy-rc.d ${root}/policy-seen`);
  program('systemctl', `echo "$@" >> ${root}/systemctl`);
  program('npm', `echo npm "$@" >> ${root}/calls`);
  const { status, stdout, stderr } = spawnSync('sh', [join(root, 'tools/setup.sh'), level], {
    encoding: 'utf8',
    env: { PATH: `${root}/bin:/usr/bin:/bin`, GODWIT_ETC: join(root, 'etc'), GODWIT_POLICY: join(root, 'policy-rc.d'), HOME: root },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const read = (path: string): string | null => (existsSync(join(root, path)) ? readFileSync(join(root, path), 'utf8') : null);
  return {
    status, out: stdout, err: stderr, policy: { during: read('policy-seen'), after: read('policy-rc.d') }, systemctl: read('systemctl'), backports: read('etc/apt/sources.list.d/godwit-backports.list'),
    calls: (read('calls') ?? '').split('\n').filter(Boolean).map((call) => call.replace(/ -y -q --no-install-recommends -o \S+/, '')),
  };
}

const complete = { ...packages(ALL), ...packages('qemu-system-x86 qemu-utils', NEW_QEMU) };

describe('tools/setup.sh', () => {
  it('says and does nothing when all is there, also without root', (t) => {
    const { status, out, err, calls } = setup(t, 'all', { installed: complete, root: false });
    assert.deepEqual({ status, out, err, calls }, { status: 0, out: '', err: '', calls: [] });
  });

  it('installs exactly what is missing, after one update', (t) => {
    const { cpio: _cpio, 'busybox-static': _busybox, ...installed } = complete;
    const { status, out, calls } = setup(t, 'all', { installed });
    assert.equal(status, 0);
    assert.deepEqual(calls, ['update -qq', 'install busybox-static cpio']);
    assert.equal(out, 'setup: installed busybox-static cpio\n');
  });

  it('asks only for what the level needs', (t) => {
    assert.deepEqual(setup(t, 'npm', { installed: {} }).calls, []);
    assert.deepEqual(setup(t, 'native', { installed: {} }).calls, ['update -qq', 'install gcc libc6-dev']);
    const { procps: _procps, strace: _strace, 'iputils-ping': _ping, 'iputils-arping': _arping, ...installed } = complete;
    assert.deepEqual(setup(t, 'lab', { installed }).calls, []);
  });

  it('installs the lab\'s peers without starting their services, nor at the next boot', (t) => {
    const { keepalived: _keepalived, frr: _frr, ...installed } = complete;
    const { status, calls, policy, systemctl } = setup(t, 'lab', { installed });
    assert.equal(status, 0);
    assert.deepEqual(calls, ['update -qq', 'install keepalived frr']);
    assert.deepEqual(policy, { during: '#!/bin/sh\nexit 101\n', after: null });
    assert.equal(systemctl, 'disable --now --quiet keepalived frr\n');
  });

  it('leaves a policy of the machine\'s own, and services that were there before, as they are', (t) => {
    const { keepalived: _keepalived, ...installed } = complete;
    const own = '#!/bin/sh\nexit 104\n';
    const { policy, systemctl } = setup(t, 'lab', { installed, policy: own });
    assert.deepEqual(policy, { during: own, after: own });
    assert.equal(systemctl, 'disable --now --quiet keepalived\n');
    assert.equal(setup(t, 'lab', { installed: complete }).systemctl, null);
  });

  it('without root, names what is missing and what to run', (t) => {
    const { cpio: _cpio, ...installed } = complete;
    const { status, err, calls } = setup(t, 'lab', { installed, root: false });
    assert.equal(status, 1);
    assert.equal(err, 'setup: must be root to install cpio. Run as root: sh tools/setup.sh lab\n');
    assert.deepEqual(calls, []);
  });

  it('names a package that no source offers', (t) => {
    const { cpio: _cpio, ...installed } = complete;
    const { status, err, calls } = setup(t, 'lab', { installed, offered: { cpio: null } });
    assert.equal(status, 1);
    assert.match(err, /no package source offers cpio\. Add /);
    assert.deepEqual(calls, ['update -qq']);
  });

  it('refuses an unknown level', (t) => {
    const { status, err } = setup(t, 'everything', { installed: complete });
    assert.equal(status, 2);
    assert.match(err, /^usage: /);
  });

  const offered = packages('qemu-system-x86 qemu-utils', OLD_QEMU);
  const oldQemu = { installed: { ...complete, ...offered }, offered };
  const fromBackports = ['update -qq', 'update -qq', 'install -t bookworm-backports qemu-system-x86 qemu-utils'];

  it('takes a newer QEMU from backports, by the mirror and key of a one-line source', (t) => {
    const { status, backports, calls } = setup(t, 'lab', {
      ...oldQemu,
      sources: {
        'sources.list': `# deb http://old.example/debian bookworm main\ndeb-src http://src.example/debian bookworm main
deb [arch=amd64 signed-by=/k/debian.gpg] http://security.example/debian bookworm-security main
deb [arch=amd64 signed-by=/k/debian.gpg]  http://mirror.example/debian/  bookworm  main contrib\n`,
      },
    });
    assert.equal(status, 0);
    assert.equal(backports, 'deb [arch=amd64 signed-by=/k/debian.gpg] http://mirror.example/debian/ bookworm-backports main\n');
    assert.deepEqual(calls, fromBackports);
  });

  it('reads a one-line source without options', (t) => {
    const { backports } = setup(t, 'lab', { ...oldQemu, sources: { 'sources.list': 'deb http://mirror.example/debian bookworm main\n' } });
    assert.equal(backports, 'deb http://mirror.example/debian bookworm-backports main\n');
  });

  it('reads deb822 sources, comments, disabled and other stanzas aside', (t) => {
    const { backports, calls } = setup(t, 'lab', {
      ...oldQemu,
      sources: {
        'sources.list.d/debian.sources': `Types: deb
URIs: http://security.example/debian-security
Suites: bookworm-security

Enabled: no
Types: deb
URIs: http://disabled.example/debian
Suites: bookworm

Types: deb deb-src
# http://comment.example/debian
URIs: mirror+file:///etc/apt/mirrors/debian.list
Suites: bookworm bookworm-updates
Components: main
Signed-By: /k/debian.gpg
`,
      },
    });
    assert.equal(backports, 'deb [signed-by=/k/debian.gpg] mirror+file:///etc/apt/mirrors/debian.list bookworm-backports main\n');
    assert.deepEqual(calls, fromBackports);
  });

  it('adds no source when backports are there already, and updates an old qemu-utils beside a new QEMU', (t) => {
    const { status, backports, calls } = setup(t, 'lab', {
      installed: { ...complete, 'qemu-utils': OLD_QEMU },
      offered: { 'qemu-system-x86': NEW_QEMU, 'qemu-utils': OLD_QEMU },
      sources: { 'sources.list.d/mine.list': 'deb http://mirror.example/debian bookworm-backports main\n' },
    });
    assert.equal(status, 0);
    assert.equal(backports, null);
    assert.deepEqual(calls, ['update -qq', 'install -t bookworm-backports qemu-system-x86 qemu-utils']);
  });

  it('says so when there is no mirror to take', (t) => {
    const { status, err } = setup(t, 'lab', oldQemu);
    assert.equal(status, 1);
    assert.match(err, /no source of the suite bookworm in .* Add one/);
  });
});
