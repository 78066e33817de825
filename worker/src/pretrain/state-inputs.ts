// Those inputs of a step that are in the state: its parameters, and what is frozen.
import type { StepDefinition } from '@slip/engine';
import { type TrainState, tensorView } from './train-state.js';

/** @returns views of the arenas, by the names of the step's inputs `param/<name>` and `frozen/<name>` */
export function stateInputs(state: TrainState, { inputs }: StepDefinition): Record<string, Float32Array> {
  const bound: Record<string, Float32Array> = {};
  for (const { name } of inputs) {
    const [kind] = name.split('/', 1);
    const tensor = name.slice(kind.length + 1);
    if (kind === 'param') bound[name] = tensorView(state, state.params, tensor);
    if (kind === 'frozen') bound[name] = tensorView(state, state.buffers, tensor);
  }
  return bound;
}
