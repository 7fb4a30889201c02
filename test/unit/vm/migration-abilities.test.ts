import assert from 'node:assert/strict';
import { test } from 'node:test';
import { migrationAbilities } from '../../../src/vm/migration-abilities.ts';

/** What QEMU 7.2 and 10.0 answer to query-migrate-capabilities and query-migrate-parameters, as far as it matters. */
const old = {
  version: { major: 7, minor: 2, micro: 0 },
  capabilities: new Set(['events', 'pause-before-switchover', 'late-block-activate', 'multifd']),
  parameters: new Set(['announce-rounds', 'max-bandwidth', 'downtime-limit']),
};
const recent = {
  version: { major: 10, minor: 0, micro: 2 },
  capabilities: new Set([...old.capabilities, 'switchover-ack']),
  parameters: new Set([...old.parameters, 'avail-switchover-bandwidth']),
};

test('a recent QEMU can do everything', () => {
  assert.deepEqual(migrationAbilities(recent.version, recent.capabilities, recent.parameters), {
    version: recent.version,
    hold: true,
    availSwitchoverBandwidth: true,
    pauseBeforeSwitchover: true,
    lateBlockActivate: true,
    silentAnnounce: true,
    missing: [],
  });
});

test('Debian 12 own QEMU cannot be held, and the plan can say so', () => {
  const abilities = migrationAbilities(old.version, old.capabilities, old.parameters);
  assert.equal(abilities.hold, false);
  assert.equal(abilities.pauseBeforeSwitchover, true);
  assert.equal(abilities.missing.length, 1);
  assert.match(abilities.missing[0] ?? '', /^switchover-ack \(QEMU 8\.1\)/);
});

test('each missing ability is named once', () => {
  const abilities = migrationAbilities({ major: 2, minor: 11, micro: 0 }, new Set(), new Set());
  assert.deepEqual(
    abilities.missing.map((words) => words.split(' ')[0]),
    ['switchover-ack', 'pause-before-switchover', 'late-block-activate', 'announce-rounds'],
  );
  const { hold, pauseBeforeSwitchover, lateBlockActivate, silentAnnounce } = abilities;
  assert.deepEqual([hold, pauseBeforeSwitchover, lateBlockActivate, silentAnnounce], [false, false, false, false]);
});
