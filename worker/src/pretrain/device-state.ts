// The state of a run on a device that keeps it between steps: parameters, moments and gradients. With one rank only batches go there
// and scalars come back; with several, gradients cross to be summed. The arenas of the train state are then copies, made on request.
import type { Device, DeviceMemory, HostTensor, StepDefinition, StepExecutor } from '@slip/engine';
import { accumulateStep, gradientSquaresStep, type HyperInputs, optimizerStep } from '@slip/model';
import type { TensorEntry } from '@slip/model/architecture';
import { timed } from './collective-clock.js';
import { limitedScale } from './gradient-norm.js';
import { meanScale, type ParameterUpdate, type StepGradients, scaleOf, stepsOf, sumOnHost } from './host-update.js';
import type { Optimizer } from './optimizer.js';
import { gatherGradients } from './sharded-optimizer.js';
import { type TrainState, tensorView } from './train-state.js';
import type { TrainStepParts } from './train-step.js';

/** Parameters are updated in parts of about this size, because the old and the new ones of a part exist side by side. */
const PART_BYTES = 64 << 20;

type Part = readonly TensorEntry[];

export class DeviceState {
  readonly memory: DeviceMemory;
  readonly #device: Device;
  readonly #state: TrainState;
  readonly #optimizer: Optimizer;
  readonly #threads: number;
  readonly #entries: readonly TensorEntry[];
  readonly #parts: readonly Part[];
  readonly #executors = new Map<string, Promise<StepExecutor[]>>();
  #isAhead = false;

  private constructor(device: Device, state: TrainState, optimizer: Optimizer, threads: number) {
    this.memory = device.openMemory();
    this.#device = device;
    this.#state = state;
    this.#optimizer = optimizer;
    this.#threads = threads;
    this.#entries = state.entries.filter(({ kind }) => kind === 'param');
    this.#parts = partsOf(this.#entries);
  }

