// The input of a training step by which its gradients are multiplied, so that small ones stay in the range of halves.
import type { TensorSpec } from '@slip/engine';

export interface ScaledLoss {
  /** Gradients are multiplied by the input `loss_scale`, a scalar. */
  readonly scaledLoss?: boolean;
}

const LOSS_SCALE: TensorSpec = { name: 'loss_scale', shape: [], dtype: 'float32' };

/** What such a step has beside its other inputs. */
export function lossScaleInputs({ scaledLoss = false }: ScaledLoss): readonly TensorSpec[] {
  return scaledLoss ? [LOSS_SCALE] : [];
}

/** The gradient of the loss that a step begins with; undefined where it is 1. */
export function lossGradient<T>(inputs: Readonly<Record<string, T>>): T | undefined {
  return inputs[LOSS_SCALE.name];
}
