// An executor for evaluating a state as it is now, on the state's device: what the step reads of it is copied there once.
import { CPU, type StepDefinition, type StepExecutor } from '@slip/engine';
import { stateInputs } from '../pretrain/state-inputs.js';
import type { TrainState } from '../pretrain/train-state.js';

export async function executorOf(
  definition: StepDefinition,
  state: TrainState,
  threads: number,
): Promise<StepExecutor> {
  const { device = CPU } = state;
  const inputs = stateInputs(state, definition);
  const single = { rank: 0, worldSize: 1, threads };
  if (!device.keepsTensors) return device.createExecutor(definition, { ...single, inputs });
  const memory = device.openMemory();
  await memory.upload(
    definition.inputs.flatMap(({ name, shape }) => {
      const values = inputs[name];
      return values === undefined ? [] : [{ name, shape, values }];
    }),
  );
  const executor = await device.createExecutor(definition, { ...single, memory });
  return {
    ...executor,
    close: async () => {
      await executor.close();
      await memory.close();
    },
  };
}
