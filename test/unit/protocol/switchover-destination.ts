/**
 * The destination of a move, as an actor of its own: a QEMU that loads, a journal that says one thing for ever, and a wire on which
 * it can be lost. Once permitted and loaded it commits by itself, whether or not anybody can hear it.
 */
import assert from 'node:assert/strict';
import type { SwitchoverEvent } from '../../../src/protocol/switchover.ts';

/** What the stream from the source has brought. */
export interface Stream {
  /** All of it is under way or here: it can be loaded. */
  readonly whole: () => boolean;
}

export class Destination {
  readonly #stream: Stream;
  readonly #tell: (event: SwitchoverEvent) => void;
  qemu: 'waiting' | 'loaded' | 'running' | 'gone' = 'waiting';
  journal: 'committed' | 'aborted' | undefined;
  #permitted = false;
  /** Steps of the world for which it cannot be reached. */
  #silence = 0;

  constructor(stream: Stream, tell: (event: SwitchoverEvent) => void) {
    this.#stream = stream;
    this.#tell = tell;
  }

  get reachable(): boolean {
    return this.#silence === 0;
  }

  /** What it does by itself, now or later. */
  options(): (() => void)[] {
    const options: (() => void)[] = [];
    if (this.#silence > 1) this.#silence--;
    else if (this.#silence === 1) options.push(() => { this.#silence = 0; });
    if (this.qemu === 'waiting' && this.#stream.whole()) options.push(() => { this.qemu = 'loaded'; });
    if (this.qemu === 'loaded' && this.#permitted && this.journal === undefined) options.push(() => { this.journal = 'committed'; });
    if (this.qemu === 'loaded' && this.journal === 'committed') options.push(() => this.#release());
    // Without leave to commit it need not wait for anybody's word.
    if (!this.reachable && !this.#permitted && this.journal === undefined) options.push(() => this.#abort());
    return options;
  }

  /** Nobody can reach it for so many steps; what it says meanwhile is not heard. */
  lose(steps: number): void {
    if (!this.reachable) return;
    this.#silence = 1 + steps;
    this.#tell({ kind: 'destination-lost', reason: 'The other host does not answer' });
  }

  die(): void {
    if (this.qemu === 'gone') return;
    this.qemu = 'gone';
    this.#say({ kind: 'destination-ended' });
  }

  failToLoad(): void {
    if (this.qemu !== 'waiting') return;
    this.#say({ kind: 'copy-failed', reason: 'The destination could not load the guest' });
    this.die();
  }

  /** False when it will not have it: its journal has spoken. */
  permit(): boolean {
    if (this.journal !== undefined) return false;
    this.#permitted = true;
    return true;
  }

  /** The journal's word, and first of all what it means. */
  abort(): SwitchoverEvent[] {
    if (this.journal === 'committed') {
      if (this.qemu === 'loaded') this.#release();
      return [{ kind: 'committed' }];
    }
    this.#abort();
    return [{ kind: 'aborted' }];
  }

  #abort(): void {
    this.journal = 'aborted';
    this.die();
  }

  #release(): void {
    assert.equal(this.journal, 'committed', 'released before the record');
    this.qemu = 'running';
    this.#say({ kind: 'committed' });
  }

  #say(event: SwitchoverEvent): void {
    if (this.reachable) this.#tell(event);
  }
}
