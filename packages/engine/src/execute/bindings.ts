// Binds names of a step to memory; not the running of it.
import { SlipError } from '@slip/core';
import type { StepArray, TensorSpec } from '../step.js';
import { sizeOf } from '../tensor-type.js';

/**
 * The given array where there is one, else a fresh one, for each spec.
 *
 * @throws SlipError `internal` when a given array has another length or type than its spec, or no spec
 */
export function bindMemory(
  role: 'input' | 'output',
  specs: readonly TensorSpec[],
  given: Readonly<Record<string, StepArray>> = {},
): ReadonlyMap<string, StepArray> {
  const bound = new Map(specs.map((spec) => [spec.name, given[spec.name] ?? allocateFor(spec)]));
  for (const [name, array] of Object.entries(given)) {
    const spec = specs.find((candidate) => candidate.name === name);
    if (spec === undefined) {
      throw new SlipError(
        'internal',
        `the step has no ${role} '${name}'; it has ${specs.map((s) => s.name).join(', ')}`,
      );
    }
    const fits = spec.dtype === 'float32' ? array instanceof Float32Array : array instanceof Int32Array;
    if (!fits || array.length !== sizeOf(spec.shape)) {
      throw new SlipError(
        'internal',
        `memory for ${role} '${name}' is ${array.constructor.name}(${array.length}); ` +
          `its shape [${spec.shape}] of ${spec.dtype} needs ${sizeOf(spec.shape)} elements`,
      );
    }
  }
  return bound;
}

/** @throws SlipError `internal` for an unknown name */
export function boundArray(role: 'input' | 'output', bound: ReadonlyMap<string, StepArray>, name: string): StepArray {
  const array = bound.get(name);
  if (array === undefined) {
    throw new SlipError('internal', `the step has no ${role} '${name}'; it has ${[...bound.keys()].join(', ')}`);
  }
  return array;
}

function allocateFor(spec: TensorSpec): StepArray {
  return spec.dtype === 'float32' ? new Float32Array(sizeOf(spec.shape)) : new Int32Array(sizeOf(spec.shape));
}
