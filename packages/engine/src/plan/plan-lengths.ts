// The plans of a step for all its lengths: one with models for any, and for each length what those need; kept as every plan is.
import { createHash } from 'node:crypto';
import type { StepDefinition } from '../step.js';
import { hasMilestones, kept, planKey, planOf } from './cached-plan.js';
import { type FlexiblePlan, flexiblePlan, type LengthPlan, planAt } from './flexible-plan.js';
import type { GraphCache } from './graph-cache.js';
import type { PlanOptions } from './make-plan.js';
import type { StepPlan } from './step-plan.js';

export interface LengthPlans {
  /** That of the longest, with models for any length. */
  readonly plan: StepPlan;
  readonly fromCache: boolean;
  /** @param length one of the step's */
  at(length: number): Promise<LengthPlan>;
}

/** @returns undefined where the step has one length, or lengths whose graphs differ */
export async function planLengths(
  step: StepDefinition,
  options: PlanOptions,
  cache?: GraphCache,
): Promise<LengthPlans | undefined> {
  const { lengths } = step;
  if (lengths === undefined || lengths.allowed.length < 2) return undefined;
  const [shortest] = lengths.allowed;
  const key = combined(planKey(step, options), `with ${shortest}`);
  const fits = (known: FlexiblePlan | null) => known === null || hasMilestones(known.plan, options);
  const { value: flexible, isKept } = await kept<FlexiblePlan | null>(cache, key, fits, async () => {
    const { plan: longest } = await planOf(step, options, cache);
    const { plan: other } = await planOf(lengths.at(shortest!), cutAs(longest, options), cache);
    return flexiblePlan(longest, other) ?? null;
  });
  if (flexible === null) return undefined;
  const { plan } = flexible;
  return {
    plan,
    fromCache: isKept,
    at: async (length) => {
      const groups = JSON.stringify(plan.milestones?.groups ?? []);
      const own = await kept<LengthPlan>(cache, combined(key, `${length} ${groups}`), always, async () =>
        planAt(flexible, (await planOf(lengths.at(length), cutAs(plan, options), cache)).plan),
      );
      return own.value;
    },
  };
}

/** The same cuts at every length: the outputs have the same names, and who asked for milestones is not asked again. */
function cutAs({ milestones }: StepPlan, options: PlanOptions): PlanOptions {
  return milestones === undefined ? options : { ...options, milestones: () => milestones.groups };
}

function combined(key: string | undefined, what: string): string | undefined {
  return key === undefined ? undefined : createHash('sha256').update(`${key} ${what}`).digest('hex');
}

function always(): boolean {
  return true;
}