  /** Copies the state to the device. @param definition of the training step: what it has frozen goes there too */
  static async create(
    device: Device,
    state: TrainState,
    optimizer: Optimizer,
    threads: number,
    { inputs }: StepDefinition,
  ): Promise<DeviceState> {
    const made = new DeviceState(device, state, optimizer, threads);
    const frozen = state.entries
      .filter(({ name }) => inputs.some((input) => input.name === `frozen/${name}`))
      .map((entry) => made.#tensor('frozen', state.buffers, entry));
    await made.memory.upload([...made.#stateTensors(), ...frozen]);
    return made;
  }

  get gradientNames(): string[] {
    return this.#names('grad');
  }

  /** Adds a micro-batch's gradients to those of the ones before. */
  async accumulate(micro: number): Promise<void> {
    if (micro === 0) this.#rename('grad', 'sum');
    else await this.#run('accumulate', (part) => [accumulateStep(part), names('sum', part)]);
  }

  /** The sums over micro-batches are the gradients. */
  useSums(): void {
    this.#rename('sum', 'grad');
  }

  uploadGradients(): Promise<void> {
    return this.memory.upload(this.#entries.map((entry) => this.#tensor('grad', this.#state.grads, entry)));
  }

  /** Sum of the squares of all gradients. */
  async gradientSquares(): Promise<number> {
    const executors = await this.#run('squares', (part) => [gradientSquaresStep(part), []]);
    return executors.reduce((sum, executor) => sum + executor.output('squares')[0], 0);
  }

  /** Applies and frees the gradients. */
  async update(hyper: HyperInputs): Promise<void> {
    const { onDevice } = this.#optimizer;
    const kinds = ['param', ...onDevice.moments];
    await this.#run(
      'optimizer',
      (part) => [optimizerStep(onDevice, part), kinds.flatMap((kind) => names(kind, part))],
      hyper,
    );
    this.memory.free(this.gradientNames);
    this.#isAhead = true;
    const temperature = this.#entries.find(({ name }) => name === 'logit_scale');
    if (temperature !== undefined) await this.memory.download([this.#tensor('param', this.#state.params, temperature)]);
  }

  async bringToHost(): Promise<void> {
    if (!this.#isAhead) return;
    await this.memory.download(this.#stateTensors());
    this.#isAhead = false;
  }

  async close(): Promise<void> {
    for (const executors of this.#executors.values()) for (const executor of await executors) await executor.close();
    await this.memory.close();
  }

  /** Steps over parts of the parameters, compiled when they are first wanted: what they read is there by then. */
  async #run(
    name: string,
    stepOf: (part: Part) => [StepDefinition, string[]],
    hyper: HyperInputs = {},
  ): Promise<StepExecutor[]> {
    const known =
      this.#executors.get(name) ??
      Promise.all(
        this.#parts.map((part) => {
          const [definition, kept] = stepOf(part);
          const options = { rank: 0, worldSize: 1, threads: this.#threads, memory: this.memory, kept };
          return this.#device.createExecutor(definition, options);
        }),
      );
    this.#executors.set(name, known);
    const executors = await known;
    for (const [i, executor] of executors.entries()) {
      const [{ inputs }] = stepOf(this.#parts[i]);
      for (const { name: input } of inputs) {
        if (input.startsWith('hyper/')) executor.input(input)[0] = hyper[input.slice('hyper/'.length)];
      }
      await executor.run();
    }
    return executors;
  }

  #rename(from: string, to: string): void {
    for (const { name } of this.#entries) this.memory.rename(`${from}/${name}`, `${to}/${name}`);
  }

  #names(kind: string): string[] {
    return names(kind, this.#entries);
  }

  #stateTensors(): HostTensor[] {
    const arenas = { param: this.#state.params, ...this.#state.moments };
    return Object.entries(arenas).flatMap(([kind, arena]) =>
      this.#entries.map((entry) => this.#tensor(kind, arena, entry)),
    );
  }

  #tensor(kind: string, arena: Float32Array, { name, shape }: TensorEntry): HostTensor {
    return { name: `${kind}/${name}`, shape, values: tensorView(this.#state, arena, name) };
  }
}

function names(kind: string, entries: readonly TensorEntry[]): string[] {
  return entries.map(({ name }) => `${kind}/${name}`);
}

function partsOf(entries: readonly TensorEntry[]): Part[] {
  const parts: TensorEntry[][] = [[]];
  let bytes = 0;
  for (const entry of entries) {
    if (bytes >= PART_BYTES) {
      parts.push([]);
      bytes = 0;
    }
    parts.at(-1)!.push(entry);
    bytes += entry.size * Float32Array.BYTES_PER_ELEMENT;
  }
  return parts;
}

/** The update on a device that keeps the state. */
export function deviceUpdate(parts: TrainStepParts, device: DeviceState): ParameterUpdate {
  return {
    begin: () => (parts.group.worldSize === 1 ? staysOnDevice(parts, device) : crossesToBeSummed(parts, device)),
    bringToHost: () => device.bringToHost(),
  };
}

/** One rank: nothing of the state leaves the device. */
function staysOnDevice(parts: TrainStepParts, device: DeviceState): StepGradients {
  const { config } = parts;
  return {
    release: undefined,
    async add(micro) {
      if (config.updateFreq > 1) await device.accumulate(micro);
    },
    complete() {
      if (config.updateFreq > 1) device.useSums();
    },
    isOverflow: async () => !Number.isFinite(await device.gradientSquares()),
    async apply(lr) {
      const startedAt = performance.now();
      const mean = meanScale(parts);
      const { clipGrad } = parts;
      const gradScale = clipGrad === undefined ? mean : limitedScale(await device.gradientSquares(), mean, clipGrad);
      await updateOn(device, parts, lr, gradScale);
      return performance.now() - startedAt;
    },
  };
}

/** Every rank gets the sums of all gradients, and updates all of its parameters in the same way. */
function crossesToBeSummed(parts: TrainStepParts, device: DeviceState): StepGradients {
  const { state, group, clock } = parts;
  const { reduction, ...gradients } = sumOnHost(parts);
  return {
    ...gradients,
    async apply(lr) {
      let arithmeticMs = 0;
      for (const b of state.buckets.keys()) arithmeticMs += await timed(clock, () => reduction.done(b));
      const gradScale = await scaleOf(parts, reduction);
      await timed(clock, () => gatherGradients(state, group));
      const startedAt = performance.now();
      await device.uploadGradients();
      await updateOn(device, parts, lr, gradScale);
      return arithmeticMs + performance.now() - startedAt;
    },
  };
}

function updateOn(device: DeviceState, parts: TrainStepParts, lr: number, gradScale: number): Promise<void> {
  const { optimizer, state } = parts;
  return device.update(optimizer.hyper(state.entries, { ...stepsOf(state), lr, gradScale }));
}
