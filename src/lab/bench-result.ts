/** What a bench found: figures for programs, targets for both. A target is never loosened to pass. */

export interface Target {
  readonly name: string;
  readonly want: string;
  readonly got: string;
  readonly ok: boolean;
}

export interface BenchResult {
  readonly bench: string;
  readonly figures: Readonly<Record<string, number>>;
  readonly targets: readonly Target[];
}
