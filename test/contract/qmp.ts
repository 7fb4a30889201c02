/** What QmpClient promises over any transport; run against the double (unit) and against a real QEMU without a machine (lab). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ms } from '../../src/base/units.ts';
import { QmpClosed, QmpCommandError, QmpTimeout } from '../../src/vm/qmp-errors.ts';
import type { QmpClient } from '../../src/vm/qmp.ts';

export interface QmpUnderTest {
  readonly qmp: QmpClient;
  /** Ends the server, if it still runs. */
  end(): Promise<void>;
}

export function qmpContract(name: string, open: () => Promise<QmpUnderTest>): void {
  const promise = (what: string, body: (qmp: QmpClient) => Promise<void>): void => {
    void test(`${name}: ${what}`, async () => {
      const { qmp, end } = await open();
      try {
        await body(qmp);
      } finally {
        qmp.close();
        await end();
      }
    });
  };

  promise('the greeting gives version and out-of-band ability', async (qmp) => {
    assert.ok(qmp.version.major >= 8);
    assert.ok(qmp.version.minor >= 0 && qmp.version.micro >= 0);
    assert.equal(qmp.outOfBand, true);
  });

  promise('a command is answered', async (qmp) => {
    assert.deepEqual(await qmp.execute('query-status'), { status: 'running', running: true });
  });

  promise('commands sent at once are carried out in order and each gets its own answer', async (qmp) => {
    const states = [];
    for (let i = 0; i < 20; i++) {
      states.push(qmp.execute('stop'), qmp.execute('query-status'), qmp.execute('cont'), qmp.execute('query-status'));
    }
    const answers = await Promise.all(states);
    for (let i = 0; i < 80; i += 4) {
      assert.deepEqual(answers[i + 1], { status: 'paused', running: false });
      assert.deepEqual(answers[i + 3], { status: 'running', running: true });
    }
  });

  promise('a refused command fails with the class and the words of QEMU', async (qmp) => {
    const refused = qmp.execute('migrate-continue', { state: 'pre-switchover' });
    await assert.rejects(refused, (error) => {
      assert.ok(error instanceof QmpCommandError);
      assert.equal(error.code, 'QMP_COMMAND');
      assert.equal(error.class, 'GenericError');
      assert.equal(error.desc, 'Migration not in expected state: none');
      return true;
    });
    assert.deepEqual(await qmp.execute('query-migrate'), {});
  });

  promise('out of band', async (qmp) => {
    assert.deepEqual(await qmp.executeOutOfBand('query-yank'), [{ type: 'chardev', id: 'compat_monitor0' }]);
    const unknown = qmp.executeOutOfBand('yank', { instances: [{ type: 'block-node', 'node-name': 'none' }] });
    await assert.rejects(unknown, { name: 'QmpCommandError', class: 'DeviceNotFound' });
  });

  promise('integers beyond 2^53 pass both ways unharmed', async (qmp) => {
    const odd = 2n ** 53n + 1n;
    await qmp.execute('migrate-set-parameters', { 'max-bandwidth': odd });
    assert.equal((await qmp.execute('query-migrate-parameters'))['max-bandwidth'], odd);
    await qmp.execute('migrate-set-parameters', { 'max-bandwidth': 2 ** 40 });
    assert.equal((await qmp.execute('query-migrate-parameters'))['max-bandwidth'], 2 ** 40);
  });

  promise('an event comes before the answer of its cause, is timed, and is found later from a mark before it', async (qmp) => {
    const heard: string[] = [];
    qmp.on('STOP', () => heard.push('STOP'));
    const mark = qmp.mark();
    const before = Date.now();
    await qmp.execute('stop');
    const after = Date.now() + 1;
    assert.deepEqual(heard, ['STOP']);
    const stop = await qmp.waitFor('STOP', { since: mark, timeout: ms(1000) });
    assert.ok(stop.at >= before && stop.at <= after, `${before} <= ${stop.at} <= ${after}`);
    assert.equal(await qmp.waitFor('STOP', { since: mark, timeout: ms(1000) }), stop);
  });

  promise('a mark hides what came before it, and a predicate what it refuses', async (qmp) => {
    await qmp.execute('stop');
    const mark = qmp.mark();
    const next = qmp.waitFor('STOP', { since: mark, timeout: ms(5000) });
    const never = qmp.waitFor('STOP', { since: mark, timeout: ms(20), predicate: () => false });
    await assert.rejects(never, QmpTimeout);
    await qmp.execute('cont');
    const second = Date.now();
    await qmp.execute('stop');
    assert.ok((await next).at >= second - 1);
  });

  promise('a listener that was removed hears nothing', async (qmp) => {
    const heard: string[] = [];
    const remove = qmp.on('STOP', () => heard.push('STOP'));
    qmp.on('RESUME', () => heard.push('RESUME'));
    remove();
    await qmp.execute('stop');
    await qmp.execute('cont');
    assert.deepEqual(heard, ['RESUME']);
  });

  promise('quit is answered, announced, and closes', async (qmp) => {
    const mark = qmp.mark();
    await qmp.execute('quit');
    const { data } = await qmp.waitFor('SHUTDOWN', { since: mark, timeout: ms(1000) });
    assert.deepEqual(data, { guest: false, reason: 'host-qmp-quit' });
    const waiting = assert.rejects(qmp.waitFor('RESUME', { since: mark, timeout: ms(5000) }), QmpClosed);
    assert.equal(await qmp.closed, undefined);
    await waiting;
    await assert.rejects(qmp.execute('query-status'), QmpClosed);
    await assert.rejects(qmp.waitFor('RESUME', { since: mark, timeout: ms(5000) }), QmpClosed);
  });

  promise('close fails everything that is pending', async (qmp) => {
    const pending = [qmp.execute('query-status'), qmp.waitFor('STOP', { since: qmp.mark(), timeout: ms(5000) })];
    qmp.close();
    for (const result of await Promise.allSettled(pending)) {
      assert.ok(result.status === 'rejected' && result.reason instanceof QmpClosed);
    }
  });
}
