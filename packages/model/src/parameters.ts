// The parameters of a model inside a step: looked up by state-dict name, relative to a module.
import { invariant } from '@slip/core';
import type { tf } from '@slip/engine';

/** Names are joined by dots: `params.in('visual').get('pos_embed')`. */
export interface Parameters {
  get(name: string): tf.Tensor;
  in(module: string): Parameters;
}

export function parametersOf(tensors: Readonly<Record<string, tf.Tensor>>, prefix = ''): Parameters {
  return {
    get(name) {
      const tensor = tensors[prefix + name];
      invariant(tensor !== undefined, `the step has a parameter ${prefix}${name}`);
      return tensor;
    },
    in: (module) => parametersOf(tensors, `${prefix}${module}.`),
  };
}
