/** By what paths are judged: the policy's words as numbers, with its defaults. Times in ms, shares 0..1. */
import { detectionDefaults } from '../model/detection-policy.ts';
import type { PolicySpec } from '../model/cluster-policy.ts';
import { parseDuration } from '../model/quantity.ts';

export interface QualityTerms {
  readonly loss: { readonly rising: number; readonly falling: number };
  readonly latency: { readonly rising: number; readonly falling: number } | undefined;
  /** Probes that the quick average remembers. */
  readonly history: number;
  readonly hold: number;
  readonly holdMost: number;
  readonly relapse: number;
}

export function qualityTerms(policy: PolicySpec | undefined): QualityTerms {
  const set = { ...detectionDefaults.quality, ...policy?.quality };
  const latency = policy?.quality?.latency;
  return {
    loss: set.loss, latency: latency && { rising: parseDuration(latency.rising), falling: parseDuration(latency.falling) },
    history: set.history, hold: parseDuration(set.hold), holdMost: parseDuration(set.holdMost), relapse: parseDuration(set.relapse),
  };
}
