// Rows scaled to unit length with their backward; composed of tfjs ops, as the tensors are small.
import { tf } from '../tfjs.js';
import { withGradient } from './custom-gradient.js';

/**
 * `x / max(|x|, eps)` over the last axis. Where |x| is below `eps` the divisor is a constant to the gradient.
 *
 * @param x [..., D] float32
 */
export function l2Normalize(x: tf.Tensor, eps = 1e-12): tf.Tensor {
  return withGradient<[tf.Tensor, tf.Tensor, tf.Tensor]>(
    [x],
    () => {
      const norm = tf.sqrt(tf.sum(tf.square(x), -1, true));
      const length = tf.maximum(norm, eps);
      const value = tf.div(x, length);
      return { value, saved: [value, length, tf.cast(tf.greaterEqual(norm, eps), 'float32')] };
    },
    (dy, [y, length, varies]) => {
      const alongY = tf.mul(tf.sum(tf.mul(dy, y), -1, true), varies);
      return [tf.div(tf.sub(dy, tf.mul(y, alongY)), length)];
    },
  );
}
