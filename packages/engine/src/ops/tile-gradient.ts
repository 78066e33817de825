// A gradient for tfjs' Tile that is one sum; tfjs' own adds a slice for every repetition.
import { onTfjsLoaded, tf } from '../tfjs.js';

interface TileAttributes {
  reps: number[];
}

/** Replaces the gradient of `tf.tile` and `tf.broadcastTo`; any rank. */
onTfjsLoaded(() =>
  tf.registerGradient({
    kernelName: 'Tile',
    inputsToSave: ['x'],
    gradFunc: (dy, saved, attrs) => ({
      x: () => sumRepetitions(dy as tf.Tensor, saved[0]!.shape, (attrs as unknown as TileAttributes).reps),
    }),
  }),
);

function sumRepetitions(dy: tf.Tensor, shape: number[], reps: readonly number[]): tf.Tensor {
  // Each repeated axis becomes two: the repetition and the axis itself.
  const split = shape.flatMap((dim, axis) => (reps[axis] === 1 ? [dim] : [reps[axis]!, dim]));
  const repetitions: number[] = [];
  shape.reduce((position, _, axis) => {
    if (reps[axis] === 1) return position + 1;
    repetitions.push(position);
    return position + 2;
  }, 0);
  return repetitions.length === 0 ? tf.clone(dy) : tf.reshape(tf.sum(tf.reshape(dy, split), repetitions), shape);
}
