// The one import of TensorFlow.js in the project; not a wrapper around it.
//
// The whole package is imported, because `@tensorflow/tfjs-core` alone registers no gradients under Node.
import * as tf from '@tensorflow/tfjs';

useCpuBackend();
skipInstallationBanner();

export { tf };

/** Chosen at once: tfjs' own lazy choice would construct the backend a second time. */
function useCpuBackend(): void {
  if (tf.getBackend() === undefined) void tf.setBackend('cpu');
}

/**
 * The CPU backend prints an advertisement for tfjs-node at its first write when it sees Node. One write with that sight
 * covered spends the banner; every later warning of tfjs is still printed.
 */
function skipInstallationBanner(): void {
  const environment = tf.env();
  const seesNode = environment.get('IS_NODE');
  environment.set('IS_NODE', false);
  const backend = tf.findBackend('cpu');
  backend.disposeData(backend.write(new Float32Array(1), [1], 'float32'), true);
  environment.set('IS_NODE', seesNode);
}
