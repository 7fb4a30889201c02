/** One process of a pulse, as its agent sees it. */
import type { PulseLink } from '../../../src/agent/pulse-link.ts';
import type { PulseCommand, PulseMessage } from '../../../src/pulse/pulse-protocol.ts';

export class FakePulse {
  readonly commands: PulseCommand[] = [];
  #listener: (message: PulseMessage) => void = () => undefined;
  readonly exited: Promise<void>;
  #exit: () => void = () => undefined;
  #cut: () => void = () => undefined;
  alive = true;
  /** How many asked for it. */
  #agents = 0;

  constructor() {
    this.exited = new Promise((resolve) => (this.#exit = resolve));
  }

  link(): PulseLink {
    const closed = new Promise<void>((resolve) => (this.#cut = resolve));
    return {
      send: (command) => {
        this.commands.push(command);
        if (command.kind === 'end') this.die();
      },
      onMessage: (listener) => (this.#listener = listener),
      closed, exited: this.exited, close: () => this.#cut(), started: this.#agents++ === 0, kill: () => this.die(),
    };
  }

  tell(message: PulseMessage): void {
    this.#listener(message);
  }

  cut(): void {
    this.#cut();
  }

  die(): void {
    this.alive = false;
    this.#exit();
    this.#cut();
  }
}
