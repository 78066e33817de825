// Runs a step kernel by kernel on tfjs' CPU backend: the reference, slow and at world size 1; not for training.
import { withTopology } from '../collectives.js';
import type { StepArray, StepBindings, StepDefinition, StepExecutor } from '../step.js';
import { tf } from '../tfjs.js';
import { onBackend } from '../trace/on-backend.js';
import { traceStep } from '../trace/trace-step.js';
import { bindMemory, boundArray } from './bindings.js';

/** Binds a step to memory and runs it eagerly, at world size 1. */
export async function createEagerExecutor(step: StepDefinition, bindings: StepBindings = {}): Promise<StepExecutor> {
  const inputs = bindMemory('input', step.inputs, bindings.inputs);
  // Tracing tells the shapes of the outputs and refuses what no step may do.
  const outputs = bindMemory('output', traceStep(step).outputs, bindings.outputs);
  return {
    input: (name) => boundArray('input', inputs, name),
    output: (name) => boundArray('output', outputs, name),
    run: async () => {
      withTopology({ rank: 0, worldSize: 1 }, () => onBackend('cpu', () => runOnce(step, inputs, outputs)));
    },
    close: async () => {},
    stats: { nodes: 0, segments: 1, collectives: 0, crossingBytes: 0, activationBytes: 0, traceMs: 0, sessionMs: 0 },
  };
}

function runOnce(
  step: StepDefinition,
  inputs: ReadonlyMap<string, StepArray>,
  outputs: ReadonlyMap<string, StepArray>,
): void {
  tf.tidy(() => {
    // Copies: tfjs keeps the array it is given, and the caller will overwrite its own.
    const tensors = step.inputs.map(({ name, shape, dtype }) => [
      name,
      tf.tensor(boundArray('input', inputs, name).slice(), [...shape], dtype),
    ]);
    for (const [name, tensor] of Object.entries(step.fn(Object.fromEntries(tensors)))) {
      boundArray('output', outputs, name).set(tensor.dataSync());
    }
  });
}
