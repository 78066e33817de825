// Typed forms of tfjs' customGrad: an op with its own backward, and a result without one. Not an op itself.
import { tf } from '../tfjs.js';

type Tensors = readonly tf.Tensor[];

/**
 * Runs `forward` off the tape and gives it `backward` as its gradient. Whatever `backward` needs must be in `saved`: other
 * tensors are disposed by then when running eagerly.
 *
 * @returns the value; differentiated with respect to `inputs`, in their order
 */
export function withGradient<Saved extends Tensors>(
  inputs: Tensors,
  forward: () => { value: tf.Tensor; saved: readonly [...Saved] },
  backward: (dy: tf.Tensor, saved: Saved) => tf.Tensor[],
): tf.Tensor {
  const op = tf.customGrad((...args) => {
    // tfjs appends its save function to the inputs, in one untyped list.
    const save = args[args.length - 1] as tf.GradSaveFunc;
    const { value, saved } = forward();
    save([...saved]);
    return { value, gradFunc: (dy, kept) => backward(dy, kept as unknown as Saved) };
  });
  return op(...inputs);
}

/** A result that gradients do not flow through: a constant to everything that uses it. */
export function withoutGradient(compute: () => tf.Tensor): tf.Tensor {
  return tf.customGrad(() => ({ value: compute(), gradFunc: () => [] }))();
}
