// Differentiation of a loss that has other results beside it (metrics, statistics); not an optimizer.
import { SlipError } from '@slip/core';
import { tf } from '../tfjs.js';

type NamedTensors = Readonly<Record<string, tf.Tensor>>;

/**
 * `tf.valueAndGrads` by name, which also keeps what `fn` returns beside the loss: tfjs itself disposes everything but the
 * differentiated value.
 *
 * @param fn called once with the variables; `loss` of its results is a scalar
 * @param lossGradient scalar that every gradient is multiplied by; 1 without it
 * @returns all results of `fn`, and the gradient of `loss` for each variable
 * @throws SlipError `internal` when the loss does not depend on one of the variables
 */
export function valueAndGradients<Variables extends NamedTensors, Results extends { readonly loss: tf.Tensor }>(
  variables: Variables,
  fn: (variables: Variables) => Results,
  lossGradient?: tf.Tensor,
): { results: Results; gradients: { [Name in keyof Variables]: tf.Tensor } } {
  const names = Object.keys(variables);
  let results: Results | undefined;
  const kept = new Set<tf.Tensor>();
  const { value, grads } = tf.engine().gradients(
    () => {
      results = fn(variables);
      const callers = new Set<tf.Tensor>([results.loss, ...Object.values(variables)]);
      for (const tensor of Object.values(results as unknown as NamedTensors)) {
        if (tensor.kept || callers.has(tensor)) continue;
        kept.add(tf.keep(tensor));
      }
      return results.loss;
    },
    Object.values(variables),
    lossGradient,
    true,
  );
  const unreached = names.filter((_, i) => grads[i] === undefined || grads[i] === null);
  if (unreached.length > 0) {
    throw new SlipError('internal', `the loss does not depend on ${unreached.join(', ')}: leave them out or use them`);
  }
  const gradients = Object.fromEntries(names.map((name, i) => [name, grads[i]!]));
  return {
    results: { ...adopt(results as unknown as NamedTensors, kept), loss: value } as Results,
    gradients: gradients as { [Name in keyof Variables]: tf.Tensor },
  };
}

/** Kept tensors belong to no scope: their clones belong to the caller's. */
function adopt(tensors: NamedTensors, kept: ReadonlySet<tf.Tensor>): NamedTensors {
  const adopted = Object.entries(tensors).map(([name, tensor]) => [name, kept.has(tensor) ? tf.clone(tensor) : tensor]);
  for (const tensor of kept) tensor.dispose();
  return Object.fromEntries(adopted);
}
