/** Which routers' addresses take nothing that is addressed to them (Accept_Mode false), and why that is not in force where it is not. */
import { GodwitError, formatError } from '../base/error.ts';
import type { PulseGround } from './ground.ts';
import type { ReadPlan } from './plan.ts';

export class AcceptRules {
  readonly #ground: PulseGround;
  #guarded: readonly ReadPlan[] = [];
  #refusal: string | undefined;

  constructor(ground: PulseGround) {
    this.#ground = ground;
  }

  /** Whether it is worth another try. */
  get refused(): boolean {
    return this.#refusal !== undefined;
  }

  /** Of all routers of this host. Never rejects for what the ground refuses. */
  want(plans: readonly ReadPlan[]): Promise<void> {
    // An owner always accepts (RFC 9568 §6.1).
    this.#guarded = plans.filter(({ plan }) => !plan.accept && plan.priority !== 255);
    return this.apply();
  }

  async apply(): Promise<void> {
    try {
      await this.#ground.refuse(this.#guarded.flatMap(({ addresses }) => addresses.map(({ address }) => address)));
      this.#refusal = undefined;
    } catch (error) {
      if (!(error instanceof GodwitError)) throw error;
      this.#refusal = `What is addressed to its addresses cannot be refused: ${formatError(error)}`;
    }
  }

  /** What keeps this router from being run as it should be. */
  objection(router: string): string | undefined {
    return this.#guarded.some(({ plan }) => plan.name === router) ? this.#refusal : undefined;
  }
}
