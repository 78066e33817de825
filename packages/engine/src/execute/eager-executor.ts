// Runs a step kernel by kernel on tfjs' CPU backend: the reference, slow and at world size 1; not for training.
import { withTopology } from '../collectives.js';
import type { StepBindings, StepDefinition, StepExecutor, TensorSpec } from '../step.js';
import { tf } from '../tfjs.js';
import { onBackend } from '../trace/on-backend.js';
import { bindMemory, boundArray } from './bindings.js';

/** Binds a step to memory and runs it eagerly, at world size 1. */
export async function createEagerExecutor(step: StepDefinition, bindings: StepBindings = {}): Promise<StepExecutor> {
  const inputs = bindMemory('input', step.inputs, bindings.inputs);
  const compute = () => withTopology({ rank: 0, worldSize: 1 }, () => onBackend('cpu', () => runOnce(step, inputs)));
  // Shapes of outputs are known only by running once.
  const first = compute();
  const specs = first.map(({ name, shape, dtype }): TensorSpec => ({ name, shape, dtype }));
  const outputs = bindMemory('output', specs, bindings.outputs);
  return {
    input: (name) => boundArray('input', inputs, name),
    output: (name) => boundArray('output', outputs, name),
    run: async () => {
      for (const { name, values } of compute()) boundArray('output', outputs, name).set(values);
    },
    close: async () => {},
    stats: { nodes: 0, segments: 1, collectives: 0, crossingBytes: 0, traceMs: 0, sessionMs: 0 },
  };
}

interface EagerOutput extends TensorSpec {
  readonly values: ArrayLike<number>;
}

function runOnce(step: StepDefinition, inputs: ReadonlyMap<string, Float32Array | Int32Array>): EagerOutput[] {
  const results: EagerOutput[] = [];
  tf.tidy(() => {
    // Copies: tfjs keeps the array it is given, and the caller will overwrite its own.
    const tensors = step.inputs.map(({ name, shape, dtype }) => [
      name,
      tf.tensor(boundArray('input', inputs, name).slice(), [...shape], dtype),
    ]);
    for (const [name, tensor] of Object.entries(step.fn(Object.fromEntries(tensors)))) {
      const dtype = tensor.dtype === 'float32' ? 'float32' : 'int32';
      results.push({ name, shape: tensor.shape, dtype, values: tensor.dataSync().slice() });
    }
  });
  return results;
}
