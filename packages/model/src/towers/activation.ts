// The activation between the two layers of a block's MLP, by the name that the configuration gives it.
import { gelu, quickGelu, type tf } from '@slip/engine';
import type { Activation } from '../models.js';

/** Elementwise, on any shape. */
export function activate(x: tf.Tensor, activation: Activation): tf.Tensor {
  return activation === 'gelu' ? gelu(x) : quickGelu(x);
}
