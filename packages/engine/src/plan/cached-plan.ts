// The plan of a step: from the cache where it has one made from the same things, else traced and lowered.
import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { hashSources } from '@slip/core';
import type { StepDefinition } from '../step.js';
import type { GraphCache } from './graph-cache.js';
import type { PlanOptions } from './make-plan.js';
import type { StepPlan } from './step-plan.js';

export interface FoundPlan {
  readonly plan: StepPlan;
  readonly fromCache: boolean;
}

/** @throws SlipError as `traceStep` */
export async function planOf(step: StepDefinition, options: PlanOptions, cache?: GraphCache): Promise<FoundPlan> {
  const fits = (known: StepPlan) => hasMilestones(known, options);
  const { value, isKept } = await kept<StepPlan>(cache, planKey(step, options), fits, async () => {
    const { makePlan } = await import('./make-plan.js');
    return makePlan(step, options);
  });
  return { plan: value, fromCache: isKept };
}

/** What the cache has by this key, where it fits; else it is made, and kept. @param key undefined for what cannot be kept */
export async function kept<T>(
  cache: GraphCache | undefined,
  key: string | undefined,
  fits: (known: T) => boolean,
  make: () => Promise<T>,
): Promise<{ readonly value: T; readonly isKept: boolean }> {
  const known = key === undefined ? undefined : ((await cache?.read(key)) as T | undefined);
  if (known !== undefined && fits(known)) return { value: known, isKept: true };
  const value = await make();
  if (key !== undefined) await cache?.write(key, value);
  return { value, isKept: false };
}

/**
 * A hash of all that decides a plan but its milestones, which are known once the graph is. Undefined where that cannot be told: the step
 * has no identity, or kernels of its own.
 */
export function planKey(step: StepDefinition, options: PlanOptions): string | undefined {
  if (step.identity === undefined || options.kernels !== undefined) return undefined;
  const { rank, worldSize, rows, recomputation, half, provider = 'cpu', anyLength = false } = options;
  const decisive = [
    ...[compilerIdentity(), step.identity(), step.name, step.inputs],
    { rank, worldSize, rows, recomputation, half, provider, anyLength, cut: options.milestones !== undefined },
  ];
  return createHash('sha256').update(JSON.stringify(decisive)).digest('hex');
}

/** Whether a plan is cut as it is wanted now. */
export function hasMilestones({ milestones }: StepPlan, options: PlanOptions): boolean {
  if (milestones === undefined) return options.milestones === undefined;
  const wanted = options.milestones?.(milestones.completion);
  return wanted !== undefined && isDeepStrictEqual(wanted, milestones.groups);
}

let identity: string | undefined;

/** The code that makes plans: this package, and tfjs, which differentiates; and the format in which Node writes them. */
function compilerIdentity(): string {
  const { version } = createRequire(import.meta.url)('@tensorflow/tfjs/package.json') as { version: string };
  identity ??= `${hashSources(path.resolve(import.meta.dirname, '..'))} tfjs ${version} v8 ${process.versions.v8}`;
  return identity;
}
