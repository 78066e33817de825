// Runs a step kernel by kernel on a tfjs backend, at world size 1: on the CPU's as the reference in tests, on TensorFlow's for training.
import { withTopology } from '../collectives.js';
import type { StepArray, StepBindings, StepDefinition, StepExecutor } from '../step.js';
import { tf } from '../tfjs.js';
import { onBackend } from '../trace/on-backend.js';
import { bindMemory, boundArray } from './bindings.js';

/** Tensors of the backend that outlive a run. */
export interface TensorStore {
  has(name: string): boolean;
  tensor(name: string): tf.Tensor;
  keep(name: string, tensor: tf.Tensor): void;
}

export interface EagerPlace {
  /** Default `cpu`. */
  readonly backend?: string;
  /** Inputs that are in it when the executor is made are taken from it. */
  readonly memory?: TensorStore;
  /** Outputs that go there. */
  readonly kept?: readonly string[];
}

/** Binds a step to memory and runs it eagerly, at world size 1. */
export async function createEagerExecutor(
  step: StepDefinition,
  bindings: StepBindings = {},
  { backend = 'cpu', memory, kept = [] }: EagerPlace = {},
): Promise<StepExecutor> {
  const isHeld = ({ name }: { readonly name: string }) => memory?.has(name) === true;
  const inputs = bindMemory(
    'input',
    step.inputs.filter((spec) => !isHeld(spec)),
    bindings.inputs,
  );
  const { traceStep } = await import('../trace/trace-step.js');
  // Tracing tells the shapes of the outputs and refuses what no step may do.
  const outputs = bindMemory(
    'output',
    traceStep(step).outputs.filter(({ name }) => !kept.includes(name)),
    bindings.outputs,
  );
  const bound = { inputs, outputs, ...(memory === undefined ? {} : { memory }) };
  return {
    input: (name) => boundArray('input', inputs, name),
    output: (name) => boundArray('output', outputs, name),
    run: async () => {
      withTopology({ rank: 0, worldSize: 1 }, () => onBackend(backend, () => runOnce(step, bound)));
    },
    close: async () => {},
    stats: {
      ...{ nodes: 0, segments: 1, collectives: 0, crossingBytes: 0, activationBytes: 0 },
      ...{ traceMs: 0, sessionMs: 0, fromCache: false },
    },
  };
}

interface Bound {
  readonly inputs: ReadonlyMap<string, StepArray>;
  readonly outputs: ReadonlyMap<string, StepArray>;
  readonly memory?: TensorStore;
}

function runOnce(step: StepDefinition, { inputs, outputs, memory }: Bound): void {
  tf.tidy(() => {
    const tensors = step.inputs.map(({ name, shape, dtype }) => {
      const array = inputs.get(name);
      // Copies: tfjs keeps the array it is given, and the caller will overwrite its own.
      return [name, array === undefined ? memory!.tensor(name) : tf.tensor(array.slice(), [...shape], dtype)];
    });
    for (const [name, tensor] of Object.entries(step.fn(Object.fromEntries(tensors)))) {
      const array = outputs.get(name);
      if (array === undefined) memory!.keep(name, tensor);
      else array.set(tensor.dataSync());
    }
  });
}
